"""What `dev` and `serve` tell the person at the console: values, for any way of showing them."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.worker.protocol import BrokenFile, TaskInfo


@dataclass(frozen=True, slots=True)
class Ready:
    """The server answers; told once."""

    url: str
    page: str
    """The page's URL with a token in its fragment."""
    tasks: tuple[TaskInfo, ...]
    took_s: float
    """Since the process began."""


@dataclass(frozen=True, slots=True)
class FileBroken:
    """A file could not be imported, or a task in it was refused."""

    fault: BrokenFile


@dataclass(frozen=True, slots=True)
class Reloaded:
    """New code answers from now on."""

    took_s: float
    """Since the save was noticed."""
    changed: tuple[str, ...]
    """The files that were saved, relative to the project."""
    tasks: tuple[TaskInfo, ...]
    draining: int
    """Turns that finish on the code before."""


@dataclass(frozen=True, slots=True)
class ReloadFailed:
    """The code that was saved cannot be loaded; the code before answers on."""

    changed: tuple[str, ...]
    faults: tuple[BrokenFile, ...]
    reason: str = ""
    """What happened where no file is at fault."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began to serve a session."""

    chat_id: str
    task_id: str
    continuation: bool
    """Whether an earlier run has served the session already."""
    preloaded: bool = False
    """Whether it was started ahead of its first message."""
    session_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run is over."""

    chat_id: str
    task_id: str
    reason: str
    """asked, idle, closed, max-turns, ended, upgrade, boot-failed, lost, cancelled or failed."""
    turns: int
    took_s: float
    error_type: str | None = None
    session_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn began."""

    chat_id: str
    task_id: str
    turn: int
    session_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn ended."""

    chat_id: str
    task_id: str
    turn: int
    outcome: str
    """finished, stopped, timed-out or failed."""
    took_s: float
    error: str | None = None
    """What failed it, one sentence."""
    where: str | None = None
    """The user's file and line at fault, `tasks/chat.py:12`."""
    trace: str | None = None
    error_type: str | None = None
    """The kind of what failed it: a code of ours, or the name of an exception's class."""
    session_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A call of a model is over; its tools come next."""

    chat_id: str
    task_id: str
    turn: int
    step: int
    """From 0, in its answer."""
    model: str
    ok: bool
    took_s: float
    """With all retries, to the end of the stream."""
    first_chunk_s: float | None = None
    """Until the first chunk; None when there was none."""
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    """The tokens, as the AI SDK counts them."""
    error_type: str | None = None
    """The kind of what ended it; "cancelled" when it was stopped."""
    session_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """A tool has run."""

    chat_id: str
    task_id: str
    turn: int
    name: str
    ok: bool
    took_s: float
    error_type: str | None = None
    session_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class HookEnded:
    """A hook of a task has run."""

    chat_id: str
    task_id: str
    turn: int
    name: str
    """The point, as in `on_turn_start`."""
    function: str
    """The user's function."""
    ok: bool
    took_s: float
    error_type: str | None = None
    session_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """A worker process ended by itself; another takes over."""

    why: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """The server was asked to end; turns that run have a moment to finish."""

    open_turns: int


Reported = RunStarted | RunEnded | TurnStarted | TurnEnded | StepEnded | ToolEnded | HookEnded
"""What workers tell; the rest the server knows itself."""

Event = Ready | FileBroken | Reloaded | ReloadFailed | Reported | WorkerDied | Stopping

_REPORTED: Mapping[str, type[Reported]] = {
    "run-started": RunStarted,
    "run-ended": RunEnded,
    "turn-started": TurnStarted,
    "turn-ended": TurnEnded,
    "step-ended": StepEnded,
    "tool-ended": ToolEnded,
    "hook-ended": HookEnded,
}
_NAMES: Mapping[type[Event], str] = {
    Ready: "ready",
    FileBroken: "file-broken",
    Reloaded: "reloaded",
    ReloadFailed: "reload-failed",
    **{kind: name for name, kind in _REPORTED.items()},
    WorkerDied: "worker-died",
    Stopping: "stopping",
}


def reported(report: Mapping[str, Any], *, folder: str) -> Reported | None:
    """Return what a worker reports as an event; None for what is only for other programs.

    `folder` is the project's: places in it are told relative to it.
    """
    kind = _REPORTED.get(report["event"])
    if kind is None:
        return None
    known = {name: report[name] for name in kind.__dataclass_fields__ if name in report}
    where = known.get("where")
    if where is not None:
        known["where"] = where.removeprefix(f"{folder}{os.sep}")
    return kind(**known)


def event_json(event: Event) -> dict[str, Any]:
    """Return `event` as `--json` prints it."""
    return {"event": _NAMES[type(event)], **asdict(event)}
