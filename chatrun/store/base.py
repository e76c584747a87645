"""The contract of every store: sessions, their two streams, their transcripts.

A session has an `in` stream, to which clients append, and an `out` stream and a transcript, which
only the run that holds the session's *epoch* may change. Numbers of records start at 0 in each
stream and have no gaps, ever: not after a trim, not after a restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from chatrun.wire.ids import START, Cursor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from chatrun.wire.records import InRecord, Line, OutBatch

Status = Literal["ACTIVE", "CLOSED", "EXPIRED"]


@dataclass(frozen=True, slots=True)
class NewSession:
    """What a client says of a session it wants to exist."""

    task_id: str
    external_id: str | None = None
    type: str = "chat.agent"
    trigger_config: Mapping[str, object] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, object] | None = None
    expires_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it stands in the store at one instant."""

    id: str
    external_id: str | None
    type: str
    task_id: str
    trigger_config: Mapping[str, object]
    tags: tuple[str, ...]
    metadata: Mapping[str, object] | None
    created_at_ms: int
    updated_at_ms: int
    """The last write to it, those that only append to `out` aside."""
    closed_at_ms: int | None
    closed_reason: str | None
    expires_at_ms: int | None
    run_id: str | None
    """The run that holds the session, None when none does."""
    previous_run_id: str | None
    """The run before, ended or fenced off, for `turn.previous_run_id`; None for none."""
    epoch: int
    """Raised by each claim; a write with an older one is refused."""
    in_tail: int
    """The number the next `in` record will get."""
    in_cursor: int
    """The last `in` record that was consumed: every one up to it is; -1 for none."""
    out_tail: int
    """The number the next `out` record will get."""
    out_base: int
    """The number of the first `out` record that is still kept."""
    turn_end: int
    """The number of the last turn-complete on `out`; -1 for none."""
    state: Mapping[str, object]
    """What the engine keeps of the session between turns; small JSON."""

    @property
    def key(self) -> str:
        """The id that clients use: the external one where there is one."""
        return self.external_id or self.id

    def status(self, now_ms: int) -> Status:
        """Return CLOSED, EXPIRED or ACTIVE, the first that applies at `now_ms`."""
        if self.closed_at_ms is not None:
            return "CLOSED"
        if self.expires_at_ms is not None and self.expires_at_ms <= now_ms:
            return "EXPIRED"
        return "ACTIVE"


@dataclass(frozen=True, slots=True)
class SessionChange:
    """What to change of a session."""

    tags: tuple[str, ...] | None = None
    """None keeps them."""
    trigger_config: Mapping[str, object] | None = None
    """None keeps it."""
    set_metadata: bool = False
    """Whether `metadata` is to replace what is there; None clears it then."""
    metadata: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """Which sessions to list; empty filters let everything pass. Newest first.

    At most one of `after` and `before` may be given.
    """

    limit: int = 20
    after: str | None = None
    """Session id: only sessions older than it."""
    before: str | None = None
    """Session id: only sessions newer than it, the closest ones; still newest first."""
    types: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """Sessions that carry any of these."""
    statuses: tuple[Status, ...] = ()
    external_id: str | None = None
    created_from_ms: int | None = None
    created_to_ms: int | None = None
    """Both bounds are included."""


@dataclass(frozen=True, slots=True)
class SessionPage:
    """One page of a listing."""

    sessions: tuple[Session, ...]
    has_older: bool
    """Whether sessions that pass the filters are older than the page's."""
    has_newer: bool


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of an append to `in`."""

    seq: int
    is_new: bool
    """False when a record with the same part id was there already; `seq` is that record's."""


@dataclass(frozen=True, slots=True)
class PutMessage:
    """Put a message at the end of the transcript, or in place of the one with the same id."""

    message_id: str
    body: bytes
    """The UI message as JSON."""


@dataclass(frozen=True, slots=True)
class RemoveMessage:
    """Take one message out of the transcript; nothing happens when it is not there."""

    message_id: str


@dataclass(frozen=True, slots=True)
class TruncateAfter:
    """Take out every message behind this one; None takes out all; an unknown id takes none."""

    message_id: str | None


TranscriptChange = PutMessage | RemoveMessage | TruncateAfter


@dataclass(frozen=True, slots=True)
class OutWrite:
    """What one fenced write does, all of it or nothing, in this order."""

    lines: tuple[Line, ...] = ()
    """Records to append to `out`."""
    changes: tuple[TranscriptChange, ...] = ()
    in_cursor: int | None = None
    """The new `in` cursor; None keeps it. It never goes back: a lower one is ignored."""
    state: Mapping[str, object] | None = None
    """The new state; None keeps it."""
    ends_turn: bool = False
    """The last line ends a turn, or the session: `out` is trimmed to the one before it."""

    @property
    def does_more_than_append(self) -> bool:
        """Whether it touches anything but what streams on `out`."""
        return (
            bool(self.changes)
            or self.in_cursor is not None
            or self.state is not None
            or self.ends_turn
        )


