"""The running transaction: what the operations of a group write together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, assert_never

from chatrun.store import checks
from chatrun.store.base import PutMessage, RemoveMessage, TruncateAfter
from chatrun.store.sqlite_reads import find_row, read_session
from chatrun.store.sqlite_rows import COLUMNS, WaitingRows
from chatrun.wire.records import OutBatch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from chatrun.store.base import OutWrite, Session, TranscriptChange

_PAGE_BYTES: Final = 4096
_KNOWN_SESSIONS: Final = 10_000

_SELECT_NUMBERS: Final = """
    SELECT no, epoch, out_open,
        coalesce((SELECT max(last) FROM out_batch WHERE session = no), -1) + 1, turn_end
    FROM session JOIN progress USING (no) WHERE id = ?"""
_SET_PROGRESS: Final = """
    UPDATE progress SET in_cursor = max(in_cursor, coalesce(?, in_cursor)),
        state = coalesce(?, state), updated_at_ms = ?
    WHERE no = ?"""
_END_TURN: Final = """
    UPDATE progress SET out_base = max(out_base, turn_end), turn_end = ?, out_open = 0
    WHERE no = ?"""
_TRIM: Final = "DELETE FROM out_batch WHERE session = ? AND last < ?"
_PUT: Final = """
    INSERT INTO message (session, position, message_id, body)
    VALUES (?1, (SELECT coalesce(max(position), -1) + 1 FROM message WHERE session = ?1), ?2, ?3)
    ON CONFLICT (session, message_id) DO UPDATE SET body = excluded.body"""
_REMOVE: Final = "DELETE FROM message WHERE session = ? AND message_id = ?"
_TRUNCATE: Final = """
    DELETE FROM message WHERE session = ?1 AND position >
        (SELECT position FROM message WHERE session = ?1 AND message_id = ?2)"""


@dataclass(slots=True)
class _Numbers:
    """Where a session's `out` stands, with what the running transaction adds to it."""

    no: int
    epoch: int
    out_open: int
    """Whether `out` goes on behind its last turn-complete."""
    out_tail: int
    turn_end: int


class Ledger:
    """What operations write with, in the writing thread.

    An operation that raises one of chatrun's errors has written nothing. After any other error
    the transaction must be rolled back.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self.connection = connection
        self._clock = clock
        self._numbers: dict[str, _Numbers] = {}
        """Of sessions written to lately: never out of date, for nobody else writes."""
        self._rows = WaitingRows()
        self._trims: dict[int, int] = {}
        """What to keep of `out`, from which number on."""
        self.now_ms = 0
        """The time of the transaction."""
        self.backlog_bytes = 0
        """About how much the write-ahead log has grown since the last checkpoint."""

    # --- the transaction --------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a transaction."""
        self.now_ms = int(self._clock() * 1000)
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make all that was written since `begin` durable."""
        self._flush()
        for no, base in self._trims.items():
            self.run(_TRIM, no, base)
        self._trims.clear()
        self.connection.execute("COMMIT")
        while len(self._numbers) > _KNOWN_SESSIONS:
            del self._numbers[next(iter(self._numbers))]

    def rollback(self) -> None:
        """Undo all that was written since `begin`, and forget what was known."""
        self._numbers.clear()
        self._rows.clear()
        self._trims.clear()
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def checkpoint(self, mode: str) -> None:
        """Copy the write-ahead log into the file."""
        self.backlog_bytes = 0
        self.connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    # --- for operations ---------------------------------------------------------------------

    def run(self, sql: str, *values: object) -> int:
        """Execute one writing statement; return the row id of what it inserted."""
        texts = (len(value) for value in values if isinstance(value, bytes | str))
        self.backlog_bytes += _PAGE_BYTES + sum(texts)
        return self.connection.execute(sql, values).lastrowid or 0

    def find(self, sql: str, session_id: str, *more: object) -> tuple[Any, ...]:
        """Return the row that `sql` has for a session, or raise `SessionNotFound`."""
        return find_row(self.connection, sql, session_id, *more)

    def session(self, session_id: str) -> Session:
        """Return a session as the transaction has left it so far."""
        self._flush()
        return read_session(self.connection, session_id)

    def forget(self, session_id: str) -> None:
        """Look the session's numbers up again: its epoch was changed."""
        self._flush()
        self._numbers.pop(session_id, None)

    def write_out(
        self, session_id: str, epoch: int, write: OutWrite, state: bytes | None
    ) -> OutBatch:
        """Do `write`, whose `state` is given as JSON."""
        numbers = self._numbers_of(session_id)
        if numbers.epoch != epoch:
            raise checks.fenced(session_id, epoch, numbers.epoch)
        batch = OutBatch(numbers.out_tail, self.now_ms, write.lines)
        if write.lines:
            self._append(numbers, write)
        for change in write.changes:
            self._change(numbers.no, change)
        if write.does_more_than_append:
            self.run(_SET_PROGRESS, write.in_cursor, state, self.now_ms, numbers.no)
        if write.ends_turn:
            self._end_turn(numbers)
        return batch

    # --- inside -----------------------------------------------------------------------------

    def _numbers_of(self, session_id: str) -> _Numbers:
        numbers = self._numbers.get(session_id)
        if numbers is None:
            # What waits belongs to sessions whose numbers are known: nothing is missed here.
            numbers = _Numbers(*self.find(_SELECT_NUMBERS, session_id))
            self._numbers[session_id] = numbers
        return numbers

    def _append(self, numbers: _Numbers, write: OutWrite) -> None:
        numbers.out_tail += len(write.lines)
        self._rows.add(numbers.no, write.lines, last=numbers.out_tail - 1)
        if not numbers.out_open and not write.ends_turn:
            numbers.out_open = 1
            self.run("UPDATE progress SET out_open = 1 WHERE no = ?", numbers.no)

    def _end_turn(self, numbers: _Numbers) -> None:
        if numbers.turn_end > 0:
            self._trims[numbers.no] = numbers.turn_end
        numbers.turn_end = numbers.out_tail - 1
        numbers.out_open = 0
        self.run(_END_TURN, numbers.turn_end, numbers.no)

    def _change(self, no: int, change: TranscriptChange) -> None:
        match change:
            case PutMessage(message_id, body):
                self.run(_PUT, no, message_id, body)
            case RemoveMessage(message_id):
                self.run(_REMOVE, no, message_id)
            case TruncateAfter(None):
                self.run("DELETE FROM message WHERE session = ?", no)
            case TruncateAfter(message_id):
                self.run(_TRUNCATE, no, message_id)
            case _:
                assert_never(change)

    def _flush(self) -> None:
        """Write the lines that wait; in order, before anything looks at them."""
        for sql, values in self._rows.take(self.now_ms):
            # A page for each row, not for each statement: sessions are far apart in the file.
            self.backlog_bytes += _PAGE_BYTES * (len(values) // COLUMNS)
            self.run(sql, *values)
