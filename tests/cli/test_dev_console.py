"""How `dev` and `serve` tell what happens."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from chatrun.cli.dev_console import JsonConsole, LineConsole
from chatrun.dev.events import (
    Event,
    FileBroken,
    Ready,
    Reloaded,
    ReloadFailed,
    Stopping,
    TurnEnded,
    TurnStarted,
    WorkerDied,
)
from chatrun.worker.protocol import BrokenFile, TaskInfo

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = time.strptime("12:00:00", "%H:%M:%S")
TASK = TaskInfo("my-chat", "tasks/chat.py", 5)
OTHER = TaskInfo("a", "tasks/a.py", 12)
FAULT = BrokenFile("tasks/chat.py", 3, "tasks/chat.py:3 cannot be imported: SyntaxError", "x = (")


def shown(event: Event, **options: bool) -> list[str]:
    """Return the lines that tell of `event`, at noon."""
    lines: list[str] = []
    console = LineConsole(write=lines.append, colour=False, clock=lambda: NOON, **options)
    console.show(event)
    return lines


READY = Ready("http://localhost:2428", "http://localhost:2428/#token=t", (TASK, OTHER), 0.417)


def test_one_line_says_that_it_is_ready_and_when_it_was() -> None:
    assert shown(READY) == [
        "chatrun at http://localhost:2428 · ready in 0.42 s",
        "  my-chat  tasks/chat.py:5",
        "  a        tasks/a.py:12",
        "  page http://localhost:2428/#token=t",
    ]


def test_the_keys_are_told_where_there_are_any() -> None:
    last = shown(READY, keys=True)[-1]

    assert last == "  keys c chat · o open page · r reload · h help · q quit"


def test_a_project_without_tasks_is_told_how_to_get_one() -> None:
    lines = shown(Ready("http://localhost:1", "http://localhost:1/", (), 0.1))

    assert "  no task was found: `chatrun init` writes one" in lines


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (
            Reloaded(0.038, ("tasks/chat.py",), (TASK,), 0),
            ["12:00:00 reloaded tasks/chat.py (38 ms)"],
        ),
        (
            Reloaded(0.038, ("a.py", "b.py", "c.py", "d.py", "e.py"), (TASK,), 2),
            [
                "12:00:00 reloaded a.py, b.py, c.py and 2 more (38 ms) · "
                "2 turns finishing on the code before"
            ],
        ),
        (
            ReloadFailed(("tasks/chat.py",), (FAULT,)),
            [
                "12:00:00 not reloaded, the last good code answers",
                "12:00:00 tasks/chat.py:3 cannot be imported: SyntaxError",
                "         x = (",
            ],
        ),
        (
            ReloadFailed((), (), "the worker exited"),
            ["12:00:00 not reloaded, the last good code answers: the worker exited"],
        ),
        (
            FileBroken(FAULT),
            [
                "12:00:00 tasks/chat.py:3 cannot be imported: SyntaxError",
                "         x = (",
            ],
        ),
        (TurnStarted("c1", "my-chat", 0), []),
        (
            TurnEnded("c1", "my-chat", 3, "finished", 1.24),
            ["12:00:00 my-chat c1 turn 3 finished (1.2 s)"],
        ),
        (
            TurnEnded("c1", "my-chat", 3, "failed", 0.3, "boom", "tasks/chat.py:9", "  File x\n"),
            [
                "12:00:00 my-chat c1 turn 3 failed (0.3 s): boom · tasks/chat.py:9",
                "           File x",
            ],
        ),
        (
            WorkerDied("was killed by SIGKILL"),
            ["12:00:00 a worker was killed by SIGKILL; another takes over its chats"],
        ),
        (Stopping(0), ["12:00:00 stopping"]),
        (Stopping(1), ["12:00:00 stopping; 1 turn may finish"]),
    ],
)
def test_each_event_is_told_in_a_line(event: Event, lines: list[str]) -> None:
    assert shown(event) == lines


def test_what_users_and_errors_say_cannot_steer_the_terminal() -> None:
    ended = TurnEnded(
        "c\x1b[2J", "my-chat", 0, "failed", 0, "a\x1b]52;c;eA==\x07\nb", "x\x9b", "\x1bc"
    )

    assert "\x1b" not in "".join(shown(ended))
    assert shown(ended)[0] == "12:00:00 my-chat c turn 0 failed (0.0 s): a b · x"


def test_colour_changes_nothing_but_the_colour(strip: Callable[[str], str]) -> None:
    painted: list[str] = []
    LineConsole(write=painted.append, colour=True, clock=lambda: NOON).show(READY)

    assert "\x1b[" in painted[0]
    assert [strip(line) for line in painted] == shown(READY)


@pytest.fixture
def strip() -> Callable[[str], str]:
    from rich.text import Text

    return lambda line: Text.from_ansi(line).plain


def test_as_json_each_event_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    console = JsonConsole()
    console.show(READY)
    console.show(FileBroken(FAULT))
    console.show(Stopping(1))

    ready, broken, stopping = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (ready["event"], ready["url"], ready["page"]) == ("ready", READY.url, READY.page)
    assert ready["took_s"] == 0.417
    assert [(t["id"], t["file"], t["line"]) for t in ready["tasks"]] == [
        ("my-chat", "tasks/chat.py", 5),
        ("a", "tasks/a.py", 12),
    ]
    assert broken["event"] == "file-broken"
    assert (broken["fault"]["file"], broken["fault"]["line"]) == ("tasks/chat.py", 3)
    assert stopping == {"event": "stopping", "open_turns": 1}
