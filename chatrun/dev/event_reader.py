"""Reads the event log, also while a server writes it."""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING, Any

from chatrun.dev.event_log import FILE, FILE_BEFORE, FOLDER
from chatrun.wire.secret import FOLDER as HOME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType


class EventReader:
    """The events of the project `folder`, oldest first; a context that closes its file."""

    def __init__(self, folder: Path) -> None:
        self._logs = folder / HOME / FOLDER
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._begun = False

    def __enter__(self) -> EventReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the events that were not yielded before.

        At first these are all that are kept. A file that was full meanwhile is read to its end;
        lines that are no events are passed over.
        """
        if not self._begun:
            self._begun = True
            yield from self._before()
        if self._file is None:
            self._file = _open(self._logs / FILE)
        yield from self._lines()
        if self._file is not None and self._is_replaced(self._file):
            yield from self._lines()  # what was written until it was full
            self._file.close()
            self._rest = b""
            self._file = _open(self._logs / FILE)
            yield from self._lines()

    def _before(self) -> Iterator[dict[str, Any]]:
        """Yield the older file, having opened the newer one: no event may slip through."""
        self._file = _open(self._logs / FILE)
        before = _open(self._logs / FILE_BEFORE)
        if before is not None:
            with before:
                if self._file is None or not _is_same(before, self._file):
                    yield from _events(before.read().split(b"\n"))

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self._file is None:
            return
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        yield from _events(lines)

    def _is_replaced(self, file: IO[bytes]) -> bool:
        """Tell whether the log goes on in another file."""
        try:
            return not os.path.samestat(os.fstat(file.fileno()), (self._logs / FILE).stat())
        except OSError:
            return False


def _open(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _is_same(one: IO[bytes], other: IO[bytes]) -> bool:
    return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))


def _events(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "event" in found:
            yield found
