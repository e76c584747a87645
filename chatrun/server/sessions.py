"""The sessions API: create, list, look at, change, close, read the transcript (wire.md 4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import orjson

from chatrun.errors import (
    ScopeMissing,
    SessionClosed,
    SessionExpired,
    TaskNotFound,
)
from chatrun.server.auth import find_session
from chatrun.server.errors import HttpRefused
from chatrun.server.routes import json_bytes, json_response
from chatrun.server.session_forms import (
    read_close_reason,
    read_limit,
    read_new,
    read_query,
    read_update,
)
from chatrun.wire.inputs import wakes
from chatrun.wire.tokens import mint_session

if TYPE_CHECKING:
    from aiohttp import web

    from chatrun.server.routes import Call
    from chatrun.store.base import NewSession, Session

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def create(call: Call) -> web.StreamResponse:
    """Return the session with the external id, or a new one, with a run that serves it."""
    new = read_new(call.body)
    await _check_may_create(call, new)
    _check_task(call, new.task_id)
    try:
        session, is_new = await call.site.live.store.create_session(new)
    except (SessionClosed, SessionExpired):
        raise HttpRefused(
            409, f"Session is closed; use a different externalId than {new.external_id!r}"
        ) from None
    if not is_new:
        _check_may_have(call, session, new.task_id)
    if is_new:
        await _deliver_boot_message(call, session)
    run_id = await call.site.live.start(session)
    token = mint_session(call.site.secret, session.key, clock=call.site.clock)
    answer = session_json(session) | {
        "currentRunId": run_id,
        "runId": run_id,
        "publicAccessToken": token,
        "isCached": not is_new,
    }
    return json_response(answer, status=201 if is_new else 200)


async def _deliver_boot_message(call: Call, session: Session) -> None:
    """Append the message that a session may be created with; a second call delivers none."""
    payload = session.trigger_config.get("basePayload")
    if isinstance(payload, dict) and payload.get("message") is not None:
        record = orjson.dumps({"kind": "message", "payload": payload}).decode()
        if wakes(record):
            await call.site.live.append(session, record, part_id=f"boot-{session.id}")


async def _check_may_create(call: Call, new: NewSession) -> None:
    """Check the scope before anything is changed."""
    existing = await find_session(call.site, new.external_id or "")
    grant, task_id = call.grant, new.task_id
    if not grant.allows("write", "sessions") and not grant.allows("write", "tasks", task_id):
        if task_id not in grant.task_ids:
            raise ScopeMissing("the token does not permit sessions of this task")
    if existing is not None:
        _check_may_have(call, existing, task_id)


def _check_may_have(call: Call, existing: Session, task_id: str) -> None:
    """Check that the caller may have a token for a session that was there before it asked.

    A token of the task starts sessions with it; whether it opens those of others is a setting.
    """
    if call.grant.allows("write", "sessions"):
        return
    by_task = call.site.settings.task_tokens_open_sessions
    if existing.task_id != task_id or not (
        by_task or call.grant.allows("write", "tasks", existing.task_id)
    ):
        raise ScopeMissing("the token does not permit this session")


def _check_task(call: Call, task_id: str) -> None:
    served = call.site.live.tasks()
    if task_id in served:
        return
    known = f": it serves {', '.join(sorted(served)) or 'none yet'}" if call.grant.is_admin else ""
    raise TaskNotFound(f"this server has no task {task_id!r}{known}")


async def list_all(call: Call) -> web.StreamResponse:
    """Return a page of sessions, newest first."""
    query = read_query(call.request.query, now_ms=call.site.now_ms())
    grant = call.grant
    by_task = query.task_ids and all(grant.allows("read", "tasks", id_) for id_ in query.task_ids)
    if not by_task and not grant.allows("read", "sessions"):
        raise ScopeMissing("the token does not permit to list these sessions")
    page = await call.site.live.store.list_sessions(query)
    pagination = {}
    if page.sessions and page.has_older:
        pagination["next"] = page.sessions[-1].id
    if page.sessions and page.has_newer:
        pagination["previous"] = page.sessions[0].id
    return json_response(
        {"data": [session_json(session) for session in page.sessions], "pagination": pagination}
    )


async def retrieve(call: Call) -> web.StreamResponse:
    """Return one session."""
    return json_response(session_json(call.session))


async def update(call: Call) -> web.StreamResponse:
    """Change tags and metadata of a session; its external id stays what it is."""
    update = read_update(call.body)
    if update.names_external_id and update.external_id != call.session.external_id:
        raise HttpRefused(422, "the externalId of a session cannot be changed")
    session = await call.site.live.store.update_session(call.session.id, update.change)
    return json_response(session_json(session))


async def close(call: Call) -> web.StreamResponse:
    """Close a session for good; its running turn is stopped."""
    reason = read_close_reason(call.body)
    session = await call.site.live.close(call.session, reason=reason)
    return json_response(session_json(session))


async def transcript(call: Call) -> web.StreamResponse:
    """Return the last messages of a session, and where its streams stand."""
    query = call.request.query
    page = await call.site.live.store.read_transcript(
        call.session.id, limit=read_limit(query), before=query.get("before")
    )
    answer: dict[str, object] = {"cursors": _cursors(call.session)}
    if page.next_before is not None:
        answer["nextCursor"] = page.next_before
    # Messages are kept as JSON and go out as they are.
    rest = json_response(answer).body
    assert isinstance(rest, bytes)
    return json_bytes(b'{"messages":[%b],%b' % (b",".join(page.messages), rest[1:]))


def _cursors(session: Session) -> dict[str, str]:
    """Return the cursors that a page seeds its stream with; those before the first are absent."""
    cursors = {}
    if session.turn_end >= 0:
        cursors["lastOutEventId"] = str(session.turn_end)
    if session.in_cursor >= 0:
        cursors["lastInEventId"] = str(session.in_cursor)
    return cursors


def session_json(session: Session) -> dict[str, object]:
    """Return a session as wire.md 4.1 has it."""
    return {
        "id": session.id,
        "externalId": session.external_id,
        "type": session.type,
        "taskIdentifier": session.task_id,
        "triggerConfig": {"basePayload": {}, **session.trigger_config},
        "currentRunId": session.run_id,
        "tags": list(session.tags),
        "metadata": session.metadata,
        "closedAt": _iso(session.closed_at_ms),
        "closedReason": session.closed_reason,
        "expiresAt": _iso(session.expires_at_ms),
        "createdAt": _iso(session.created_at_ms),
        "updatedAt": _iso(session.updated_at_ms),
    }


def _iso(at_ms: int | None) -> str | None:
    """Return a time as JavaScript writes it; None stays None."""
    if at_ms is None:
        return None
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
