"""Which port is taken when the wanted one is not free."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pytest

from chatrun.cli.ports import is_free, next_free
from chatrun.client.server_file import RunningServer, read_server_file
from chatrun.errors import SettingInvalid
from tests.cli.running import chatrun

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_listened_on_is_not_free(taken: int) -> None:
    assert not is_free("127.0.0.1", taken)


def test_the_next_free_port_is_found(taken: int) -> None:
    found = next_free("127.0.0.1", taken)

    assert found > taken
    assert is_free("127.0.0.1", found)


def test_a_host_that_is_not_here_has_no_free_port() -> None:
    with pytest.raises(SettingInvalid, match="name another"):
        next_free("192.0.2.1", 4000)


async def test_a_taken_port_that_was_asked_for_is_an_error_that_names_a_free_one(
    tmp_path: Path, taken: int
) -> None:
    ran = await chatrun("dev", "--port", str(taken), folder=tmp_path)

    assert ran.code == 2
    assert ran.err.startswith(f"chatrun: port {taken} is taken; ")
    other = int(ran.err.split(" --port ")[1])
    assert is_free("127.0.0.1", other)


def test_a_server_is_known_by_its_file_while_its_process_lives(tmp_path: Path) -> None:
    file = tmp_path / ".chatrun/server.json"
    file.parent.mkdir()
    assert read_server_file(tmp_path) is None

    file.write_text(json.dumps({"url": "http://localhost:1", "pid": os.getpid()}))
    assert read_server_file(tmp_path) == RunningServer("http://localhost:1", os.getpid())

    file.write_text(json.dumps({"url": "http://localhost:1", "pid": 2**22 + 1}))
    assert read_server_file(tmp_path) is None

    file.write_text("{")
    assert read_server_file(tmp_path) is None
