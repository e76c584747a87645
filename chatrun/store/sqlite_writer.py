"""The thread that writes: one connection, and one transaction for all that waits.

While a transaction is being committed, operations gather behind it; the next transaction takes
them all. So an idle store answers at once and a busy one shares the cost of syncing, without any
timer. All reading and writing of the file happens in here or on connections that cannot write.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import queue
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from chatrun.errors import ChatrunError, StoreError, StoreUnavailable
from chatrun.store.sqlite_errors import is_sync_failure, store_error
from chatrun.store.sqlite_ledger import Ledger
from chatrun.store.sqlite_lock import FolderLock
from chatrun.store.sqlite_schema import FILE_NAME, open_writing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

T = TypeVar("T")

_IDLE_S: Final = 2.0
"""A checkpoint is made when nothing was written for so long,"""
_BACKLOG_BYTES: Final = 16 << 20
"""or when about so much waits for it."""


class _Job(Generic[T]):
    """An operation, and the future of its caller."""

    __slots__ = ("_result", "_work", "error", "future")

    def __init__(self, work: Callable[[Ledger], T], future: asyncio.Future[T]) -> None:
        self._work = work
        self.future = future
        self._result: T | None = None
        self.error: Exception | None = None

    def run(self, ledger: Ledger) -> None:
        """Do the work; a refusal is its own, other errors are everyone's in the transaction."""
        try:
            self._result = self._work(ledger)
        except ChatrunError as exc:
            self.error = exc

    def settle(self) -> None:
        """Tell the caller, unless it was cancelled and is not there any more."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(cast("T", self._result))
        else:
            self.future.set_exception(self.error)


class Writer:
    """The writing thread of one data folder, from `start` to `stop`.

    The methods are for the event loop that it was made in.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float],
        trace: Callable[[str], None] | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._folder = folder
        self._path = folder / FILE_NAME
        self.lock = FolderLock(folder)
        self._clock = clock
        self._trace = trace
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        """What waits; None asks to stop."""
        self._broken: str | None = None
        """Why nothing may be written any more."""
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._stopping: concurrent.futures.Future[None] | None = None

    async def start(self) -> None:
        """Lock the folder and open the file.

        Raises:
            StoreError: Its leaf says what is wrong; nothing is left open.
        """
        threading.Thread(target=self._main, name="chatrun-store-writer", daemon=True).start()
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self.stop()
            raise

    def submit(self, work: Callable[[Ledger], T]) -> asyncio.Future[T]:
        """Put `work` in line; its result comes when it is durable.

        It is done even if the future is cancelled.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._stopping is None:
            self._jobs.put(_Job(work, future))
        else:
            future.set_exception(StoreUnavailable(f"{self._path} is closed"))
        return future

    def stop(self, after: concurrent.futures.Future[None] | None = None) -> None:
        """Have the file closed when what is in line has been done, and when `after` is done."""
        if self._stopping is None:
            self._stopping = after or concurrent.futures.Future()
            if after is None:
                self._stopping.set_result(None)
            self._jobs.put(None)

    async def ended(self) -> None:
        """Wait until the file is closed and the lock given back."""
        await asyncio.shield(self._ended)

    # --- in the thread ----------------------------------------------------------------------

    def _main(self) -> None:
        try:
            with self.lock, closing(open_writing(self._folder, trace=self._trace)) as connection:
                self._tell(self._opened.set_result, None)
                self._serve(Ledger(connection, self._clock))
        except Exception as exc:  # or whoever waits for this thread would wait for ever
            error = exc if isinstance(exc, StoreError) else store_error(exc, self._path)
            self._tell(self._fail, error)
        finally:
            self._tell(self._ended.set_result, None)

    def _serve(self, ledger: Ledger) -> None:
        going_on = True
        while going_on:
            jobs, going_on = self._take(_IDLE_S if ledger.backlog_bytes else None)
            if jobs:
                self._commit(ledger, jobs)
            if going_on and (not jobs or ledger.backlog_bytes > _BACKLOG_BYTES):
                self._checkpoint(ledger, "PASSIVE")
        assert self._stopping is not None
        concurrent.futures.wait([self._stopping])
        self._checkpoint(ledger, "TRUNCATE")

    def _take(self, wait_s: float | None) -> tuple[list[_Job[Any]], bool]:
        """Return all that waits, nothing after `wait_s`, and whether more may come."""
        jobs: list[_Job[Any]] = []
        try:
            job = self._jobs.get(timeout=wait_s)
            while job is not None:
                jobs.append(job)
                job = self._jobs.get_nowait()
        except queue.Empty:
            return jobs, True
        return jobs, False

    def _commit(self, ledger: Ledger, jobs: Sequence[_Job[Any]]) -> None:
        """Do all jobs in one transaction, or none of them."""
        if self._broken is None:
            try:
                ledger.begin()
                for job in jobs:
                    job.run(ledger)
                ledger.commit()
            except Exception as exc:  # a fault of ours must not leave callers waiting either
                self._undo(ledger, jobs, exc)
        else:
            for job in jobs:
                job.error = StoreUnavailable(self._broken)
        self._tell(_settle, jobs)

    def _undo(self, ledger: Ledger, jobs: Sequence[_Job[Any]], exc: Exception) -> None:
        if not isinstance(exc, sqlite3.Error):
            log.exception("an operation on %s failed", self._path)
        self._check_synced(exc)
        try:
            ledger.rollback()
        except sqlite3.Error as worse:
            self._broken = f"{self._path} is in an unknown state ({worse}): restart the server"
            log.error("%s", self._broken)
        for job in jobs:
            # Refusals too: what an operation was refused for may have been undone with the rest.
            job.error = self._error(exc)

    def _error(self, exc: Exception) -> StoreError:
        """Return what to tell a caller; after a failed sync, not that nothing was changed."""
        if self._broken is not None:
            return StoreUnavailable(self._broken)
        return store_error(exc, self._path)

    def _checkpoint(self, ledger: Ledger, mode: str) -> None:
        if self._broken is not None:
            return
        try:
            ledger.checkpoint(mode)
        except sqlite3.Error as exc:
            # Nothing is lost: all of it stays in the log, and the next checkpoint has it.
            log.warning("cannot write the log of %s back: %s", self._path, exc)
            self._check_synced(exc)

    def _check_synced(self, exc: Exception) -> None:
        if is_sync_failure(exc):
            self._broken = (
                f"the disk failed to confirm a write to {self._path}: whether it was made shows "
                "after a restart, and nothing is written until then"
            )
            log.error("%s", self._broken)

    def _tell(self, callback: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            log.debug("nobody waits for %s any more: the event loop is closed", self._path)

    # --- told to the event loop -------------------------------------------------------------

    def _fail(self, error: StoreError) -> None:
        if self._opened.done():
            log.error("the writer of %s ended: %s", self._path, error)
        else:
            self._opened.set_exception(error)


def _settle(jobs: Sequence[_Job[Any]]) -> None:
    for job in jobs:
        job.settle()
