"""What server and worker say to each other, as values and as frames.

The server says `Configure`, then `StartRun`, `Deliver`, `Leave`, `Drop`, `Acknowledge`,
`Committed`, `RunLost`, `Ping`; the worker says `Ready`, then `Write`, `RunEnded`, `Imported`,
`Report`, `Pong`.
A run is named by a number that is unique within its link.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.store.base import (
    OutWrite,
    PutMessage,
    RemoveMessage,
    TranscriptChange,
    TruncateAfter,
)
from chatrun.wire.records import InRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Frame = tuple[dict[str, Any], bytes]


@dataclass(frozen=True, slots=True)
class Configure:
    """The first message: which code to load, and how to run it."""

    root: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    show_errors: bool = False
    dotenv: str | None = None
    url: str | None = None
    """Where the server answers, for tasks that talk to other tasks."""
    secret: str = field(default="", repr=False)
    """The key to it."""


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task that a worker serves."""

    id: str
    file: str
    line: int
    description: str = ""
    on_disconnect: str = "stop"
    busy: str = "queue"

    def to_json(self) -> dict[str, Any]:
        """Return it as `/api/v1/tasks` shows it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file that could not be imported, or a task in it that was refused."""

    file: str
    line: int | None
    message: str
    """One sentence."""
    code: str = ""
    """The line of code at fault, empty where there is none."""
    trace: str = ""
    """The traceback within the user's files."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has imported the user's code."""

    pid: int
    tasks: tuple[TaskInfo, ...]
    broken: tuple[BrokenFile, ...]
    files: tuple[str, ...] = ()
    """Every file of the project that was imported, tasks or not."""
    modules: tuple[str, ...] = ()
    """Every other module that was imported, in the order of their imports."""


