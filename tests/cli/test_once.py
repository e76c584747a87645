"""One question, one answer: for scripts and pipes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from chatrun.client.server_file import read_server_file
from chatrun.wire.tokens import mint_session, mint_task
from tests.cli.running import chatrun
from tests.support.server import clean_environment, dev_server
from tests.support.talkative import OTHER, TALKATIVE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.server import DevServer


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the module, in which its server lives."""
    return "asyncio"


@pytest.fixture(scope="module")
async def dev() -> AsyncIterator[DevServer]:
    """A `chatrun dev` with two tasks."""
    async with dev_server({"tasks/talk.py": TALKATIVE, "tasks/other.py": OTHER}) as server:
        yield server


async def test_the_answer_alone_goes_to_stdout(dev: DevServer) -> None:
    ran = await chatrun("chat", "talk", "hello there", folder=dev.folder)

    assert (ran.code, ran.out, ran.err) == (0, "You said: hello there\n", "")


async def test_a_message_may_be_piped_in(dev: DevServer) -> None:
    ran = await chatrun("chat", "talk", folder=dev.folder, piped="hello\nthere\n")

    assert (ran.code, ran.out) == (0, "You said: hello there\n")


async def test_as_jsonl_every_chunk_is_a_line(dev: DevServer) -> None:
    ran = await chatrun("chat", "talk", "hostile", "--jsonl", folder=dev.folder)

    chunks = [json.loads(line) for line in ran.out.splitlines()]
    assert chunks[0]["type"] == "start"
    assert chunks[-1]["type"] == "finish"
    said = "".join(chunk.get("delta", "") for chunk in chunks)
    assert said == "a\x1b]52;c;aGk=\x07b\x9b2Jc&#x202e;d"
    assert ran.out.isascii()
    assert "\x1b" not in ran.out


async def test_text_cannot_steer_a_terminal(dev: DevServer) -> None:
    ran = await chatrun("chat", "talk", "hostile", folder=dev.folder)

    assert ran.out == "abc&#x202e;d\n"


async def test_a_failed_turn_is_exit_code_1_with_one_sentence(dev: DevServer) -> None:
    ran = await chatrun("chat", "talk", "fail", folder=dev.folder)

    assert (ran.code, ran.out, ran.err) == (1, "", "chatrun: ValueError: it broke\n")


async def test_a_session_goes_on(dev: DevServer) -> None:
    for message in ("one", "two"):
        await chatrun("chat", "talk", message, "--session", "mine", folder=dev.folder)

    named = await chatrun("chat", "talk", "recall", "--session", "mine", folder=dev.folder)
    last = await chatrun("chat", "talk", "recall", "-c", folder=dev.folder)

    assert named.out == "one | You said: one | two | You said: two\n"
    assert last.out == f"{named.out.strip()} | recall | {named.out}"


async def test_a_tool_that_waits_is_told_with_the_command_that_answers_it(dev: DevServer) -> None:
    ran = await chatrun("chat", "talk", "paint", "--session", "p", folder=dev.folder)

    assert (ran.code, ran.out) == (0, "")
    assert ran.err == (
        "chatrun: paint(a=1) waits for your yes or no: `chatrun chat talk --session p`\n"
    )


async def test_a_token_does_in_place_of_the_secret(dev: DevServer, tmp_path: Path) -> None:
    at = ("--url", dev.url, "--token")
    task = await chatrun("chat", "talk", "hi", *at, mint_task(dev.secret, "talk"), folder=tmp_path)
    only = await chatrun(
        "chat", "--jsonl", *at, mint_task(dev.secret, "other"), folder=tmp_path, piped="x"
    )
    session = mint_session(dev.secret, "tok")
    first = await chatrun("chat", "talk", "hi", "--session", "tok", folder=dev.folder)
    more = await chatrun(
        "chat", "talk", "recall", "--session", "tok", *at, session, folder=tmp_path
    )
    wrong = await chatrun("chat", "talk", "hi", *at, session, folder=tmp_path)

    assert (task.code, task.out) == (0, "You said: hi\n")
    assert "the other task" in only.out
    assert (first.code, more.out) == (0, "hi | You said: hi\n")
    assert (wrong.code, wrong.out) == (1, "")
    assert wrong.err.startswith("chatrun: cannot send to session ")
    assert not (tmp_path / ".chatrun").exists()


