"""The store that forgets: sessions in this process's memory, for tests and for trying things."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

import orjson

from chatrun.errors import ChatrunError, StoreUnavailable
from chatrun.store import checks
from chatrun.store.base import (
    Appended,
    PutMessage,
    RemoveMessage,
    Session,
    TranscriptPage,
    TruncateAfter,
)
from chatrun.store.memory_listing import page_of
from chatrun.wire.ids import START, Cursor, new_id
from chatrun.wire.records import InRecord, OutBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chatrun.store.base import (
        NewSession,
        OutWrite,
        SessionChange,
        SessionPage,
        SessionQuery,
        TranscriptChange,
    )


@dataclass(slots=True)
class _Kept:
    """All that is kept of one session."""

    session: Session
    records: list[InRecord] = field(default_factory=list)
    seq_of_part: dict[str, int] = field(default_factory=dict)
    batches: list[OutBatch] = field(default_factory=list)
    messages: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Position and body of each message, by its id; positions rise."""

    def write(self, write: OutWrite, now_ms: int) -> OutBatch:
        """Do `write`, whose right to do so has been checked."""
        before = self.session
        batch = OutBatch(before.out_tail, now_ms, write.lines)
        if write.lines:
            self.batches.append(batch)
        for change in write.changes:
            self._change(change)
        self.session = _after_write(before, write, now_ms)
        if write.ends_turn:
            del self.batches[: _index_after(self.batches, self.session.out_base - 1)]
        return batch

    def _change(self, change: TranscriptChange) -> None:
        match change:
            case PutMessage(message_id, body):
                known = self.messages.get(message_id)
                self.messages[message_id] = (known[0] if known else self._next_position(), body)
            case RemoveMessage(message_id):
                self.messages.pop(message_id, None)
            case TruncateAfter(None):
                self.messages.clear()
            case TruncateAfter(message_id):
                while message_id in self.messages and next(reversed(self.messages)) != message_id:
                    self.messages.popitem()
            case _:
                assert_never(change)

    def _next_position(self) -> int:
        if not self.messages:
            return 0
        return self.messages[next(reversed(self.messages))][0] + 1


