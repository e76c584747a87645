"""The event log: what happened in a project, appended to `.chatrun/logs/events.jsonl`.

A line of JSON each, never with what was said, a token, a key or the text of an error. Two files
of bounded size: the one that is written, and the one before it.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from chatrun.dev.events import (
    FileBroken,
    Ready,
    Reloaded,
    ReloadFailed,
    TurnEnded,
    event_json,
)
from chatrun.wire.secret import open_private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    from chatrun.dev.events import Event
    from chatrun.worker.protocol import BrokenFile, TaskInfo

logger = logging.getLogger("chatrun.event_log")

FOLDER: Final = "logs"
FILE: Final = "events.jsonl"
FILE_BEFORE: Final = "events.1.jsonl"
LIMIT_BYTES: Final = 5_000_000
"""How large a file grows before the next one is begun."""
WAITING: Final = 10_000
"""How many events may wait for the disk; what comes then is counted, and otherwise lost."""
BATCH: Final = 500
_OWNERS_ONLY: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


class EventLog:
    """Appends events from a thread of its own; a context to be entered round the server's life.

    A disk that is slow or full never holds up the server: events are lost instead.
    """

    def __init__(
        self,
        folder: Path,
        *,
        limit_bytes: int = LIMIT_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Log in the project `folder`."""
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._waiting: queue.Queue[tuple[float, Event] | None] = queue.Queue(WAITING)
        self._lost = 0
        self._file: int | None = None
        self._thread = threading.Thread(target=self._work, name="event-log", daemon=True)

    def write(self, event: Event) -> None:
        """Hand over `event`, without waiting."""
        try:
            self._waiting.put_nowait((self._clock(), event))
        except queue.Full:
            self._lost += 1

    def __enter__(self) -> EventLog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Return once everything is written; at the latest in two seconds."""
        try:
            self._waiting.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(timeout=1)

    # --- the thread -------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while self._write_waiting():
                pass
        except Exception as exc:
            logger.warning("events are no longer logged: %s", exc)
            while self._waiting.get() is not None:
                pass
        finally:
            self._close()

    def _write_waiting(self) -> bool:
        """Write what waits, once there is anything; False behind the last event."""
        found = [self._waiting.get()]
        while len(found) < BATCH and not self._waiting.empty():
            found.append(self._waiting.get())
        records = [log_record(event, at=at) for at, event in filter(None, found)]
        lost, self._lost = self._lost, 0
        if lost:
            records.append({"at": _moment(self._clock()), "event": "events-lost", "count": lost})
        if records:
            self._append(b"".join(map(_line, records)))
        return None not in found

    def _append(self, lines: bytes) -> None:
        folder = open_private_folder(self._folder) / FOLDER
        path = folder / FILE
        if self._file is not None and not _is_at(self._file, path):
            self._close()  # another server has begun the next file, or somebody has deleted it
        size = os.fstat(self._open(path)).st_size
        if size and size + len(lines) > self._limit_bytes:
            self._close()
            path.replace(folder / FILE_BEFORE)
        os.write(self._open(path), lines)

    def _open(self, path: Path) -> int:
        if self._file is None:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._file = os.open(path, _OWNERS_ONLY, 0o600)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def log_record(event: Event, *, at: float) -> dict[str, Any]:
    """Return `event` as it is logged: without the texts that may hold what nobody should keep."""
    told = event_json(event)
    match event:
        case Ready():
            kept = {"url": event.url, "took_s": event.took_s, "tasks": _ids(event.tasks)}
        case Reloaded():
            kept = {**asdict(event), "tasks": _ids(event.tasks)}
        case FileBroken(fault):
            kept = {"where": _place(fault)}
        case ReloadFailed():
            places = [_place(fault) for fault in event.faults]
            kept = {"changed": event.changed, "where": places}
        case TurnEnded():
            kept = {**asdict(event)}
            del kept["error"], kept["trace"]
        case _:
            kept = told
    return {"at": _moment(at), "event": told["event"], **kept}


def _ids(tasks: Iterable[TaskInfo]) -> list[str]:
    return [task.id for task in tasks]


def _place(fault: BrokenFile) -> str:
    return fault.file if fault.line is None else f"{fault.file}:{fault.line}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record) + b"\n"
    except TypeError:  # a lone surrogate: names come from outside
        import json

        return json.dumps(record).encode() + b"\n"


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False