@pytest.mark.parametrize(
    ("args", "code", "complaint"),
    [
        (["", "hi"], 2, "cannot be a task's id"),
        (["tlak", "hi"], 1, "this server has no task 'tlak': it serves other, talk"),
        (["talk", "hi", "--url", "http://127.0.0.1:9"], 1, "no chatrun server answers at"),
        (["talk", "hi", "--url", "nowhere"], 2, "is no server's address"),
        (["talk", "hi", "--token", "bad"], 1, "not valid"),
    ],
)
async def test_what_is_wrong_is_said_in_a_sentence(
    dev: DevServer, args: list[str], code: int, complaint: str
) -> None:
    ran = await chatrun("chat", *args, folder=dev.folder)

    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("chatrun: ")
    assert complaint in ran.err
    assert ran.err.count("\n") == 1


async def test_with_several_tasks_one_has_to_be_named(dev: DevServer) -> None:
    ran = await chatrun("chat", folder=dev.folder, piped="hi")

    assert (ran.code, ran.err) == (2, "chatrun: there are several tasks, name one: other, talk\n")


async def started(folder: Path, *args: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatrun", "chat", *args),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )


async def test_an_interrupt_stops_the_turn_and_is_exit_code_130(dev: DevServer) -> None:
    process = await started(dev.folder, "talk", "wait", "--session", "interrupted")
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readexactly(7) == b"I wait."
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()

    assert (process.returncode, out, err) == (130, b"\n", b"")
    said = await chatrun("sessions", "show", "interrupted", folder=dev.folder)
    assert said.out.endswith("task: I wait.\n")


async def test_a_pipe_that_nobody_reads_any_more_stops_the_turn(dev: DevServer) -> None:
    before = sum(event["event"] == "turn-ended" for event in dev.events)
    process = await started(dev.folder, "talk", "count 2000", "--session", "piped")
    assert process.stdout is not None
    async with asyncio.timeout(20):
        await process.stdout.readexactly(4)
        process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
        await process.wait()
        ended = await dev.event("turn-ended", nth=before)

    assert process.returncode == 1
    assert (ended["chat_id"], ended["outcome"]) == ("piped", "stopped")


async def test_a_server_of_its_own_ends_even_when_the_chat_is_killed(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALKATIVE)
    process = await started(tmp_path, "talk", "wait")
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readexactly(7) == b"I wait."
        server = read_server_file(tmp_path)
        process.kill()
        await process.communicate()
        while read_server_file(tmp_path) is not None:
            await asyncio.sleep(0.02)

    assert server is not None


async def test_a_project_that_cannot_be_served_says_why(tmp_path: Path) -> None:
    nothing = await chatrun("chat", folder=tmp_path, piped="hi")
    (tmp_path / "chatrun.toml").write_text("[server]\nport = 'x'\n")
    wrong = await chatrun("chat", folder=tmp_path, piped="hi")

    assert nothing.code == 1
    assert nothing.err == f"chatrun: no task was found in {tmp_path}: `chatrun init` writes one\n"
    assert wrong.code == 1
    assert "`chatrun dev` could not start: " in wrong.err
    assert "port is 'x'; it must be a whole number" in wrong.err


async def test_serving_for_production_prints_no_token(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALKATIVE)
    without = await chatrun("serve", folder=tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatrun", "serve", "--port", "0"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        env={**clean_environment(), "CHATRUN_SECRET_KEY": "s"},
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        lines = [(await process.stdout.readline()).decode() for _ in range(3)]
        url = lines[0].split()[2]
        ran = await chatrun(
            *("chat", "talk", "hi", "--url", url),
            folder=tmp_path,
            env={"CHATRUN_SECRET_KEY": "s"},
        )
        process.terminate()
        await process.communicate()

    assert without.code == 1
    assert without.err.startswith("chatrun: `chatrun serve` needs a secret: set CHATRUN_SECRET_KEY")
    assert (ran.out, lines[1:]) == ("You said: hi\n", ["  talk  talk.py:11\n", f"  page {url}/\n"])
    assert process.returncode == 0