class MemoryStore:
    """A store whose sessions end with the process; otherwise it keeps every promise of `Store`."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._open = True
        self._kept: dict[str, _Kept] = {}
        """By session id, in the order of creation."""
        self._id_of: dict[str, str] = {}
        """Session ids by external id."""

    async def aclose(self) -> None:
        self._open = False

    # --- sessions ---------------------------------------------------------------------------

    async def create_session(self, new: NewSession) -> tuple[Session, bool]:
        checks.check_new(new)
        self._check_usable()
        now_ms = self._now_ms()
        fresh = _new_session(new, now_ms)
        known = self._kept.get(self._id_of.get(new.external_id or "", ""))
        if known is None:
            self._kept[fresh.id] = _Kept(fresh)
            if new.external_id is not None:
                self._id_of[new.external_id] = fresh.id
            return fresh, True
        checks.check_active(known.session, now_ms)
        known.session = replace(
            known.session, trigger_config=fresh.trigger_config, updated_at_ms=now_ms
        )
        return known.session, False

    async def session(self, ref: str) -> Session:
        return self._find(self._id_of.get(ref, ref)).session

    async def list_sessions(self, query: SessionQuery) -> SessionPage:
        checks.check_query(query)
        self._check_usable()
        newest_first = [kept.session for kept in reversed(self._kept.values())]
        return page_of(newest_first, query, self._now_ms())

    async def update_session(self, session_id: str, change: SessionChange) -> Session:
        checks.check_change(change)
        config = _copy_or_none(change.trigger_config, "triggerConfig")
        metadata = _copy_or_none(change.metadata, "metadata")
        kept = self._find(session_id)
        was = kept.session
        kept.session = replace(
            was,
            tags=was.tags if change.tags is None else change.tags,
            trigger_config=was.trigger_config if config is None else config,
            metadata=metadata if change.set_metadata else was.metadata,
            updated_at_ms=self._now_ms(),
        )
        return kept.session

    async def close_session(self, session_id: str, *, reason: str | None) -> Session:
        checks.check_text(reason or "", "the reason for closing")
        kept = self._find(session_id)
        if kept.session.closed_at_ms is None:
            now_ms = self._now_ms()
            kept.session = replace(
                kept.session, closed_at_ms=now_ms, closed_reason=reason, updated_at_ms=now_ms
            )
        return kept.session

    async def unfinished_sessions(self) -> Sequence[str]:
        self._check_usable()
        return [kept.session.id for kept in self._kept.values() if _is_unfinished(kept.session)]

    # --- the in stream ----------------------------------------------------------------------

    async def append_in(self, session_id: str, body: str, *, part_id: str) -> Appended:
        checks.check_text(body, "the record")
        checks.check_text(part_id, "the part id")
        kept = self._find(session_id)
        known = kept.seq_of_part.get(part_id)
        if known is not None:
            return Appended(known, is_new=False)
        now_ms = self._now_ms()
        checks.check_active(kept.session, now_ms)
        seq = kept.session.in_tail
        kept.records.append(InRecord(seq, now_ms, part_id, body))
        kept.seq_of_part[part_id] = seq
        kept.session = replace(kept.session, in_tail=seq + 1, updated_at_ms=now_ms)
        return Appended(seq, is_new=True)

    async def read_in(
        self, session_id: str, *, after: Cursor = START, limit: int = 256
    ) -> Sequence[InRecord]:
        start = max(after, START) + 1
        return self._find(session_id).records[start : start + checks.check_limit(limit)]

    # --- the right to write -----------------------------------------------------------------

    async def claim(self, session_id: str, *, run_id: str) -> Session:
        checks.check_text(run_id, "the run's id")
        kept = self._find(session_id)
        was = kept.session
        replaced = was.run_id if was.run_id not in (None, run_id) else was.previous_run_id
        kept.session = replace(
            was,
            run_id=run_id,
            previous_run_id=replaced,
            epoch=was.epoch + 1,
            updated_at_ms=self._now_ms(),
        )
        return kept.session

    async def release(self, session_id: str, epoch: int) -> None:
        kept = self._find(session_id)
        was = kept.session
        if was.epoch == epoch and was.run_id is not None:
            kept.session = replace(
                was, run_id=None, previous_run_id=was.run_id, updated_at_ms=self._now_ms()
            )

    # --- the out stream and the transcript --------------------------------------------------

    def write_out(self, session_id: str, epoch: int, write: OutWrite) -> asyncio.Future[OutBatch]:
        done: asyncio.Future[OutBatch] = asyncio.get_running_loop().create_future()
        try:
            done.set_result(self._write_out(session_id, epoch, write))
        except ChatrunError as exc:
            done.set_exception(exc)
        return done

    def _write_out(self, session_id: str, epoch: int, write: OutWrite) -> OutBatch:
        checks.check_write(write)
        if write.state is not None:
            write = replace(write, state=_copy(write.state, "the state"))
        kept = self._find(session_id)
        if kept.session.epoch != epoch:
            raise checks.fenced(session_id, epoch, kept.session.epoch)
        return kept.write(write, self._now_ms())

    async def read_out(
        self, session_id: str, *, after: Cursor = START, limit: int = 1024
    ) -> Sequence[OutBatch]:
        checks.check_limit(limit)
        kept = self._find(session_id)
        start = max(after, kept.session.out_base - 1)
        page: list[OutBatch] = []
        for batch in kept.batches[_index_after(kept.batches, start) :]:
            if page and batch.last > start + limit:
                break
            page.append(batch)
        return [cut for batch in page if (cut := batch.after(start)) is not None]

    async def read_transcript(
        self, session_id: str, *, limit: int | None = None, before: str | None = None
    ) -> TranscriptPage:
        end = None if before is None else checks.transcript_position(before)
        messages = [
            (position, body)
            for position, body in self._find(session_id).messages.values()
            if end is None or position < end
        ]
        page = messages if limit is None else messages[-checks.check_limit(limit) :]
        next_before = str(page[0][0]) if len(page) < len(messages) else None
        return TranscriptPage(tuple(body for _, body in page), next_before)

    # --- inside -----------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _check_usable(self) -> None:
        if not self._open:
            raise StoreUnavailable("the store is closed")

    def _find(self, session_id: str) -> _Kept:
        self._check_usable()
        kept = self._kept.get(session_id)
        if kept is None:
            raise checks.no_session(session_id)
        return kept


def _new_session(new: NewSession, now_ms: int) -> Session:
    return Session(
        id=new_id("session"),
        external_id=new.external_id,
        type=new.type,
        task_id=new.task_id,
        trigger_config=_copy(new.trigger_config, "triggerConfig"),
        tags=new.tags,
        metadata=_copy_or_none(new.metadata, "metadata"),
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        closed_at_ms=None,
        closed_reason=None,
        expires_at_ms=new.expires_at_ms,
        run_id=None,
        previous_run_id=None,
        epoch=0,
        in_tail=0,
        in_cursor=-1,
        out_tail=0,
        out_base=0,
        turn_end=-1,
        state={},
    )


def _after_write(was: Session, write: OutWrite, now_ms: int) -> Session:
    tail = was.out_tail + len(write.lines)
    return replace(
        was,
        updated_at_ms=now_ms if write.does_more_than_append else was.updated_at_ms,
        in_cursor=was.in_cursor if write.in_cursor is None else max(was.in_cursor, write.in_cursor),
        state=was.state if write.state is None else write.state,
        out_tail=tail,
        out_base=max(was.out_base, was.turn_end) if write.ends_turn else was.out_base,
        turn_end=tail - 1 if write.ends_turn else was.turn_end,
    )


def _is_unfinished(session: Session) -> bool:
    return (
        session.run_id is not None
        or session.in_tail > session.in_cursor + 1
        or session.out_tail > session.turn_end + 1
    )


def _index_after(batches: Sequence[OutBatch], cursor: int) -> int:
    """Return the place of the first batch that has something behind `cursor`."""
    return bisect_right(batches, cursor, key=lambda batch: batch.last)


def _copy(value: Mapping[str, object], what: str) -> Mapping[str, object]:
    """Return `value` as JSON keeps it; what its owner does to it later is not ours to see."""
    copy: dict[str, object] = orjson.loads(checks.encode_json(value, what))
    return copy


def _copy_or_none(value: Mapping[str, object] | None, what: str) -> Mapping[str, object] | None:
    return None if value is None else _copy(value, what)
