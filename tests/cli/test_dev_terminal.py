"""`chatrun dev` in a real terminal: its lines and its keys."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from chatrun.cli.ports import is_free, next_free
from tests.cli.terminal import CTRL_C, CTRL_D, ENTER, Terminal, terminal
from tests.support.talkative import TALKATIVE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one task."""
    (tmp_path / "talk.py").write_text(TALKATIVE)
    return tmp_path


@pytest.fixture
async def screen(project: Path) -> AsyncIterator[Terminal]:
    """A server that is ready."""
    async with terminal("dev", "--port", "0", folder=project, columns=500) as screen:
        await screen.shows("q quit")
        yield screen


async def test_it_tells_where_it_is_and_q_ends_it(screen: Terminal, project: Path) -> None:
    ready, task, page, keys = screen.lines
    url = ready.split()[2]

    assert ready.startswith("chatrun at http://localhost:")
    assert task == "  talk  talk.py:11"
    assert page.startswith(f"  page {url}/#token=")
    assert keys == "  keys c chat · o open page · r reload · h help · q quit"
    screen.type("h")
    await screen.shows("r  load the code anew")

    screen.type("q")
    assert await screen.ended() == 0
    assert "Traceback" not in screen.text
    assert not (project / ".chatrun/server.json").exists()


async def test_ctrl_c_ends_it_with_130(screen: Terminal) -> None:
    screen.type(CTRL_C)

    assert await screen.ended() == 130
    assert "Traceback" not in screen.text


async def test_saves_and_the_key_r_reload_and_a_broken_save_is_told(
    screen: Terminal, project: Path
) -> None:
    screen.type("r")
    await screen.shows(" reloaded talk.py (")

    (project / "talk.py").write_text("import chatrun\nx = (\n")
    await screen.shows("not reloaded, the last good code answers")
    await screen.shows("talk.py:2 cannot be imported: SyntaxError")


async def test_the_key_c_lends_the_terminal_to_a_chat(screen: Terminal) -> None:
    screen.type("c")
    assert await screen.say("hello") == "You said: hello"
    screen.type("wait", ENTER)
    await screen.shows("I wait.")
    screen.type(CTRL_C)  # is the chat's, not the server's
    await screen.asks()
    screen.type(CTRL_D)

    await screen.shows("turn 1 stopped")
    assert "turn 0 finished" in screen.text
    screen.type("q")
    assert await screen.ended() == 0


async def test_a_taken_port_that_was_asked_for_is_asked_about(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with terminal("dev", "--port", str(port), folder=project) as screen:
            await screen.shows(f"port {port} is taken. Use ")
            other = int(screen.text.rpartition("Use ")[2].partition("?")[0])
            screen.type(ENTER)
            await screen.shows(f"chatrun at http://localhost:{other} ")

        async with terminal("dev", "--port", str(port), folder=project) as screen:
            await screen.shows(f"port {port} is taken. Use ")
            screen.type("n", ENTER)
            assert await screen.ended() == 1


async def test_a_taken_port_that_nobody_asked_for_is_replaced(project: Path) -> None:
    if not is_free("127.0.0.1", 2428):
        pytest.skip("port 2428 is taken by another program")
    with socket.create_server(("127.0.0.1", 2428)):
        other = next_free("127.0.0.1", 2428)
        async with terminal("dev", folder=project) as screen:
            await screen.shows(f"port 2428 is taken; using {other}")
            await screen.shows(f"chatrun at http://localhost:{other} ")