@dataclass(frozen=True, slots=True)
class TranscriptPage:
    """Messages of a transcript, oldest first, as JSON."""

    messages: tuple[bytes, ...]
    next_before: str | None
    """Hand it back as `before` for older ones; None when there are none."""


class Store(Protocol):
    """Durable sessions.

    Any number of asyncio tasks may call any method at once. A session is named by its id; only
    `session` and `create_session` know external ids. What a method has returned from is durable:
    a crash of the process cannot undo it, and every read that begins later sees it. A method that
    is cancelled has either happened in full or not at all. Writes to one session happen in the
    order in which they were called. Every method may raise `StoreUnavailable` (and `StoreFull`),
    after which nothing was changed, unless the message says that it cannot be known, and
    `StoreCorrupt`; those that take a session id raise `SessionNotFound`; those that are handed
    text that UTF-8 cannot hold (a lone surrogate), or values that JSON cannot, raise
    `InvalidInput` before anything is stored.
    """

    async def aclose(self) -> None:
        """Finish what was called before, then give the resources back. Closing twice is fine."""
        ...

    # --- sessions ---------------------------------------------------------------------------

    async def create_session(self, new: NewSession) -> tuple[Session, bool]:
        """Return the session with `new.external_id` and False, or a new one and True.

        An existing one gets the new `trigger_config` and is otherwise left as it is. Without an
        external id the session is always new.

        Raises:
            SessionClosed: The session with this external id was closed.
            SessionExpired: Its time has passed.
        """
        ...

    async def session(self, ref: str) -> Session:
        """Return the session that has `ref` as its id or its external id.

        Raises:
            SessionNotFound: No session answers to it.
        """
        ...

    async def list_sessions(self, query: SessionQuery) -> SessionPage:
        """Return the sessions that pass every filter, the one created last first.

        That order does not depend on any clock.

        Raises:
            InvalidInput: The limit is below 1, both `after` and `before` are given, or there is
                no such session to start at.
        """
        ...

    async def update_session(self, session_id: str, change: SessionChange) -> Session:
        """Change a session and return it as it stands then."""
        ...

    async def close_session(self, session_id: str, *, reason: str | None) -> Session:
        """Close a session for good and return it; it takes no more `in` records.

        Closing again changes nothing: the first reason stays.
        """
        ...

    async def unfinished_sessions(self) -> Sequence[str]:
        """Return the ids of the sessions that a crash may have left, oldest first.

        They have `in` records behind their `in` cursor, or `out` records behind their last
        turn-complete, or a run. Closed sessions too.
        """
        ...

    # --- the in stream ----------------------------------------------------------------------

    async def append_in(self, session_id: str, body: str, *, part_id: str) -> Appended:
        """Append a record and return its number; with a known `part_id`, the earlier one's.

        A part that is known has its number even after the session was closed.

        Raises:
            SessionClosed: The session was closed.
            SessionExpired: Its time has passed.
        """
        ...

    async def read_in(
        self, session_id: str, *, after: Cursor = START, limit: int = 256
    ) -> Sequence[InRecord]:
        """Return up to `limit` `in` records that follow `after`, oldest first."""
        ...

    # --- the right to write -----------------------------------------------------------------

    async def claim(self, session_id: str, *, run_id: str) -> Session:
        """Give the session to `run_id`: raise its epoch and return it as it stands then.

        Whoever had it before is fenced off: its writes raise `Fenced` from now on. Closed and
        expired sessions can be claimed, too: a run may have to finish.
        """
        ...

    async def release(self, session_id: str, epoch: int) -> None:
        """Say that the run with this epoch is over; its id becomes `previous_run_id`.

        A stale epoch changes nothing.
        """
        ...

    # --- the out stream and the transcript --------------------------------------------------

    def write_out(self, session_id: str, epoch: int, write: OutWrite) -> Awaitable[OutBatch]:
        """Do `write` in one transaction; the batch has the numbers its lines got.

        The write is in line when this returns, before it is awaited, so two calls in a row take
        effect in that order; it is done even if nobody awaits it or who awaits it is cancelled.
        A write that ends a turn leaves nothing on `out` before the turn-complete before it.

        Raises:
            Fenced: `epoch` is not the session's any more; nothing was changed.
        """
        ...

    async def read_out(
        self, session_id: str, *, after: Cursor = START, limit: int = 1024
    ) -> Sequence[OutBatch]:
        """Return batches that follow `after`, oldest first, of at most `limit` lines in all.

        Batches come whole: when the first one alone has more lines, it is all there is. It is cut
        to what follows `after`; where that was trimmed away, reading starts at the first record
        kept. Empty when there is nothing. Writes that were committed together may be one batch.
        """
        ...

    async def read_transcript(
        self, session_id: str, *, limit: int | None = None, before: str | None = None
    ) -> TranscriptPage:
        """Return the last `limit` messages (all of them for None) in front of `before`.

        Messages that are put or removed meanwhile do not move the pages.

        Raises:
            InvalidInput: `before` is not one that a page had as its `next_before`.
        """
        ...
