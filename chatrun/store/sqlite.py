"""The embedded store: one SQLite file in one folder, which one server has for itself."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from chatrun.errors import InvalidInput, StoreUnavailable
from chatrun.store import checks, sqlite_reads, sqlite_sessions
from chatrun.store.sqlite_listing import read_page
from chatrun.store.sqlite_reader import Reader
from chatrun.store.sqlite_writer import Writer
from chatrun.wire.ids import START, Cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chatrun.store.base import (
        Appended,
        NewSession,
        OutWrite,
        Session,
        SessionChange,
        SessionPage,
        SessionQuery,
        TranscriptPage,
    )
    from chatrun.store.sqlite_ledger import Ledger
    from chatrun.wire.records import InRecord, OutBatch

T = TypeVar("T")


async def open_sqlite(
    folder: Path,
    *,
    clock: Callable[[], float] = time.time,
    read_only: bool = False,
    trace: Callable[[str], None] | None = None,
) -> SqliteStore:
    """Open the sessions in `folder`, which is made when it is not there; close it with `aclose`.

    With `read_only` it needs no lock: it looks into the folder of a running server, or of none,
    and every write raises `StoreUnavailable`. `trace` is called with each statement that is
    written, in the writing thread.

    Raises:
        StoreLocked: Another server has this folder; the message names its process.
        StoreCorrupt: What is there cannot be read; it is left as it is.
        StoreTooNew: A newer chatrun wrote it.
        StoreUnavailable: The folder cannot be used.
    """
    reader = Reader(folder)
    if read_only:
        await reader.start()
        return SqliteStore(reader, None, clock=clock)
    writer = Writer(folder, clock=clock, trace=trace)
    await writer.start()
    return SqliteStore(reader, writer, clock=clock)


class SqliteStore:
    """Sessions in one SQLite file; made by `open_sqlite`."""

    def __init__(
        self, reader: Reader, writer: Writer | None, *, clock: Callable[[], float]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._clock = clock

    async def aclose(self) -> None:
        # Both are told before the first wait: a cancelled close still closes.
        reads_ended = self._reader.close()
        if self._writer is None:
            await asyncio.shield(asyncio.wrap_future(reads_ended))
        else:
            self._writer.stop(after=reads_ended)
            await self._writer.ended()

    def note(self, text: str) -> None:
        """Leave a line, such as the server's URL, for who finds the folder locked."""
        if self._writer is not None:
            self._writer.lock.note(text)

    # --- sessions ---------------------------------------------------------------------------

    async def create_session(self, new: NewSession) -> tuple[Session, bool]:
        checks.check_new(new)
        trigger_config = checks.encode_json(new.trigger_config, "triggerConfig")
        metadata = checks.encode_json_or_none(new.metadata, "metadata")
        return await self._write(
            lambda ledger: sqlite_sessions.create_session(ledger, new, trigger_config, metadata)
        )

    async def session(self, ref: str) -> Session:
        return await self._reader.run(partial(sqlite_reads.read_session_by_ref, ref=ref))

    async def list_sessions(self, query: SessionQuery) -> SessionPage:
        checks.check_query(query)
        now_ms = int(self._clock() * 1000)
        return await self._reader.run(partial(read_page, query=query, now_ms=now_ms))

    async def update_session(self, session_id: str, change: SessionChange) -> Session:
        checks.check_change(change)
        trigger_config = checks.encode_json_or_none(change.trigger_config, "triggerConfig")
        metadata = checks.encode_json_or_none(change.metadata, "metadata")
        return await self._write(
            lambda ledger: sqlite_sessions.update_session(
                ledger, session_id, change, trigger_config, metadata
            )
        )

    async def close_session(self, session_id: str, *, reason: str | None) -> Session:
        checks.check_text(reason or "", "the reason for closing")
        return await self._write(
            lambda ledger: sqlite_sessions.close_session(ledger, session_id, reason)
        )

    async def unfinished_sessions(self) -> Sequence[str]:
        return await self._reader.run(sqlite_reads.read_unfinished)

    # --- the in stream ----------------------------------------------------------------------

    async def append_in(self, session_id: str, body: str, *, part_id: str) -> Appended:
        checks.check_text(body, "the record")
        checks.check_text(part_id, "the part id")
        return await self._write(
            lambda ledger: sqlite_sessions.append_in(ledger, session_id, body, part_id)
        )

    async def read_in(
        self, session_id: str, *, after: Cursor = START, limit: int = 256
    ) -> Sequence[InRecord]:
        checks.check_limit(limit)
        return await self._reader.run(
            lambda connection: sqlite_reads.read_in(connection, session_id, after, limit)
        )

    # --- the right to write -----------------------------------------------------------------

    async def claim(self, session_id: str, *, run_id: str) -> Session:
        checks.check_text(run_id, "the run's id")
        return await self._write(lambda ledger: sqlite_sessions.claim(ledger, session_id, run_id))

    async def release(self, session_id: str, epoch: int) -> None:
        await self._write(lambda ledger: sqlite_sessions.release(ledger, session_id, epoch))

    # --- the out stream and the transcript --------------------------------------------------

    def write_out(self, session_id: str, epoch: int, write: OutWrite) -> asyncio.Future[OutBatch]:
        try:
            checks.check_write(write)
            state = checks.encode_json_or_none(write.state, "the state")
        except InvalidInput as exc:
            return _failed(exc)
        return self._write(lambda ledger: ledger.write_out(session_id, epoch, write, state))

    async def read_out(
        self, session_id: str, *, after: Cursor = START, limit: int = 1024
    ) -> Sequence[OutBatch]:
        checks.check_limit(limit)
        return await self._reader.run(
            lambda connection: sqlite_reads.read_out(connection, session_id, after, limit)
        )

    async def read_transcript(
        self, session_id: str, *, limit: int | None = None, before: str | None = None
    ) -> TranscriptPage:
        if limit is not None:
            checks.check_limit(limit)
        end = None if before is None else checks.transcript_position(before)
        return await self._reader.run(
            lambda connection: sqlite_reads.read_transcript(connection, session_id, limit, end)
        )

    # --- inside -----------------------------------------------------------------------------

    def _write(self, work: Callable[[Ledger], T]) -> asyncio.Future[T]:
        if self._writer is None:
            return _failed(StoreUnavailable("the store was opened to be read only"))
        return self._writer.submit(work)


def _failed(error: Exception) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future
