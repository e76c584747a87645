"""Who may call what (wire.md 2.4): the bearer of a request, and the policies of the routes.

Nothing is open by itself: a route cannot be made without one of these policies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatrun.errors import InvalidInput, ScopeMissing, SessionNotFound, TokenInvalid
from chatrun.store.base import NewSession
from chatrun.wire.ids import MAX_EXTERNAL_ID, check_external_id
from chatrun.wire.tokens import Grant, verify

if TYPE_CHECKING:
    from aiohttp import web

    from chatrun.server.site import Site
    from chatrun.store.base import Session

NOBODY: Final = Grant()


@dataclass(frozen=True, slots=True)
class Entry:
    """A request at the door: who asks, and which session the path names."""

    site: Site
    grant: Grant
    session_ref: str
    """One of the session's ids, empty where the path names none."""


Policy = Callable[[Entry], Awaitable["Session | None"]]
"""Returns the session that the path names, None where it names none.

Raises `ScopeMissing` and its kin when the request may not pass, `SessionNotFound` when there is
no such session.
"""


def authenticate(request: web.Request, site: Site) -> Grant:
    """Return what the bearer of the request may do.

    Raises:
        TokenInvalid: There is no bearer, there are several, or it is not one of ours.
    """
    values = request.headers.getall("Authorization", [])
    scheme, _, bearer = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not bearer.strip():
        raise TokenInvalid("an access token is needed: send it as Authorization: Bearer <token>")
    return verify(bearer.strip(), site.secret, clock=site.clock)


# --- policies -----------------------------------------------------------------------------------


async def everybody(entry: Entry) -> None:
    """Let everybody pass, without a token."""


async def any_token(entry: Entry) -> None:
    """Let every token pass: the handler knows what it takes only when it has read the body."""


async def secret_only(entry: Entry) -> None:
    """Let only the secret pass; to every token it is as if it were none."""
    if not entry.grant.is_secret:
        raise TokenInvalid("this takes the secret")


def on_session(action: str) -> Policy:
    """Let those pass who may do `action` to the session."""

    async def policy(entry: Entry) -> Session:
        session = await find_session(entry.site, entry.session_ref)
        if not entry.grant.allows(action, "sessions", *ids_of(entry.session_ref, session)):
            raise ScopeMissing(f"the token does not permit {action}")
        return found(session)

    return policy


async def admin_on_session(entry: Entry) -> Session:
    """Let only the secret pass, and a token that may do everything."""
    session = await find_session(entry.site, entry.session_ref)
    if not entry.grant.is_admin:
        raise ScopeMissing("this takes the secret")
    return found(session)


def on_channel(action: str, *, opens: bool = False) -> Policy:
    """Let those pass who may do `action` to the session, or hold a token of its task.

    With `opens`, a token of one task brings a session into being that does not exist yet
    (wire.md 11.2).
    """

    async def policy(entry: Entry) -> Session:
        session = await find_session(entry.site, entry.session_ref)
        if may_use_channel(entry.site, entry.grant, action, entry.session_ref, session):
            return found(session)
        if session is None and _holds_task_token(entry):
            return await _open_session(entry) if opens else found(None)
        raise ScopeMissing(f"the token does not permit {action}")

    return policy


def may_use_channel(
    site: Site, grant: Grant, action: str, ref: str, session: Session | None
) -> bool:
    """Tell whether `action` on the session's channels is permitted."""
    if grant.allows(action, "sessions", *ids_of(ref, session)):
        return True
    by_task = site.settings.task_tokens_open_sessions
    return by_task and session is not None and session.task_id in grant.task_ids


def _holds_task_token(entry: Entry) -> bool:
    return entry.site.settings.task_tokens_open_sessions and bool(entry.grant.task_ids)


async def _open_session(entry: Entry) -> Session:
    served = entry.site.live.tasks()
    known = [task_id for task_id in entry.grant.task_ids if task_id in served]
    if len(entry.grant.task_ids) != 1 or not known:
        raise ScopeMissing("the token names no task that is served, or several")
    try:
        chat_id = check_external_id(entry.session_ref)
    except InvalidInput:
        return found(None)  # among others an id of ours, which nobody but us can bring about
    session, _is_new = await entry.site.live.store.create_session(new_chat(known[0], chat_id))
    if session.task_id != known[0]:  # another client was faster, with another task
        raise ScopeMissing("the token does not permit this session")
    return session


# --- sessions -----------------------------------------------------------------------------------


def new_chat(task_id: str, chat_id: str) -> NewSession:
    """Return what there is to know of a session that begins with its first message."""
    return NewSession(
        task_id,
        external_id=chat_id,
        trigger_config={"basePayload": {"chatId": chat_id, "trigger": "preload"}},
        tags=(f"chat:{chat_id}",) if len(chat_id) <= 120 else (),
    )


async def find_session(site: Site, ref: str) -> Session | None:
    """Return the session with this id of either kind; None when there is none."""
    if not 1 <= len(ref) <= MAX_EXTERNAL_ID or not ref.isprintable():
        return None
    try:
        return await site.live.store.session(ref)
    except SessionNotFound:
        return None


def ids_of(ref: str, session: Session | None) -> tuple[str, ...]:
    """Return the ids that a scope may name to mean this session."""
    if session is None:
        return (ref,)
    return (session.id,) if session.external_id is None else (session.id, session.external_id)


def found(session: Session | None) -> Session:
    """Return the session.

    Raises:
        SessionNotFound: There is none.
    """
    if session is None:
        raise SessionNotFound("no session has this id")
    return session
