"""What is written of sessions, and to their `in` streams, within the running transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from chatrun.errors import SessionNotFound
from chatrun.store import checks
from chatrun.store.base import Appended
from chatrun.store.sqlite_reads import find_no, read_session_by_ref
from chatrun.wire.ids import new_id

if TYPE_CHECKING:
    from chatrun.store.base import NewSession, Session, SessionChange
    from chatrun.store.sqlite_ledger import Ledger

_TOUCH = "UPDATE progress SET updated_at_ms = ? WHERE no = ?"


def create_session(
    ledger: Ledger, new: NewSession, trigger_config: bytes, metadata: bytes | None
) -> tuple[Session, bool]:
    """Return the session with `new.external_id` and False, or a new one and True."""
    known = None if new.external_id is None else _find_external(ledger, new.external_id)
    if known is None:
        return ledger.session(_insert(ledger, new, trigger_config, metadata)), True
    checks.check_active(known, ledger.now_ms)
    no = find_no(ledger.connection, known.id)
    ledger.run("UPDATE session SET trigger_config = ? WHERE no = ?", trigger_config.decode(), no)
    ledger.run(_TOUCH, ledger.now_ms, no)
    return ledger.session(known.id), False


def _find_external(ledger: Ledger, external_id: str) -> Session | None:
    try:
        return read_session_by_ref(ledger.connection, external_id)
    except SessionNotFound:
        return None


def _insert(ledger: Ledger, new: NewSession, trigger_config: bytes, metadata: bytes | None) -> str:
    session_id = new_id("session")
    no = ledger.run(
        """
        INSERT INTO session (id, external_id, type, task_id, trigger_config, tags, metadata,
            created_at_ms, expires_at_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        session_id,
        new.external_id,
        new.type,
        new.task_id,
        trigger_config.decode(),
        orjson.dumps(new.tags).decode(),
        None if metadata is None else metadata.decode(),
        ledger.now_ms,
        new.expires_at_ms,
    )
    ledger.run("INSERT INTO progress (no, updated_at_ms) VALUES (?, ?)", no, ledger.now_ms)
    return session_id


def update_session(
    ledger: Ledger,
    session_id: str,
    change: SessionChange,
    trigger_config: bytes | None,
    metadata: bytes | None,
) -> Session:
    """Change a session; its JSON comes encoded."""
    no = find_no(ledger.connection, session_id)
    ledger.run(
        """
        UPDATE session SET tags = coalesce(?, tags),
            trigger_config = coalesce(?, trigger_config),
            metadata = iif(?, ?, metadata)
        WHERE no = ?""",
        None if change.tags is None else orjson.dumps(change.tags).decode(),
        None if trigger_config is None else trigger_config.decode(),
        change.set_metadata,
        None if metadata is None else metadata.decode(),
        no,
    )
    ledger.run(_TOUCH, ledger.now_ms, no)
    return ledger.session(session_id)


def close_session(ledger: Ledger, session_id: str, reason: str | None) -> Session:
    """Close a session, once."""
    session = ledger.session(session_id)
    if session.closed_at_ms is not None:
        return session
    no = find_no(ledger.connection, session_id)
    ledger.run(
        "UPDATE session SET closed_at_ms = ?, closed_reason = ? WHERE no = ?",
        ledger.now_ms,
        reason,
        no,
    )
    ledger.run(_TOUCH, ledger.now_ms, no)
    return ledger.session(session_id)


def append_in(ledger: Ledger, session_id: str, body: str, part_id: str) -> Appended:
    """Append an `in` record, or return the number of the one with this part id."""
    no, seq, known, is_active = ledger.find(
        """
        SELECT no, in_tail, (SELECT seq FROM in_record WHERE session = no AND part_id = ?2),
            closed_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > ?3)
        FROM session JOIN progress USING (no) WHERE id = ?1""",
        session_id,
        part_id,
        ledger.now_ms,
    )
    if known is not None:
        return Appended(known, is_new=False)
    if not is_active:
        checks.check_active(ledger.session(session_id), ledger.now_ms)
    ledger.run(
        "INSERT INTO in_record (session, seq, at_ms, part_id, body) VALUES (?, ?, ?, ?, ?)",
        no,
        seq,
        ledger.now_ms,
        part_id,
        body,
    )
    ledger.run(
        "UPDATE progress SET in_tail = in_tail + 1, updated_at_ms = ? WHERE no = ?",
        ledger.now_ms,
        no,
    )
    return Appended(seq, is_new=True)


def claim(ledger: Ledger, session_id: str, run_id: str) -> Session:
    """Raise a session's epoch and give it to `run_id`."""
    ledger.forget(session_id)
    ledger.run(
        """
        UPDATE progress SET epoch = epoch + 1, updated_at_ms = ?1,
            previous_run_id = iif(run_id IS NULL OR run_id = ?2, previous_run_id, run_id),
            run_id = ?2
        WHERE no = ?3""",
        ledger.now_ms,
        run_id,
        find_no(ledger.connection, session_id),
    )
    return ledger.session(session_id)


def release(ledger: Ledger, session_id: str, epoch: int) -> None:
    """Say that the run with this epoch is over."""
    ledger.run(
        """
        UPDATE progress SET previous_run_id = run_id, run_id = NULL, updated_at_ms = ?
        WHERE no = ? AND epoch = ? AND run_id IS NOT NULL""",
        ledger.now_ms,
        find_no(ledger.connection, session_id),
        epoch,
    )
