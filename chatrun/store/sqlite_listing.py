"""Filters and pages of a listing, as SQL.

Newest first means last created first: the order is that of the sessions' numbers, so that
sessions of the same millisecond, or a clock that is set back, do not disturb it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatrun.store import checks
from chatrun.store.base import Session, SessionPage
from chatrun.store.sqlite_reads import SELECT_SESSION, at_most_int64, session_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from chatrun.store.base import SessionQuery, Status

_STATUS: Final[dict[Status, str]] = {
    "CLOSED": "s.closed_at_ms IS NOT NULL",
    "EXPIRED": "s.closed_at_ms IS NULL AND s.expires_at_ms <= ?",
    "ACTIVE": "s.closed_at_ms IS NULL AND (s.expires_at_ms IS NULL OR s.expires_at_ms > ?)",
}


@dataclass(frozen=True, slots=True)
class _Filter:
    """A condition in SQL, and the values of its parameters."""

    sql: str
    values: tuple[object, ...]

    def and_no(self, comparison: str, no: int) -> _Filter:
        """Return the condition narrowed to some of the sessions' numbers."""
        return _Filter(f"{self.sql} AND s.no {comparison} ?", (*self.values, no))


def read_page(connection: sqlite3.Connection, query: SessionQuery, now_ms: int) -> SessionPage:
    """Return the page that `query` asks for.

    Raises:
        InvalidInput: The session to start at does not exist.
    """
    passing = _filter(query, now_ms)
    limit = at_most_int64(query.limit)
    if query.before is not None:
        start = _number(connection, query.before)
        found = _select(connection, passing.and_no(">", start), "ASC", limit + 1)
        page = tuple(reversed(found[:limit]))
        has_older = _exists(connection, passing.and_no("<=", start))
        return SessionPage(page, has_older, has_newer=len(found) > limit)
    if query.after is None:
        found = _select(connection, passing, "DESC", limit + 1)
        return SessionPage(tuple(found[:limit]), len(found) > limit, has_newer=False)
    start = _number(connection, query.after)
    found = _select(connection, passing.and_no("<", start), "DESC", limit + 1)
    has_newer = _exists(connection, passing.and_no(">=", start))
    return SessionPage(tuple(found[:limit]), len(found) > limit, has_newer)


def _number(connection: sqlite3.Connection, session_id: str) -> int:
    row = connection.execute("SELECT no FROM session WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        raise checks.unknown_cursor(session_id)
    no: int = row[0]
    return no


def _select(
    connection: sqlite3.Connection, wanted: _Filter, order: str, limit: int
) -> list[Session]:
    sql = f"{SELECT_SESSION} WHERE {wanted.sql} ORDER BY s.no {order} LIMIT ?"
    return [session_of(row) for row in connection.execute(sql, (*wanted.values, limit))]


def _exists(connection: sqlite3.Connection, wanted: _Filter) -> bool:
    sql = f"SELECT EXISTS (SELECT 1 FROM session s WHERE {wanted.sql})"
    return bool(connection.execute(sql, wanted.values).fetchone()[0])


def _filter(query: SessionQuery, now_ms: int) -> _Filter:
    """Return the condition for `query`; all that came from outside is a parameter."""
    parts = [
        _one_of("s.type IN ({})", query.types),
        _one_of("s.task_id IN ({})", query.task_ids),
        _one_of("EXISTS (SELECT 1 FROM json_each(s.tags) WHERE value IN ({}))", query.tags),
        _with_status(query.statuses, now_ms),
        _compared("s.external_id = ?", query.external_id),
        _compared("s.created_at_ms >= ?", query.created_from_ms),
        _compared("s.created_at_ms <= ?", query.created_to_ms),
    ]
    present = [part for part in parts if part is not None]
    sql = " AND ".join(f"({part.sql})" for part in present) or "TRUE"
    return _Filter(sql, tuple(value for part in present for value in part.values))


def _one_of(sql: str, values: Sequence[str]) -> _Filter | None:
    if not values:
        return None
    return _Filter(sql.format(", ".join("?" * len(values))), tuple(values))


def _with_status(statuses: Sequence[Status], now_ms: int) -> _Filter | None:
    if not statuses:
        return None
    values = tuple(now_ms for status in statuses if status != "CLOSED")
    return _Filter(" OR ".join(f"({_STATUS[status]})" for status in statuses), values)


def _compared(sql: str, value: str | int | None) -> _Filter | None:
    if value is None:
        return None
    return _Filter(sql, (at_most_int64(value) if isinstance(value, int) else value,))
