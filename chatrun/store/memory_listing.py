"""Filters and pages of a listing, over sessions that are in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatrun.store import checks
from chatrun.store.base import SessionPage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatrun.store.base import Session, SessionQuery


def page_of(sessions: Sequence[Session], query: SessionQuery, now_ms: int) -> SessionPage:
    """Return the page of `sessions`, which are all there are, newest first, that `query` asks for.

    Raises:
        InvalidInput: The session to start at is not among them.
    """
    place = _place(sessions, query)
    passing = [(at, one) for at, one in enumerate(sessions) if _passes(one, query, now_ms)]
    if query.before is None:
        beyond = [one for at, one in passing if at > place]
        page = tuple(beyond[: query.limit])
        return SessionPage(page, len(beyond) > len(page), any(at <= place for at, _ in passing))
    beyond = [one for at, one in passing if at < place]
    page = tuple(beyond[-query.limit :])
    return SessionPage(page, any(at >= place for at, _ in passing), len(beyond) > len(page))


def _place(sessions: Sequence[Session], query: SessionQuery) -> int:
    cursor = query.before if query.after is None else query.after
    if cursor is None:
        return -1
    for at, session in enumerate(sessions):
        if session.id == cursor:
            return at
    raise checks.unknown_cursor(cursor)


def _passes(session: Session, query: SessionQuery, now_ms: int) -> bool:
    from_ms, to_ms = query.created_from_ms, query.created_to_ms
    return (
        (not query.types or session.type in query.types)
        and (not query.task_ids or session.task_id in query.task_ids)
        and (not query.tags or not set(session.tags).isdisjoint(query.tags))
        and (not query.statuses or session.status(now_ms) in query.statuses)
        and (query.external_id is None or session.external_id == query.external_id)
        and (from_ms is None or session.created_at_ms >= from_ms)
        and (to_ms is None or session.created_at_ms <= to_ms)
    )
