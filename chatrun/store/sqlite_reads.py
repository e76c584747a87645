"""What is read from the database, on whichever connection.

Python's module gives up the interpreter's lock at every step of a query and may wait for it
milliseconds when the event loop is busy: what can be many rows is therefore joined to one by
SQLite and taken apart here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from chatrun.store import checks
from chatrun.store.base import Session, TranscriptPage
from chatrun.wire.records import InRecord, OutBatch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from chatrun.wire.ids import Cursor

SELECT_SESSION: Final = """
    SELECT s.id, s.external_id, s.type, s.task_id, s.trigger_config, s.tags, s.metadata,
        s.created_at_ms, p.updated_at_ms, s.closed_at_ms, s.closed_reason, s.expires_at_ms,
        p.run_id, p.previous_run_id, p.epoch, p.in_tail, p.in_cursor,
        coalesce((SELECT max(last) FROM out_batch WHERE session = s.no), -1) + 1,
        p.out_base, p.turn_end, p.state
    FROM session s JOIN progress p USING (no)"""
"""The columns in the order of `Session`'s fields."""

_OUT: Final = """
    SELECT (
        SELECT CAST(group_concat(head || char(10) || lines, char(10)) AS BLOB)
        FROM (
            SELECT (last - count + 1) || ' ' || count || ' ' || at_ms AS head, lines
            FROM out_batch
            WHERE session = p.no AND last > p.start AND last <= max(
                p.start + ?3,
                (SELECT min(last) FROM out_batch WHERE session = p.no AND last > p.start)
            )
            ORDER BY last LIMIT ?3
        )
    ), p.start
    FROM (
        SELECT no, max(?2, out_base - 1) AS start
        FROM session JOIN progress USING (no) WHERE id = ?1
    ) AS p"""

_MESSAGES: Final = """
    SELECT group_concat(position), group_concat(length(body)),
        CAST(group_concat(body, '') AS BLOB)
    FROM (
        SELECT position, body FROM message WHERE session = ? AND position < ?
        ORDER BY position DESC LIMIT ?
    )"""

_LARGEST: Final = 1 << 62
"""Beyond every number in the store, and SQLite can still add to it."""


def at_most_int64(number: int) -> int:
    """Return `number`, or the nearest one that SQLite can hold."""
    return max(-_LARGEST, min(number, _LARGEST))


def find_row(
    connection: sqlite3.Connection, sql: str, session_id: str, *more: object
) -> tuple[Any, ...]:
    """Return the row that `sql` has for a session; its first parameter is the session's id.

    Raises:
        SessionNotFound: There is none.
    """
    try:
        row = connection.execute(sql, (session_id, *more)).fetchone()
    except UnicodeEncodeError:
        row = None  # half a character cannot be part of any id
    if row is None:
        raise checks.no_session(session_id)
    found: tuple[Any, ...] = row
    return found


def find_no(connection: sqlite3.Connection, session_id: str) -> int:
    """Return the number that stands for a session inside the database."""
    no: int = find_row(connection, "SELECT no FROM session WHERE id = ?", session_id)[0]
    return no


def read_session(connection: sqlite3.Connection, session_id: str) -> Session:
    """Return the session with this id."""
    return session_of(find_row(connection, f"{SELECT_SESSION} WHERE s.id = ?", session_id))


def read_session_by_ref(connection: sqlite3.Connection, ref: str) -> Session:
    """Return the session that has `ref` as its id or its external id."""
    where = "WHERE s.id = ?1 OR s.external_id = ?1"
    return session_of(find_row(connection, f"{SELECT_SESSION} {where}", ref))


def session_of(row: tuple[Any, ...]) -> Session:
    """Return the session that a row of `SELECT_SESSION` holds."""
    fields = list(row)
    fields[4] = orjson.loads(fields[4])
    fields[5] = tuple(orjson.loads(fields[5]))
    fields[6] = None if fields[6] is None else orjson.loads(fields[6])
    fields[-1] = orjson.loads(fields[-1])
    return Session(*fields)


def read_unfinished(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of sessions that a crash may have left, oldest first."""
    rows = connection.execute(
        """
        SELECT id FROM progress JOIN session USING (no)
        WHERE run_id IS NOT NULL OR in_tail > in_cursor + 1 OR out_open
        ORDER BY progress.no"""
    )
    return [session_id for (session_id,) in rows]


def read_in(
    connection: sqlite3.Connection, session_id: str, after: Cursor, limit: int
) -> list[InRecord]:
    """Return up to `limit` `in` records behind `after`."""
    rows = connection.execute(
        """
        SELECT seq, at_ms, part_id, body FROM in_record
        WHERE session = ? AND seq > ? ORDER BY seq LIMIT ?""",
        (find_no(connection, session_id), at_most_int64(after), at_most_int64(limit)),
    )
    return [InRecord(*row) for row in rows]


def read_out(
    connection: sqlite3.Connection, session_id: str, after: Cursor, limit: int
) -> list[OutBatch]:
    """Return batches behind `after`, of about `limit` lines in all."""
    bounds = at_most_int64(after), at_most_int64(limit)
    joined, start = find_row(connection, _OUT, session_id, *bounds)
    if joined is None:
        return []
    return [cut for batch in _batches(joined) if (cut := batch.after(start)) is not None]


def _batches(joined: bytes) -> Iterator[OutBatch]:
    """Yield the batches in `joined`: before the lines of each, one with its numbers."""
    lines = joined.split(b"\n")
    at = 0
    while at < len(lines):
        first, count, at_ms = map(int, lines[at].split())
        yield OutBatch(first, at_ms, tuple(lines[at + 1 : at + 1 + count]))
        at += 1 + count


def read_transcript(
    connection: sqlite3.Connection, session_id: str, limit: int | None, before: int | None
) -> TranscriptPage:
    """Return the last `limit` messages whose position is below `before`."""
    no = find_no(connection, session_id)
    end = _LARGEST if before is None else before
    # One more than asked for tells whether there are older ones.
    wanted = _LARGEST if limit is None else limit + 1
    positions, sizes, joined = connection.execute(_MESSAGES, (no, end, wanted)).fetchone()
    if positions is None:
        return TranscriptPage((), None)
    bodies: list[bytes] = []
    at = 0
    for size in map(int, sizes.split(",")):
        bodies.append(joined[at : at + size])
        at += size
    if limit is None or len(bodies) <= limit:
        return TranscriptPage(tuple(reversed(bodies)), None)
    return TranscriptPage(tuple(reversed(bodies[:limit])), positions.split(",")[limit - 1])