@dataclass(frozen=True, slots=True)
class StartRun:
    """Serve a session from here on."""

    run: int
    run_id: str
    session_id: str
    chat_id: str
    task_id: str
    previous_run_id: str | None
    preloaded: bool
    in_cursor: int
    state: Mapping[str, Any]
    messages: tuple[bytes, ...] = ()
    """The transcript, oldest first, as JSON."""
    records: tuple[InRecord, ...] = ()
    """What waits on `in`."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Records that were appended to `in`."""

    run: int
    records: tuple[InRecord, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """End a run after its turn; None means every run."""

    run: int | None = None
    stop: bool = False
    """Stop the turn as well."""


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """So many bytes of a run's records are durable."""

    run: int
    size: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A write that waited for its answer is durable, and all before it."""

    run: int
    last: int


@dataclass(frozen=True, slots=True)
class RunLost:
    """A run has lost its session: end it, nothing it writes is kept."""

    run: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with `Pong`."""

    number: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to `Ping`."""

    number: int


@dataclass(frozen=True, slots=True)
class Write:
    """Something a run writes; with `waits` it wants `Committed`."""

    run: int
    write: OutWrite
    waits: bool = False


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run is over."""

    run: int
    reason: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """Modules that were imported since `Ready`, while runs were served."""

    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Something to tell the person at the console."""

    event: Mapping[str, Any]


ToWorker = Configure | StartRun | Deliver | Leave | Acknowledge | Committed | RunLost | Ping
ToServer = Ready | Write | RunEnded | Imported | Report | Pong
Message = ToWorker | ToServer


def to_frame(message: Message) -> Frame:
    """Return `message` as header and body."""
    match message:
        case Write():
            return _write_frame(message)
        case StartRun() | Deliver():
            return _records_frame(message)
        case Ready():
            return {"t": "Ready", "pid": message.pid}, orjson.dumps(asdict(message))
        case Imported(modules):
            return {"t": "Imported"}, orjson.dumps(modules)
        case Report(event):
            return {"t": "Report"}, orjson.dumps(event, default=str)
        case Configure() | Leave() | Acknowledge() | Committed() | RunLost() | Ping() | Pong():
            return {"t": type(message).__name__, **asdict(message)}, b""
        case RunEnded(run, reason, error):
            header = {"t": "RunEnded", "run": run, "reason": reason}
            return header, (error or "").encode("utf-8", "replace")


def from_frame(header: Mapping[str, Any], body: bytes) -> Message:
    """Return the message that a frame carries.

    Raises:
        KeyError, TypeError, ValueError: It carries none; the peer is not one of ours.
    """
    return _READERS[header["t"]](header, body)


def _write_frame(message: Write) -> Frame:
    write = message.write
    lines = b"\n".join(write.lines)
    header: dict[str, Any] = {"t": "Write", "run": message.run}
    if write.lines:
        header["n"] = len(lines)
    if message.waits:
        header["waits"] = True
    if write.in_cursor is not None:
        header["in"] = write.in_cursor
    if write.state is not None:
        header["state"] = write.state
    if write.ends_turn:
        header["ends"] = True
    if not write.changes:
        return header, lines
    bodies = [change.body for change in write.changes if isinstance(change, PutMessage)]
    index = orjson.dumps([_change_header(change) for change in write.changes])
    header["index"] = len(index)
    return header, b"".join((lines, index, *bodies))


def _change_header(change: TranscriptChange) -> list[Any]:
    match change:
        case PutMessage(message_id, body):
            return ["put", message_id, len(body)]
        case RemoveMessage(message_id):
            return ["remove", message_id]
        case TruncateAfter(message_id):
            return ["cut", message_id]


def _read_write(header: Mapping[str, Any], body: bytes) -> Write:
    size = header.get("n")
    lines = tuple(body[:size].split(b"\n")) if size is not None else ()
    at = size or 0
    changes: tuple[TranscriptChange, ...] = ()
    if "index" in header:
        end = at + header["index"]
        changes = tuple(_read_changes(orjson.loads(body[at:end]), body, end))
    return Write(
        header["run"],
        OutWrite(
            lines=lines,
            changes=changes,
            in_cursor=header.get("in"),
            state=header.get("state"),
            ends_turn=header.get("ends", False),
        ),
        header.get("waits", False),
    )


def _read_changes(index: Sequence[Any], body: bytes, at: int) -> list[TranscriptChange]:
    changes: list[TranscriptChange] = []
    for kind, message_id, *size in index:
        if kind == "put":
            changes.append(PutMessage(message_id, body[at : at + size[0]]))
            at += size[0]
        else:
            changes.append((RemoveMessage if kind == "remove" else TruncateAfter)(message_id))
    return changes


def _records_frame(message: StartRun | Deliver) -> Frame:
    """Records and messages go into the body: a header is small."""
    header = {
        name: getattr(message, name)
        for name in type(message).__slots__
        if name not in ("records", "messages", "state")
    }
    content = {
        "records": [[r.seq, r.at_ms, r.part_id, r.body] for r in message.records],
        "messages": [orjson.Fragment(raw) for raw in getattr(message, "messages", ())],
        "state": getattr(message, "state", None),
    }
    return {"t": type(message).__name__, **header}, orjson.dumps(content)


def _read_start(header: Mapping[str, Any], body: bytes) -> StartRun:
    content = orjson.loads(body)
    return StartRun(
        **_fields(header),
        state=content["state"],
        messages=tuple(map(orjson.dumps, content["messages"])),
        records=_read_records(content),
    )


def _read_records(content: Mapping[str, Any]) -> tuple[InRecord, ...]:
    return tuple(InRecord(*record) for record in content["records"])


def _read_ready(_header: Mapping[str, Any], body: bytes) -> Ready:
    content = orjson.loads(body)
    return Ready(
        content["pid"],
        tuple(TaskInfo(**task) for task in content["tasks"]),
        tuple(BrokenFile(**file) for file in content["broken"]),
        tuple(content["files"]),
        tuple(content["modules"]),
    )


def _fields(header: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in header.items() if name != "t"}


def _plain(kind: type[Any]) -> Callable[[Mapping[str, Any], bytes], Any]:
    return lambda header, _body: kind(**_fields(header))


def _read_configure(header: Mapping[str, Any], _body: bytes) -> Configure:
    fields = _fields(header)
    fields["include"], fields["exclude"] = tuple(fields["include"]), tuple(fields["exclude"])
    return Configure(**fields)


_READERS: Mapping[str, Callable[[Mapping[str, Any], bytes], Message]] = {
    "Configure": _read_configure,
    "StartRun": _read_start,
    "Deliver": lambda h, b: Deliver(h["run"], _read_records(orjson.loads(b))),
    "Ready": _read_ready,
    "Write": _read_write,
    "Imported": lambda _h, b: Imported(tuple(orjson.loads(b))),
    "Report": lambda _h, b: Report(orjson.loads(b)),
    "RunEnded": lambda h, b: RunEnded(h["run"], h["reason"], b.decode() or None),
    **{
        kind.__name__: _plain(kind) for kind in (Leave, Acknowledge, Committed, RunLost, Ping, Pong)
    },
}
