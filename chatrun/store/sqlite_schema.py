"""The database file: its tables, its version, and how a connection to it is set up."""

from __future__ import annotations

import logging
import os
import sqlite3
from typing import TYPE_CHECKING, Final

from chatrun.errors import StoreTooNew, StoreUnavailable
from chatrun.store.sqlite_errors import corrupt, store_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

FILE_NAME: Final = "chatrun.db"
BUSY_S: Final = 5.0
"""How long to wait for another program that holds the file."""
_APPLICATION_ID: Final = 0x63685275
"""In the file's header, so that `file` and we can tell it from other databases: "chRu"."""

# `session` holds what clients say of a session, `progress` the small numbers that change with
# every turn: a large trigger_config is not rewritten with them. The tail of `out` is the number
# behind its last batch: a trim always leaves one.
_TABLES: Final = (
    """
    CREATE TABLE session (
        no INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        external_id TEXT UNIQUE,
        type TEXT NOT NULL,
        task_id TEXT NOT NULL,
        trigger_config TEXT NOT NULL,
        tags TEXT NOT NULL,
        metadata TEXT,
        created_at_ms INTEGER NOT NULL,
        closed_at_ms INTEGER,
        closed_reason TEXT,
        expires_at_ms INTEGER
    )""",
    "CREATE INDEX session_by_task ON session (task_id)",
    """
    CREATE TABLE progress (
        no INTEGER PRIMARY KEY REFERENCES session,
        epoch INTEGER NOT NULL DEFAULT 0,
        in_tail INTEGER NOT NULL DEFAULT 0,
        in_cursor INTEGER NOT NULL DEFAULT -1,
        out_base INTEGER NOT NULL DEFAULT 0,
        turn_end INTEGER NOT NULL DEFAULT -1,
        out_open INTEGER NOT NULL DEFAULT 0,  -- out goes on behind its last turn-complete
        updated_at_ms INTEGER NOT NULL,
        run_id TEXT,
        previous_run_id TEXT,
        state TEXT NOT NULL DEFAULT '{}'
    )""",
    """
    CREATE INDEX unfinished ON progress (no)
    WHERE run_id IS NOT NULL OR in_tail > in_cursor + 1 OR out_open""",
    """
    CREATE TABLE in_record (
        session INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        part_id TEXT NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (session, seq),
        UNIQUE (session, part_id)
    )""",
    """
    CREATE TABLE out_batch (
        session INTEGER NOT NULL,
        last INTEGER NOT NULL,
        count INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        lines BLOB NOT NULL,
        PRIMARY KEY (session, last)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE message (
        session INTEGER NOT NULL,
        position INTEGER NOT NULL,
        message_id TEXT NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (session, position),
        UNIQUE (session, message_id)
    )""",
)
_MIGRATIONS: Final = (_TABLES,)
"""The statements that lead from each version to the next, beginning with an empty file."""
VERSION: Final = len(_MIGRATIONS)


def open_writing(folder: Path, *, trace: Callable[[str], None] | None) -> sqlite3.Connection:
    """Return the connection that writes, its tables up to date; the caller holds the lock.

    Raises:
        StoreCorrupt: The file is not one of ours, or cannot be read.
        StoreTooNew: A newer chatrun wrote it.
        StoreUnavailable: The file cannot be opened, or another program holds it.
    """
    path = folder / FILE_NAME
    _make_file(path)
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, cached_statements=256)
    try:
        version = _check_version(connection, path)
        connection.set_trace_callback(trace)
        _set_up(connection, path)
        _migrate(connection, version)
    except sqlite3.Error as exc:
        connection.close()
        raise store_error(exc, path) from exc
    except BaseException:
        connection.close()
        raise
    log.debug("opened %s, version %d, with SQLite %s", path, VERSION, sqlite3.sqlite_version)
    return connection


def open_reading(folder: Path) -> sqlite3.Connection:
    """Return a connection that can only read, and never writes the log back into the file.

    Raises:
        StoreUnavailable: There is no database in `folder`, or a server must first bring it up to
            date.
        StoreCorrupt: The file is not one of ours, or cannot be read.
        StoreTooNew: A newer chatrun wrote it.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise StoreUnavailable(f"there are no sessions in {folder}: {path} does not exist")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only=ON")
        version = _check_version(connection, path)
        if version < VERSION:
            raise StoreUnavailable(f"{path} has format {version}: a server must open it first")
    except sqlite3.Error as exc:
        connection.close()
        raise store_error(exc, path) from exc
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    """Write ahead, each commit synced; only the writer decides when the log goes into the file."""
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StoreUnavailable(
            f"{path} cannot have a write-ahead log (journal mode stays {mode!r}): "
            "choose a folder on a local disk"
        )
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    connection.execute("PRAGMA cache_size=-16000")


def _make_file(path: Path) -> None:
    """Make the file when it is not there, readable to its owner only, whatever the umask."""
    wal = path.with_name(f"{path.name}-wal")
    if _size(path) == 0 and _size(wal) > 0:
        # SQLite would take the file for a new one and delete the log.
        raise corrupt(path, f"it is missing or empty, but {wal.name} beside it is not")
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables in the file, 0 for none."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables == 0 and application_id == 0:
        return 0
    if application_id != _APPLICATION_ID:
        raise corrupt(path, "it is a database of another program")
    if version > VERSION:
        raise StoreTooNew(
            f"{path} has format {version} and this chatrun knows up to {VERSION}: use a newer one"
        )
    return int(version)


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables up to date, all steps or none."""
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for statements in _MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")
