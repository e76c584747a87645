"""What SQLite's errors mean to those who use the store."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from chatrun.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_PRIMARY: Final = 0xFF
"""The byte of an extended result code that names its family."""
_FULL: Final = {sqlite3.SQLITE_FULL}
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NOT_SYNCED: Final = {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC}


def store_error(exc: Exception, path: Path) -> StoreError:
    """Return what to tell the callers whose operation on `path` ended in `exc`."""
    code = _code(exc)
    family = code & _PRIMARY
    if family in _FULL:
        return StoreFull(f"no space left for {path}: nothing was changed; make some and try again")
    if family in _CORRUPT:
        return corrupt(path, str(exc))
    if family in _BUSY:
        return StoreUnavailable(
            f"another program holds {path} (an sqlite3 shell, a backup?): nothing was changed; "
            "close it and try again"
        )
    name = getattr(exc, "sqlite_errorname", type(exc).__name__)
    return StoreUnavailable(f"cannot use {path}: {exc} ({name}); nothing was changed")


def corrupt(path: Path, why: str) -> StoreCorrupt:
    """Return the error for a file that cannot be read back."""
    return StoreCorrupt(
        f"cannot read {path}: {why}. It is never started empty: move it away to begin anew, "
        f'or save what can be saved with: sqlite3 "{path}" .recover'
    )


def is_sync_failure(exc: Exception) -> bool:
    """Tell whether the disk failed to confirm a write.

    The kernel may have dropped the pages and forgotten that it did, so that asking again would
    succeed without anything being written: after this, nothing may be written any more.
    """
    return _code(exc) in _NOT_SYNCED


def _code(exc: Exception) -> int:
    """Return SQLite's extended result code; errors of Python's own module have none."""
    code: int = getattr(exc, "sqlite_errorcode", 0)
    return code
