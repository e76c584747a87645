"""What an earlier run has left of a session, put into a store as the engine would have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.errors import InvalidInput
from chatrun.messages.check import check_message
from chatrun.messages.types import user_message
from chatrun.store.base import NewSession, OutWrite, PutMessage
from chatrun.wire.chunks import check_chunk
from chatrun.wire.ids import new_id
from chatrun.wire.records import (
    IN_EVENT_ID,
    OUTCOME,
    TURN_COMPLETE,
    TURN_START,
    Line,
    control_line,
    data_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from chatrun.messages.types import UIMessage
    from chatrun.store.base import Session, Store

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Continuation:
    """A session that an earlier run has served; without anything else, it said nothing."""

    messages: Sequence[UIMessage] = ()
    """What was said, oldest first: the transcript."""
    partial: Sequence[Mapping[str, object] | str] = ()
    """How far the answer to the last user message had come when its server died: its chunks.
    Text stands for the beginning of a text part that was not finished."""
    pending: Sequence[Mapping[str, object] | str] = ()
    """Messages that wait on `in` to be answered, as texts or UI messages; or whole records."""


async def begin_session(
    store: Store,
    new: NewSession,
    left: Continuation | None,
    *,
    client_data: object = None,
) -> Session:
    """Return the session `new`, with what an earlier run has left when `left` says so.

    Raises:
        InvalidInput: The store has the session already and cannot be given another past, or what
            is left could not have come about.
    """
    session, is_new = await store.create_session(new)
    if left is None:
        return session
    if not is_new:
        raise InvalidInput(f"session {session.key!r} has a past already: leave out `continuation`")
    await _leave(store, session, left, client_data)
    for pending in left.pending:
        record = pending_record(pending, client_data)
        await store.append_in(session.id, _body(record), part_id=new_id("part"))
    return await store.session(session.id)


async def _leave(store: Store, session: Session, left: Continuation, client_data: object) -> None:
    """Write what the earlier run wrote; one that died in mid-turn still holds the session."""
    messages = [check_message(message, what="a message") for message in left.messages]
    asked = next((m for m in reversed(messages) if m["role"] == "user"), None)
    if asked is not None:
        record = pending_record(asked, client_data)
        await store.append_in(session.id, _body(record), part_id=new_id("part"))
    elif left.partial:
        raise InvalidInput("`partial` needs the message that it answers among `messages`")
    held = await store.claim(session.id, run_id=new_id("run"))
    finished = asked is not None and not left.partial
    write = OutWrite(
        lines=tuple(_lines(left.partial, begun=asked is not None, finished=finished)),
        changes=tuple(PutMessage(m["id"], orjson.dumps(m)) for m in messages),
        in_cursor=0 if finished else None,
        state={"stops": -1, "started": bool(messages)},
        ends_turn=finished,
    )
    await store.write_out(session.id, held.epoch, write)
    if not left.partial:
        await store.release(session.id, held.epoch)


def _lines(
    partial: Iterable[Mapping[str, object] | str], *, begun: bool, finished: bool
) -> Iterator[Line]:
    """Yield the records of the last turn, the one that answers record 0."""
    if begun:
        yield control_line(TURN_START, {IN_EVENT_ID: "0"})
    yield from map(data_line, _chunks(partial))
    if finished:
        yield control_line(TURN_COMPLETE, {IN_EVENT_ID: "0", OUTCOME: "finished"})


def _chunks(partial: Iterable[Mapping[str, object] | str]) -> Iterator[Mapping[str, object]]:
    for number, item in enumerate(partial):
        if number == 0 and (isinstance(item, str) or item.get("type") != "start"):
            yield {"type": "start", "messageId": new_id("msg")}
        if isinstance(item, str):
            yield {"type": "text-start", "id": f"partial{number}"}
            yield {"type": "text-delta", "id": f"partial{number}", "delta": item}
        else:
            yield check_chunk(item)


def pending_record(pending: Mapping[str, object] | str, client_data: object) -> Record:
    """Return the `in` record that sends a text or a message; a whole record as it is."""
    if not isinstance(pending, str) and "kind" in pending:
        return dict(pending)
    message = (
        user_message(pending, message_id=new_id("msg")) if isinstance(pending, str) else pending
    )
    payload: Record = {"trigger": "submit-message", "message": message}
    if client_data is not None:
        payload["metadata"] = client_data
    return {"kind": "message", "payload": payload}


def _body(record: Record) -> str:
    return orjson.dumps(record).decode()
