"""The AI SDK's face: a post is answered with the turn's chunks (wire.md 10, design.md 5).

That protocol knows no stop but closing the request, and no resume but asking again. So here a
reader that goes away stops its turn, unless the chat is one that resumes: its client has asked
for the running answer before, or its task says `on_disconnect="keep"`.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from chatrun.errors import ChatrunError, ScopeMissing, SessionNotFound
from chatrun.server.answer import ANY_TURN, Answer
from chatrun.server.auth import find_session, found, ids_of, may_use_channel, new_chat
from chatrun.server.errors import HttpRefused, public_text
from chatrun.server.event_stream import open_stream
from chatrun.server.routes import json_response
from chatrun.server.ui_request import read_ui_request
from chatrun.wire import sse
from chatrun.wire.ids import Cursor, check_external_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chatrun.server.event_stream import EventStream
    from chatrun.server.routes import Call
    from chatrun.server.site import Site
    from chatrun.store.base import Appended, Session
    from chatrun.wire.records import Line

_STOP_WAIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Form:
    """How chunks are written."""

    headers: Mapping[str, str]
    encode: Callable[[Sequence[Line]], bytes]
    heartbeat: bytes
    """What shows that the stream is alive; empty where the form has nothing for it."""
    end: bytes
    is_text: bool = False
    """Whether there is nothing but text: no ids of messages, and no errors, for which the
    connection is cut instead."""


def _encode_chunks(lines: Sequence[Line]) -> bytes:
    return b"".join(map(sse.encode_chunk, lines))


def _encode_text(lines: Sequence[Line]) -> bytes:
    chunks = map(orjson.loads, lines)
    deltas = (chunk["delta"] for chunk in chunks if chunk.get("type") == "text-delta")
    return "".join(deltas).encode()


CHUNKS: Final = Form(
    {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache",
        "Connection": "keep-alive",
        "X-Vercel-AI-UI-Message-Stream": "v1",
        "X-Accel-Buffering": "no",
    },
    _encode_chunks,
    heartbeat=sse.COMMENT,
    end=sse.DONE,
)

TEXT: Final = Form(
    {
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
    },
    _encode_text,
    heartbeat=b"",
    end=b"",
    is_text=True,
)


# --- handlers -----------------------------------------------------------------------------------


async def post_chunks(call: Call) -> web.StreamResponse:
    """Say the last message of the list and stream the turn that answers it."""
    return await _post(call, CHUNKS)


async def post_text(call: Call) -> web.StreamResponse:
    """Say the last message of the list and stream the text of the turn that answers it."""
    return await _post(call, TEXT)


async def resume_chunks(call: Call) -> web.StreamResponse:
    """Stream the running turn from its first chunk on; 204 when none runs."""
    return await _resume(call, CHUNKS)


async def resume_text(call: Call) -> web.StreamResponse:
    """Stream the text of the running turn from its beginning on; 204 when none runs."""
    return await _resume(call, TEXT)


async def stop(call: Call) -> web.StreamResponse:
    """Stop the running turn of the chat; without one, nothing happens."""
    session = found(await _session_for(call, "write"))
    await call.site.live.append(session, _stop_record(None), part_id=secrets.token_urlsafe(16))
    return json_response({"ok": True})


async def _post(call: Call, form: Form) -> web.StreamResponse:
    request = read_ui_request(call.body)
    session, is_new = await _ensure_session(call, request.chat_id)
    is_new = is_new or session.in_tail == 0
    body = request.record(is_new=is_new, knows_ids=not form.is_text)
    after = Cursor(session.out_tail - 1)
    # A client that leaves now has said its message all the same, once.
    appending = call.site.spawn(
        call.site.live.append(session, body, part_id=secrets.token_urlsafe(16))
    )
    try:
        appended = await asyncio.shield(appending)
        return await _stream(call, session, form, after=after, seq=appended.seq)
    except (asyncio.CancelledError, ConnectionError):
        if _stops_on_disconnect(call, session):
            stopping = _stop_answer(call.site, session, appending, after=after)
            call.site.start_soon(stopping, what="stopping a turn whose reader has gone")
        raise


async def _resume(call: Call, form: Form) -> web.StreamResponse:
    task_id, chat_id = call.path("task"), call.path("chat_id")
    session = await _session_for(call, "read")
    # Also before the chat exists: a page that resumes asks at every mount.
    call.site.resuming.add((task_id, chat_id if session is None else session.key))
    if session is None or not call.site.live.is_running(session.id):
        return web.Response(status=204)
    after = Cursor(session.turn_end)
    return await _stream(call, session, form, after=after, seq=ANY_TURN)


# --- who may, and which chat --------------------------------------------------------------------


async def _session_for(call: Call, action: str) -> Session | None:
    """Return the chat that the path names, None where it does not exist yet.

    Raises:
        ScopeMissing: The token does not permit `action` on it.
        SessionNotFound: It is a chat of another task.
    """
    task_id, chat_id = call.path("task"), call.path("chat_id")
    session = await find_session(call.site, chat_id)
    if not _permits(call, action, chat_id, session):
        raise ScopeMissing(f"the token does not permit {action}")
    if session is not None and session.task_id != task_id:
        raise SessionNotFound("the chat is of another task")
    return session


def _permits(call: Call, action: str, chat_id: str, session: Session | None) -> bool:
    grant, task_id = call.grant, call.path("task")
    if session is None:
        by_task = task_id in grant.task_ids or grant.allows("write", "tasks", task_id)
        return by_task or grant.allows(action, "sessions", *ids_of(chat_id, None))
    if grant.allows("write", "tasks", session.task_id):
        return True
    return may_use_channel(call.site, grant, action, chat_id, session)


async def _ensure_session(call: Call, chat_id: str) -> tuple[Session, bool]:
    """Return the chat with this id, and whether it is new."""
    task_id = call.path("task")
    session = await find_session(call.site, chat_id)
    if not _permits(call, "write", chat_id, session):
        raise ScopeMissing("the token does not permit to write")
    if session is None:
        if task_id not in call.site.live.tasks():
            raise HttpRefused(404, f"this server has no task {task_id!r}")
        new = new_chat(task_id, check_external_id(chat_id))
        session, is_new = await call.site.live.store.create_session(new)
    else:
        is_new = False
    if session.task_id != task_id:
        raise HttpRefused(409, "this chat id is taken by a chat of another task")
    return session, is_new


# --- streaming ----------------------------------------------------------------------------------


async def _stream(
    call: Call, session: Session, form: Form, *, after: Cursor, seq: int
) -> web.StreamResponse:
    live = call.site.live
    async with (
        live.follow(session.id, after=after) as reader,
        open_stream(call.site, call.request, form.headers) as stream,
    ):
        try:
            await _write_answer(Answer(reader, seq), stream, form, call.site)
        except ChatrunError as error:
            await _write_error(public_text(error), stream, form)
    return stream.response


async def _write_answer(answer: Answer, stream: EventStream, form: Form, site: Site) -> None:
    while not answer.is_over:
        lines = await answer.read(wait_s=site.settings.heartbeat_s)
        if form.is_text and any(map(_is_error, lines)):
            stream.abort()  # silence would pass for a complete answer
            return
        data = form.encode(lines) if lines else form.heartbeat
        if data:
            await stream.write(data)
    if form.end:
        await stream.write(form.end)


async def _write_error(text: str, stream: EventStream, form: Form) -> None:
    if form.is_text:
        stream.abort()
        return
    chunk = {"type": "error", "errorText": text}
    await stream.write(form.encode([orjson.dumps(chunk)]) + form.end)


def _is_error(line: Line) -> bool:
    kind: object = orjson.loads(line).get("type")
    return kind == "error"


# --- disconnects --------------------------------------------------------------------------------


def _stops_on_disconnect(call: Call, session: Session) -> bool:
    """Tell whether the turn ends with its reader."""
    if call.site.is_closing or (session.task_id, session.key) in call.site.resuming:
        return False
    task = call.site.live.tasks().get(session.task_id)
    return task is None or task.on_disconnect == "stop"


async def _stop_answer(
    site: Site, session: Session, appending: asyncio.Future[Appended], *, after: Cursor
) -> None:
    """Stop the turn that answers what was appended, as soon as it runs, and no other one."""
    seq = (await appending).seq
    async with site.live.follow(session.id, after=after) as reader:
        answer = Answer(reader, seq)
        while not answer.has_begun and not answer.is_over:
            await answer.read(wait_s=_STOP_WAIT_S)
    if not answer.is_over:
        part_id = secrets.token_urlsafe(16)
        await site.live.append(session, _stop_record(seq), part_id=part_id)


def _stop_record(seq: int | None) -> str:
    return orjson.dumps({"kind": "stop", **({} if seq is None else {"turn": seq})}).decode()
