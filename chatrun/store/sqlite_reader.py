"""The thread that reads: one connection that cannot write, beside the one that does."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from chatrun.errors import StoreUnavailable
from chatrun.store.sqlite_errors import store_error
from chatrun.store.sqlite_schema import FILE_NAME, open_reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


class Reader:
    """Runs queries one after another; each sees all that was committed before it began."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chatrun-store-reader")
        self._connection: sqlite3.Connection | None = None
        self._closing: Future[None] | None = None

    async def start(self) -> None:
        """Open the file now rather than with the first query.

        Raises:
            StoreError: It cannot be read; nothing is left open.
        """
        try:
            await self.run(lambda _: None)
        except BaseException:
            self.close()
            raise

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `query` returns.

        Raises:
            StoreError: The file cannot be read, or the reader is closed.
        """
        if self._closing is not None:
            raise StoreUnavailable(f"{self._path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, query)

    def close(self) -> Future[None]:
        """Have the connection closed behind the queries that wait; the future tells when it is."""
        if self._closing is None:
            self._closing = self._thread.submit(self._close)
            self._thread.shutdown(wait=False)
        return self._closing

    # --- in the thread ----------------------------------------------------------------------

    def _run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = open_reading(self._folder)
            return query(self._connection)
        except sqlite3.Error as exc:
            raise store_error(exc, self._path) from exc

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
