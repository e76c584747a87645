"""Which server is meant when none is named; and tasks that talk to other tasks through theirs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from chatrun import AgentChat
from chatrun.client.at_hand import find_secret, find_url
from chatrun.errors import SecretMissing
from chatrun.wire.secret import load_secret
from chatrun.worker.protocol import Configure
from tests.support.server import dev_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.server import DevServer

TEAM = '''
import asyncio

from chatrun import AgentChat, Turn, chat, stream_text, tool
from chatrun.testing import ScriptedModel, call


@chat.task("helper")
async def helper(turn: Turn):
    yield f"{turn.text}, asked {len(turn.ui_messages) // 2 + 1} times"
    if turn.text == "wait":
        await asyncio.Event().wait()


@tool
async def ask(question: str) -> str:
    """Ask the helper."""
    async with AgentChat("helper", id=f"{chat.tool_context().chat_id}-helper") as sub:
        return await chat.forward(sub.send(question)).text()


@chat.task("boss", tools=[ask])
async def boss(turn: Turn):
    model = ScriptedModel([[call("ask", {"question": turn.text})], "done"])
    return stream_text(model, messages=turn.messages)
'''


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder, and without settings of one's own."""
    monkeypatch.delenv("CHATRUN_SECRET_KEY", raising=False)
    monkeypatch.delenv("CHATRUN_URL", raising=False)
    monkeypatch.chdir(tmp_path)


def announce(folder: Path, *, pid: int) -> None:
    (folder / ".chatrun").mkdir(mode=0o700)
    content = orjson.dumps({"url": "http://localhost:9", "pid": pid})
    (folder / ".chatrun" / "server.json").write_bytes(content)


def test_without_any_hint_it_is_the_server_that_dev_starts() -> None:
    assert find_url() == "http://localhost:2428"


def test_the_server_of_the_working_folder_is_found(tmp_path: Path) -> None:
    announce(tmp_path, pid=os.getpid())

    assert find_url() == "http://localhost:9"


def test_a_server_that_has_gone_is_not_found(tmp_path: Path) -> None:
    announce(tmp_path, pid=2**22 + 1)

    assert find_url() == "http://localhost:2428"


def test_the_environment_goes_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(tmp_path, pid=os.getpid())
    load_secret(tmp_path)
    monkeypatch.setenv("CHATRUN_URL", "http://localhost:7")
    monkeypatch.setenv("CHATRUN_SECRET_KEY", "given")

    assert (find_url(), find_secret("http://localhost:7")) == ("http://localhost:7", "given")


def test_the_folders_secret_is_for_servers_on_this_machine_only(tmp_path: Path) -> None:
    secret = load_secret(tmp_path)

    assert find_secret("http://127.0.0.1:2428") == secret
    with pytest.raises(SecretMissing):
        find_secret("https://chat.example.com")


def test_no_secret_is_made_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing):
        find_secret("http://localhost:2428")

    assert list(tmp_path.iterdir()) == []


def test_what_a_worker_is_told_does_not_show_the_secret() -> None:
    configure = Configure("/x", url="http://localhost:1", secret="do-not-show")

    assert "do-not-show" not in repr(configure)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, in which its server lives."""
    return "asyncio"


@pytest.fixture(scope="module")
async def dev() -> AsyncIterator[DevServer]:
    """A `chatrun dev` with a task that asks another."""
    async with dev_server({"tasks/team.py": TEAM}) as server:
        yield server


def boss_of(dev: DevServer) -> AgentChat:
    return AgentChat("boss", url=dev.url, secret=dev.secret)


async def read(boss: AgentChat, text: str) -> tuple[list[Any], Any]:
    """Return the sub-agent's chunks and the output of the tool."""
    chunks: list[Any] = []
    output: Any = None
    async for chunk in boss.send(text):
        match chunk:
            case {"type": "data-subagent", "data": {"chunks": list(batch)}}:
                chunks += batch
            case {"type": "tool-output-available", "output": given}:
                output = given
            case _:
                pass
    return chunks, output


async def test_a_task_talks_to_another_through_its_own_server_and_shows_it(dev: DevServer) -> None:
    async with boss_of(dev) as boss:
        chunks, first = await read(boss, "hi")
        _, second = await read(boss, "again")

    assert (first, second) == ("hi, asked 1 times", "again, asked 2 times")
    assert [chunks[0]["type"], chunks[-1]["type"]] == ["start", "finish"]
    assert dev.secret not in dev.log


async def test_stopping_a_chat_stops_the_sub_agent_that_it_waits_for(dev: DevServer) -> None:
    async with boss_of(dev) as boss:
        async with boss.send("wait") as stream:
            async for chunk in stream:
                if chunk["type"] == "data-subagent":
                    await boss.stop()
        event: dict[str, Any] = {}
        nth = 0
        while event.get("chat_id") != f"{boss.id}-helper":
            event = await dev.event("turn-ended", nth=nth)
            nth += 1

    assert stream.answer.outcome == "stopped"
    assert event["outcome"] == "stopped"
