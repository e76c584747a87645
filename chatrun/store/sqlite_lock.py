"""The lock on a data folder: one server at a time.

The kernel takes it away when the process ends, however it ends, so it is never stale. The lock
file itself stays; it says who holds the folder.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, Self

from chatrun.errors import StoreLocked

if TYPE_CHECKING:
    from pathlib import Path

_NOTE_BYTES: Final = 1024
_LOCKED_BYTE: Final = 1 << 30
"""On Windows a locked byte cannot be read: lock one that the note does not reach."""

if sys.platform == "win32":  # pragma: no cover  # the tests run on POSIX systems
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FolderLock:
    """The right to write into a folder, held between `with` and its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Take the lock at once or not at all; the folder is made, for its owner only.

        Raises:
            StoreLocked: Another process, or another store of this one, has it.
            OSError: The folder cannot be made or written to.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(file)
        except OSError as exc:
            holder = _read_note(file)
            os.close(file)
            raise StoreLocked(
                f"{self._folder} is in use by {holder}: stop it, or choose another folder"
            ) from exc
        self._file = file
        self.note("")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def note(self, text: str) -> None:
        """Leave a line, such as the server's URL, for whoever finds the folder locked."""
        if self._file is not None:
            note = f"{os.getpid()} {text}".strip().encode()[:_NOTE_BYTES]
            # Written over before it is cut, so that no reader finds it empty.
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, note)
            os.ftruncate(self._file, len(note))


def _read_note(file: int) -> str:
    pid, _, text = os.read(file, _NOTE_BYTES).decode(errors="replace").partition(" ")
    if not pid:
        return "another process"
    return f"process {pid} ({text})" if text else f"process {pid}"
