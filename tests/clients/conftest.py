"""A server and a Node process that the tests of one module share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.node import node_client
from tests.support.npm import MAJORS, require_npm
from tests.support.server import dev_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.node import Node
    from tests.support.server import DevServer

PROJECT = Path(__file__).parent / "project"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for a module, in which its server and its Node process live."""
    return "asyncio"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[DevServer]:
    """A `chatrun dev` on the project of this folder."""
    require_npm()
    files = {f"tasks/{path.name}": path.read_text() for path in PROJECT.glob("*.py")}
    async with dev_server(files) as server:
        yield server


@pytest.fixture(scope="module", params=MAJORS, ids=lambda major: f"ai{major}")
async def node(request: pytest.FixtureRequest, server: DevServer) -> AsyncIterator[Node]:
    """The published clients of each major, connected to the server."""
    async with node_client(request.param) as node:
        await node.connect(server.url, server.secret)
        yield node
