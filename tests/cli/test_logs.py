"""`chatrun logs`, beside a server and after it; and the lines in which events are told."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from chatrun.cli.dev_console import LineConsole
from chatrun.cli.event_lines import event_line
from chatrun.dev.event_log import EventLog
from chatrun.dev.events import (
    Event,
    HookEnded,
    RunEnded,
    RunStarted,
    StepEnded,
    ToolEnded,
    TurnStarted,
)
from tests.cli.running import WAIT_S, chatrun
from tests.support.server import clean_environment, dev_server
from tests.support.talkative import TALKATIVE

if TYPE_CHECKING:
    from pathlib import Path

NOON = time.strptime("12:00:00", "%H:%M:%S")
USAGE = {"inputTokens": 10, "outputTokens": 2}

LINES = [
    (
        RunStarted("c1", "my-chat", True, False, "session_1", "run_1"),
        "my-chat c1 run run_1 started (continuation)",
    ),
    (
        RunEnded("c1", "my-chat", "idle", 1, 2.25, None, "session_1", "run_1"),
        "my-chat c1 run run_1 ended: idle (2.2 s, 1 turn)",
    ),
    (TurnStarted("c1", "my-chat", 3), "my-chat c1 turn 3 started"),
    (
        StepEnded("c1", "my-chat", 3, 1, "openai:x", True, 1.26, 0.314, "stop", USAGE),
        "my-chat c1 turn 3 step 1 openai:x stop (1.3 s, first chunk 0.31 s, 10 → 2 tokens)",
    ),
    (
        StepEnded("c1", "my-chat", 3, 1, "openai:x", False, 1.2, error_type="cancelled"),
        "my-chat c1 turn 3 step 1 openai:x broke off (1.2 s): cancelled",
    ),
    (
        ToolEnded("c1", "my-chat", 3, "look", False, 0.1, "KeyError"),
        "my-chat c1 turn 3 tool look failed (0.10 s): KeyError",
    ),
    (
        HookEnded("c1", "my-chat", 3, "on_turn_start", "greet", True, 0.1),
        "my-chat c1 turn 3 hook on_turn_start greet ran (0.10 s)",
    ),
]


@pytest.mark.parametrize(("event", "line"), LINES)
def test_the_console_tells_of_all_parts_only_when_verbose(event: Event, line: str) -> None:
    lines: list[str] = []
    for verbose in (False, True):
        LineConsole(write=lines.append, colour=False, verbose=verbose, clock=lambda: NOON).show(
            event
        )

    assert lines == [f"12:00:00 {line}"]


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            {"event": "ready", "url": "http://x", "took_s": 0.5, "tasks": ["a", "b"]},
            "ready at http://x (0.50 s): a, b",
        ),
        (
            {"event": "turn-ended", "chat_id": "c", "task_id": "t", "turn": 0, "outcome": "failed"}
            | {"took_s": 0.1, "error_type": "KeyError", "where": "a.py:3"},
            "t c turn 0 failed (0.1 s): KeyError · a.py:3",
        ),
        (
            {"event": "reloaded", "changed": ["a.py"], "took_s": 0.04},
            "reloaded a.py (40 ms)",
        ),
        (
            {"event": "reload-failed", "changed": ["a.py"], "where": ["a.py:3"]},
            "not reloaded, the last good code answers: a.py:3",
        ),
        ({"event": "file-broken", "where": "a.py:3"}, "a.py:3 cannot be imported"),
        (
            {"event": "worker-died", "why": "was killed"},
            "a worker was killed; another takes over its chats",
        ),
        ({"event": "stopping", "open_turns": 2}, "stopping with 2 open turns"),
        ({"event": "of-another-version"}, "of-another-version"),
        ({"event": "turn-ended", "chat_id": "c"}, "c turn-ended"),
        ({"event": "turn-started", "chat_id": "\x1b[2Jc", "turn": "\n1"}, "c turn 1 started"),
    ],
)
def test_what_was_logged_is_told_in_a_line(record: dict[str, Any], line: str) -> None:
    assert event_line(record) == line


async def test_what_happened_is_read_beside_the_server_and_follows_it(tmp_path: Path) -> None:
    async with dev_server({"talk.py": TALKATIVE}) as dev:
        for chat_id in ("one", "two"):
            asked = await chatrun(
                *("chat", "talk", "a secret", "--session", chat_id), folder=dev.folder
            )
            assert asked.out == "You said: a secret\n"
        await dev.event("turn-ended", nth=1)

        shown = await chatrun("logs", folder=dev.folder)
        of_two = await chatrun("logs", "--json", "--session", "two", folder=dev.folder)
        last = await chatrun("logs", "-n", "1", "--session", "one", folder=dev.folder)
    after = await chatrun("logs", "--dir", str(tmp_path), folder=tmp_path)

    events = [json.loads(line) for line in of_two.out.splitlines()]
    assert [e["event"] for e in events] == ["run-started", "turn-started", "turn-ended"]
    assert {e["chat_id"] for e in events} == {"two"}
    assert "talk two turn 0 finished" in shown.out
    assert "ready at http://" in shown.out
    assert last.out.count("\n") == 1
    assert "a secret" not in shown.out + of_two.out
    assert (after.code, after.out) == (0, "")
    assert after.err.startswith("nothing was logged: ")


async def test_following_shows_what_happens_from_then_on_until_it_is_interrupted(
    tmp_path: Path,
) -> None:
    following = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatrun", "logs", "--follow"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )
    assert following.stdout is not None
    with EventLog(tmp_path) as log:
        log.write(TurnStarted("c1", "my-chat", 7))
        async with asyncio.timeout(WAIT_S):
            line = await following.stdout.readline()
    following.send_signal(signal.SIGINT)

    assert line.decode().endswith(" my-chat c1 turn 7 started\n")
    async with asyncio.timeout(WAIT_S):
        assert await following.wait() == 130
