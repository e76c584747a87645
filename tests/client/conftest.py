"""A scripted server for the tests of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.client.scripted import scripted_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.client.scripted import ScriptedServer


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A server that answers as the test says."""
    async with scripted_server() as server:
        yield server
