"""Reading the channels of a session: what is there, and what comes (wire.md 5.2 and 5.3)."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from aiohttp import web

from chatrun.errors import ChatrunError
from chatrun.server.auth import may_use_channel
from chatrun.server.errors import public_text
from chatrun.server.event_stream import open_stream
from chatrun.server.routes import json_bytes
from chatrun.wire import sse
from chatrun.wire.ids import START, Cursor
from chatrun.wire.tokens import mint_session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from chatrun.server.event_stream import EventStream
    from chatrun.server.routes import Call
    from chatrun.store.base import Store
    from chatrun.wire.records import InRecord, OutBatch

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_DEFAULT_WINDOW_S: Final = 60
_MAX_WINDOW_S: Final = 600
_IN_POLL_S: Final = 0.25

STREAM_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
    "X-Stream-Version": "v2",
}


# --- records ------------------------------------------------------------------------------------


async def out_records(call: Call) -> web.StreamResponse:
    """Return what is on `out` now, behind `afterEventId`."""
    cursor = _cursor(call.request.query.get("afterEventId"))
    batches: list[OutBatch] = []
    while more := await call.site.live.store.read_out(call.session.id, after=cursor):
        batches += more
        cursor = Cursor(more[-1].last)
    return json_bytes(sse.out_records_json(batches))


async def in_records(call: Call) -> web.StreamResponse:
    """Return what is on `in` now, behind `afterEventId`."""
    cursor = _cursor(call.request.query.get("afterEventId"))
    records: list[InRecord] = []
    while more := await call.site.live.store.read_in(call.session.id, after=cursor):
        records += more
        cursor = Cursor(more[-1].seq)
    return json_bytes(sse.in_records_json(records))


# --- follow -------------------------------------------------------------------------------------


async def follow_out(call: Call) -> web.StreamResponse:
    """Stream `out` from behind `Last-Event-ID` on, until nothing has come for a while."""
    window_s = _window_s(call.request.headers)
    if window_s is None:
        return _bad_window()
    live, session = call.site.live, call.session
    settled = _wants_peek(call.request.headers) and await live.is_settled(session.id)
    headers = {**STREAM_HEADERS, **({"X-Session-Settled": "true"} if settled else {})}
    after = _start(call.request.headers, tail=session.out_tail)
    async with (
        live.follow(session.id, after=after) as reader,
        open_stream(call.site, call.request, headers) as stream,
    ):
        encode = _batch_encoder(call)
        await _pump(call, stream, reader.read, encode, window_s=0 if settled else window_s)
    return stream.response


async def follow_in(call: Call) -> web.StreamResponse:
    """Stream `in` from behind `Last-Event-ID` on, until nothing has come for a while."""
    window_s = _window_s(call.request.headers)
    if window_s is None:
        return _bad_window()
    after = _start(call.request.headers, tail=call.session.in_tail)
    reader = InReader(call.site.live.store, call.session.id, after=after)
    async with open_stream(call.site, call.request, STREAM_HEADERS) as stream:
        await _pump(call, stream, reader.read, sse.encode_inputs, window_s=window_s)
    return stream.response


class InReader:
    """A reader of a session's `in` stream; it looks for new records now and then."""

    def __init__(self, store: Store, session_id: str, *, after: Cursor) -> None:
        self.cursor = after
        self._store = store
        self._session_id = session_id

    async def read(self, *, wait_s: float) -> Sequence[InRecord]:
        """Return what follows the cursor and move it behind that; empty after `wait_s`."""
        deadline = time.monotonic() + wait_s
        while True:
            records = await self._store.read_in(self._session_id, after=self.cursor)
            if records:
                self.cursor = Cursor(records[-1].seq)
                return records
            if time.monotonic() >= deadline:
                return ()
            await asyncio.sleep(_IN_POLL_S)


class _Read(Protocol[T_co]):
    def __call__(self, *, wait_s: float) -> Awaitable[Sequence[T_co]]: ...


async def _pump(
    call: Call,
    stream: EventStream,
    read: _Read[T],
    encode: Callable[[Sequence[T]], bytes],
    *,
    window_s: float,
) -> None:
    """Write what is read until there has been nothing for `window_s` seconds."""
    heartbeat_s = call.site.settings.heartbeat_s
    deadline = time.monotonic() + window_s
    try:
        while True:
            left_s = deadline - time.monotonic()
            records = await read(wait_s=max(0.0, min(heartbeat_s, left_s)))
            if records:
                await stream.write(encode(records))
                deadline = time.monotonic() + window_s
            elif time.monotonic() >= deadline:
                await stream.write(sse.DONE)
                return
            else:
                await stream.write(sse.encode_ping(call.site.now_ms()))
    except ChatrunError as error:
        # The reader comes back, behind its last record.
        await stream.write(sse.encode_error(public_text(error)))


def _batch_encoder(call: Call) -> Callable[[Sequence[OutBatch]], bytes]:
    """Return the encoder for this reader, which hands a token to those who may write."""
    site, session = call.site, call.session
    may_write = may_use_channel(site, call.grant, "write", session.key, session)

    def encode(batches: Sequence[OutBatch]) -> bytes:
        return b"".join(
            sse.encode_batch(batch, token=fresh_token() if sse.ends_turn(batch) else None)
            for batch in batches
        )

    def fresh_token() -> str | None:
        return mint_session(site.secret, session.key, clock=site.clock) if may_write else None

    return encode


def _window_s(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Timeout-Seconds", str(_DEFAULT_WINDOW_S))
    return int(text) if _NUMBER.fullmatch(text) and 1 <= int(text) <= _MAX_WINDOW_S else None


def _bad_window() -> web.Response:
    return web.Response(status=400, text=f"Timeout-Seconds must be from 1 to {_MAX_WINDOW_S}")


def _wants_peek(headers: Mapping[str, str]) -> bool:
    return headers.get("X-Peek-Settled") == "1"


def _start(headers: Mapping[str, str], *, tail: int) -> Cursor:
    """Return the cursor to begin behind; `tail` is the number that the next record gets."""
    last = headers.get("Last-Event-ID")
    if last is None and headers.get("X-Trigger-Stream-Start") == "latest":
        return Cursor(tail - 1)
    # A number that was never given out is of another server's life: all that comes is new.
    return Cursor(min(_cursor(last), tail - 1))


def _cursor(text: str | None) -> Cursor:
    return Cursor(int(text)) if text and _NUMBER.fullmatch(text) else START
