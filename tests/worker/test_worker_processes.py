"""What user code does to its worker, and what that does to everybody else: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.live import served_project

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """
import asyncio, os, signal, sys, time
from chatrun import chat

@chat.task("echo")
async def echo(turn):
    return f"v1 {turn.text}"

@chat.task("bad")
async def bad(turn):
    if turn.text == "ok":
        yield "fine"
        return
    yield "partly"
    await asyncio.sleep(0.02)  # the partial answer is on its way
    match turn.text:
        case "exit":
            os._exit(7)
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "block":
            time.sleep(60)
        case "wait":
            await asyncio.Event().wait()
        case "print":
            print("x" * 1_000_000)

@chat.task("dies-first")
async def dies_first(turn):
    os._exit(1)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(PROJECT)
    return tmp_path


@pytest.mark.parametrize(
    ("how", "why"), [("exit", "exited with code 7"), ("segfault", "was killed by SIGSEGV")]
)
async def test_a_task_that_ends_its_process_ends_its_turn_and_the_next_message_works(
    root: Path, how: str, why: str
) -> None:
    async with served_project(root) as served:
        chat = await served.chat("bad")
        died = await chat.send(how)
        after = await chat.send("ok")
        kept = await chat.messages()

    assert (died.outcome, died.text) == ("failed", "partly")
    assert why in (died.error or "")
    assert (after.outcome, after.text) == ("finished", "fine")
    assert [m["role"] for m in kept] == ["user", "assistant", "user", "assistant"]


async def test_a_task_that_kills_every_worker_before_it_says_anything_is_given_up(
    root: Path,
) -> None:
    async with served_project(root) as served:
        chat = await served.chat("dies-first")
        turn = await chat.send("hi")

    assert turn.outcome == "failed"
    assert "3 times in a row" in (turn.error or "")


async def test_a_stop_ends_the_turn_of_a_task_that_blocks_its_loop(root: Path) -> None:
    async with served_project(root, workers=1) as served:
        chat = await served.chat("bad")
        async with chat.begin("block") as turn:
            await turn.until("text-delta")
            await asyncio.sleep(0.1)
            began = asyncio.get_running_loop().time()
            await chat.stop()
            stopped = await turn.done()
            took_s = asyncio.get_running_loop().time() - began
        (worker,) = served.pool.workers
        worker.kill()  # it would be found out after a while
        after = await chat.send("ok")

    assert (stopped.outcome, stopped.text) == ("stopped", "partly")
    assert took_s < 5  # two seconds and some, on a busy machine
    assert after.outcome == "finished"


async def test_other_workers_notice_nothing_of_one_that_blocks_or_dies(root: Path) -> None:
    async with served_project(root, workers=2) as served:
        while len([w for w in served.pool.workers if w.tasks]) < 2:
            await asyncio.sleep(0.01)
        bad = await served.chat("bad", "bad-chat")
        good = await served.chat("echo", "good-chat")
        async with bad.begin("block") as blocked:
            await blocked.until("text-delta")
            answers = [(await good.send(f"{n}")).text for n in range(3)]
            next(w for w in served.pool.workers if w.runs).kill()

    assert answers == ["v1 0", "v1 1", "v1 2"]


async def test_new_code_answers_the_next_message_while_an_open_answer_finishes_on_its_own(
    root: Path,
) -> None:
    async with served_project(root) as served:
        old = await served.chat("bad", "old")
        echo = await served.chat("echo", "new")
        assert (await echo.send("a")).text == "v1 a"
        async with old.begin("wait") as turn:
            await turn.until("text-delta")
            (root / "tasks.py").write_text(PROJECT.replace("v1", "v2"))
            ready = await served.pool.replace()
            answer = (await echo.send("b")).text
            await old.stop()
            finished = await turn.done()
        while len(served.pool.workers) > 1:
            await asyncio.sleep(0.01)

    assert ready.broken == ()
    assert answer == "v2 b"
    assert (finished.outcome, finished.text) == ("stopped", "partly")


async def test_a_broken_save_changes_nothing_that_is_served(root: Path) -> None:
    async with served_project(root) as served:
        echo = await served.chat("echo")
        (root / "tasks.py").write_text("import chatrun\nbroken(\n")
        ready = await served.pool.replace()
        answer = (await echo.send("a")).text

    assert [fault.file for fault in ready.broken] == ["tasks.py"]
    assert answer == "v1 a"


async def test_a_worker_that_is_killed_is_replaced_and_a_waiting_turn_is_ended(
    root: Path,
) -> None:
    async with served_project(root) as served:
        chat = await served.chat("bad")
        async with chat.begin("wait") as turn:
            await turn.until("text-delta")
            pid = served.pool.workers[0].ready.result().pid
            os.kill(pid, signal.SIGKILL)
            ended = await turn.done()
        after = await chat.send("ok")

    assert "was killed by SIGKILL" in (ended.error or "")
    assert after.text == "fine"


async def test_a_failure_is_reported_with_the_users_file_and_line(root: Path) -> None:
    (root / "more.py").write_text(
        "from chatrun import chat\n@chat.task('raises')\nasync def t(turn):\n    return 1 / 0\n"
    )
    async with served_project(root) as served:
        chat = await served.chat("raises")
        await chat.send("hi")
        while not (told := [e for e in served.reports if e["event"] == "turn-ended"]):
            await asyncio.sleep(0.01)
        (ended,) = told

    assert ended["error"] == "ZeroDivisionError: division by zero"
    assert ended["where"] == f"{root / 'more.py'}:4"
