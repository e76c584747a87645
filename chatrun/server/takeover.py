"""Putting a session in order after whoever had it before: the same for crash, reload and close."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import orjson

from chatrun.engine.recovery import MAX_ATTEMPTS, end_orphan, find_orphan
from chatrun.store.base import OutWrite
from chatrun.wire.ids import Cursor
from chatrun.wire.inputs import wakes
from chatrun.wire.records import CLOSED_REASON, SESSION_CLOSED, InRecord, control_line

if TYPE_CHECKING:
    from chatrun.server.places import Place
    from chatrun.server.tails import Tail
    from chatrun.store.base import Session, Store
    from chatrun.wire.records import OutBatch


async def tidy(store: Store, session: Session, place: Place, *, why: str) -> Session:
    """End the turn that an earlier run has left open, unless it can begin again."""
    if session.out_tail - 1 == session.turn_end:
        return session
    batches: list[OutBatch] = []
    cursor = Cursor(session.turn_end)
    while more := await store.read_out(session.id, after=cursor):
        batches += more
        cursor = Cursor(more[-1].last)
    orphan = find_orphan(batches, after=session.turn_end)
    if orphan is None or (orphan.can_run_again and session.closed_at_ms is None):
        return session
    if not orphan.chunks and orphan.attempts >= MAX_ATTEMPTS:
        why = f"{why.removesuffix('.')}, {orphan.attempts} times in a row."
    page = await store.read_transcript(session.id, limit=1)
    write = end_orphan(
        orphan,
        session,
        last_message=orjson.loads(page.messages[-1]) if page.messages else None,
        later=await store.read_in(session.id, after=Cursor(orphan.in_seq)),
        why=why,
    )
    await write_beside(store, session, place, write)
    return await store.session(session.id)


async def finish_closed(store: Store, session: Session, place: Place) -> None:
    """Tell readers that the session is closed; what waited on `in` is not answered."""
    if session.state.get("closed"):
        return
    headers = {CLOSED_REASON: session.closed_reason} if session.closed_reason else {}
    write = OutWrite(
        lines=(control_line(SESSION_CLOSED, headers),),
        in_cursor=session.in_tail - 1,
        state={**session.state, "closed": True},
        ends_turn=True,
    )
    await write_beside(store, session, place, write)


async def write_beside(store: Store, session: Session, place: Place, write: OutWrite) -> OutBatch:
    """Write beside runs: readers get what is committed in the order in which it was."""
    durable = asyncio.ensure_future(store.write_out(session.id, session.epoch, write))
    durable.add_done_callback(partial(_push, place.tail))
    return await durable


def _push(tail: Tail, done: asyncio.Future[OutBatch]) -> None:
    if not done.cancelled() and done.exception() is None:
        tail.push(done.result())


async def unread(store: Store, session: Session) -> tuple[InRecord, ...]:
    """Return every record behind the `in` cursor."""
    records: list[InRecord] = []
    cursor = Cursor(session.in_cursor)
    while more := await store.read_in(session.id, after=cursor):
        records += more
        cursor = Cursor(more[-1].seq)
    return tuple(records)


async def message_waits(store: Store, session: Session) -> bool:
    """Tell whether anything behind the `in` cursor wants to be answered."""
    return any(wakes(record.body) for record in await unread(store, session))
