"""The event log, and how it is read while it is written."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from chatrun.dev.event_log import EventLog, log_record
from chatrun.dev.event_reader import EventReader
from chatrun.dev.events import (
    Event,
    FileBroken,
    Ready,
    Reloaded,
    ReloadFailed,
    Stopping,
    ToolEnded,
    TurnEnded,
    TurnStarted,
    WorkerDied,
    reported,
)
from chatrun.worker.protocol import BrokenFile, TaskInfo

if TYPE_CHECKING:
    from pathlib import Path

NOON = 1_800_000_000.25
AT = "2027-01-15T08:00:00.250Z"
TASK = TaskInfo("my-chat", "tasks/chat.py", 5)
SECRET = "sk-secret"
FAULT = BrokenFile("a.py", 3, f"KeyError: {SECRET}", code=f"x = '{SECRET}'", trace=SECRET)


def written(folder: Path, *events: Event, **options: Any) -> None:
    """Write `events` as one server does, from its start to its end."""
    with EventLog(folder, clock=lambda: NOON, **options) as log:
        for event in events:
            log.write(event)


def turns(reader: EventReader) -> list[int]:
    return [event["turn"] for event in reader.read()]


def test_events_are_lines_of_json_that_only_their_owner_may_read(tmp_path: Path) -> None:
    written(tmp_path, TurnStarted("c1", "my-chat", 0, "session_1", "run_1"), Stopping(1))

    file = tmp_path / ".chatrun/logs/events.jsonl"
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {
            "at": AT,
            "event": "turn-started",
            "chat_id": "c1",
            "task_id": "my-chat",
            "turn": 0,
            "session_id": "session_1",
            "run_id": "run_1",
        },
        {"at": AT, "event": "stopping", "open_turns": 1},
    ]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)]
    assert modes == [0o600, 0o700]


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        (
            Ready("http://x", f"http://x/#token={SECRET}", (TASK,), 0.5),
            {"event": "ready", "url": "http://x", "took_s": 0.5, "tasks": ["my-chat"]},
        ),
        (FileBroken(FAULT), {"event": "file-broken", "where": "a.py:3"}),
        (
            ReloadFailed(("a.py",), (FAULT,), SECRET),
            {"event": "reload-failed", "changed": ("a.py",), "where": ["a.py:3"]},
        ),
        (
            Reloaded(0.1, ("a.py",), (TASK,), 0),
            {
                "event": "reloaded",
                "took_s": 0.1,
                "changed": ("a.py",),
                "tasks": ["my-chat"],
                "draining": 0,
            },
        ),
        (
            TurnEnded("c", "t", 0, "failed", 1.0, SECRET, "a.py:3", SECRET, "KeyError"),
            {
                "event": "turn-ended",
                "chat_id": "c",
                "task_id": "t",
                "turn": 0,
                "outcome": "failed",
                "took_s": 1.0,
                "where": "a.py:3",
                "error_type": "KeyError",
                "session_id": "",
                "run_id": "",
            },
        ),
        (WorkerDied("was killed"), {"event": "worker-died", "why": "was killed"}),
    ],
)
def test_tokens_and_the_texts_of_errors_are_not_logged(event: Event, kept: Any) -> None:
    assert log_record(event, at=NOON) == {"at": AT, **kept}


def test_a_full_file_is_put_aside_and_the_one_before_it_is_gone(tmp_path: Path) -> None:
    for number in range(5):
        written(tmp_path, TurnStarted("c", "t", number), limit_bytes=250)

    files = sorted(path.name for path in (tmp_path / ".chatrun/logs").iterdir())
    assert files == ["events.1.jsonl", "events.jsonl"]
    with EventReader(tmp_path) as reader:
        assert turns(reader) == [2, 3, 4]


def test_a_reader_gets_each_event_once_however_often_the_file_changes(tmp_path: Path) -> None:
    found = []
    with EventReader(tmp_path) as reader:
        found += turns(reader)
        for number in range(9):
            written(tmp_path, TurnStarted("c", "t", number), limit_bytes=250)
            found += turns(reader)

    assert found == list(range(9))


def test_half_a_line_is_read_when_it_is_whole_and_junk_never(tmp_path: Path) -> None:
    written(tmp_path, TurnStarted("c", "t", 0))
    file = tmp_path / ".chatrun/logs/events.jsonl"
    with EventReader(tmp_path) as reader, file.open("a") as more:
        more.write('not json\n[]\n{"event": "x", ')
        more.flush()
        first = turns(reader)
        more.write('"turn": 1}\n')
        more.flush()

        assert (first, turns(reader)) == ([0], [1])


def test_a_log_that_cannot_be_written_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".chatrun").mkdir(mode=0o700)
    (tmp_path / ".chatrun/logs").write_text("a file is in the way")

    written(tmp_path, *(TurnStarted("c", "t", number) for number in range(1000)))

    assert "events are no longer logged" in caplog.text


def test_what_comes_too_fast_is_counted(tmp_path: Path) -> None:
    log = EventLog(tmp_path, clock=lambda: NOON)
    for number in range(10_003):  # before its thread begins
        log.write(TurnStarted("c", "t", number))
    with log:
        pass

    with EventReader(tmp_path) as reader:
        found = list(reader.read())
    lost = [event for event in found if event["event"] == "events-lost"]
    assert (len(found), lost) == (10_001, [{"at": AT, "event": "events-lost", "count": 3}])


def test_a_report_of_a_worker_is_an_event_with_places_relative_to_the_project() -> None:
    where = {"chat_id": "c", "task_id": "t", "turn": 1, "session_id": "s", "run_id": "r"}
    ended = {"outcome": "failed", "took_s": 0.1, "error_type": "KeyError", "new": "ignored"}

    told = reported(
        {"event": "turn-ended", **where, **ended, "where": "/home/me/a/b.py:3"}, folder="/home/me/a"
    )
    tool = reported(
        {"event": "tool-ended", **where, "name": "look", "ok": True, "took_s": 0.2}, folder="/x"
    )

    assert told == TurnEnded(
        "c", "t", 1, "failed", 0.1, None, "b.py:3", None, "KeyError", session_id="s", run_id="r"
    )
    assert tool == ToolEnded("c", "t", 1, "look", True, 0.2, session_id="s", run_id="r")
    assert reported({"event": "turn-settled", **where}, folder="/x") is None
