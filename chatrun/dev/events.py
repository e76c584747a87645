"""What `dev` and `serve` tell the person at the console: values, for any way of showing them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
class TurnStarted:
    """A turn began."""

    chat_id: str
    task_id: str
    turn: int


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


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """A worker process ended by itself; another takes over."""

    why: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """The server was asked to end; turns that run have a moment to finish."""

    open_turns: int


Event = (
    Ready | FileBroken | Reloaded | ReloadFailed | TurnStarted | TurnEnded | WorkerDied | Stopping
)

_NAMES = {
    Ready: "ready",
    FileBroken: "file-broken",
    Reloaded: "reloaded",
    ReloadFailed: "reload-failed",
    TurnStarted: "turn-started",
    TurnEnded: "turn-ended",
    WorkerDied: "worker-died",
    Stopping: "stopping",
}


def event_json(event: Event) -> dict[str, Any]:
    """Return `event` as `--json` prints it."""
    return {"event": _NAMES[type(event)], **asdict(event)}
