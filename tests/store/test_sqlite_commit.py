"""SQLite: many writes, one commit; nothing of a write is half done; no write looks at history."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from chatrun.errors import Fenced, StoreUnavailable
from chatrun.store.base import (
    NewSession,
    OutWrite,
    PutMessage,
    RemoveMessage,
    SessionChange,
    TruncateAfter,
)
from chatrun.store.sqlite import open_sqlite
from chatrun.wire.records import OutBatch
from tests.store.kit import TURN_END, chunk, chunks, new_run, new_session, numbered, out_of, turn

if TYPE_CHECKING:
    from pathlib import Path


class Trace:
    """Keeps the statements that are written, and can hold the writing thread at a `BEGIN`."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.held = threading.Event()
        self.may_go = threading.Event()
        self.may_go.set()

    def __call__(self, statement: str) -> None:
        self.statements.append(statement)
        if statement == "BEGIN IMMEDIATE" and not self.may_go.is_set():
            self.held.set()
            self.may_go.wait(10)

    def count(self, beginning: str) -> int:
        return sum(statement.startswith(beginning) for statement in self.statements)


async def test_what_gathers_behind_a_commit_is_committed_together(folder: Path) -> None:
    trace = Trace()
    store = await open_sqlite(folder, trace=trace)
    sessions = [await new_run(store) for _ in range(100)]
    trace.may_go.clear()
    first = store.write_out(sessions[0].id, 1, chunks("first"))
    await asyncio.to_thread(trace.held.wait, 10)
    trace.statements.clear()

    writes = [
        store.write_out(session.id, session.epoch, chunks(f"{n}"))
        for n in range(5)
        for session in sessions
    ]
    stale = store.write_out(sessions[0].id, 0, chunks("stale"))
    appends = [
        asyncio.ensure_future(store.append_in(session.id, "hi", part_id="p"))
        for session in sessions
    ]
    await asyncio.sleep(0)
    trace.may_go.set()
    await asyncio.gather(first, *writes, *appends)

    with pytest.raises(Fenced):
        await stale
    assert trace.count("COMMIT") == 2
    # 1 row for the first write; 100 for the 500 behind it, in statements of at most 64 rows.
    assert trace.count("INSERT INTO out_batch") == 1 + 3
    assert await out_of(store, sessions[7].id) == numbered(*(chunk(f"{n}") for n in range(5)))
    assert (await store.read_out(sessions[7].id))[0].lines == tuple(chunk(f"{n}") for n in range(5))
    await store.aclose()


async def test_an_idle_store_commits_at_once(folder: Path) -> None:
    trace = Trace()
    store = await open_sqlite(folder, trace=trace)
    session = await new_run(store)
    trace.statements.clear()

    for n in range(3):
        await store.write_out(session.id, session.epoch, chunks(f"{n}"))

    assert [statement.split()[0] for statement in trace.statements] == [
        *("BEGIN", "SELECT", "UPDATE", "INSERT", "COMMIT"),  # looked up and marked once a turn
        *("BEGIN", "INSERT", "COMMIT"),
        *("BEGIN", "INSERT", "COMMIT"),
    ]
    await store.aclose()


async def test_the_log_is_written_back_when_it_has_grown_and_when_nothing_happens(
    folder: Path,
) -> None:
    trace = Trace()
    store = await open_sqlite(folder, trace=trace)
    session = await new_run(store)

    for n in range(18):
        await store.append_in(session.id, "x" * 2**20, part_id=f"{n}")

    # Both checkpoints are the writer's own: it was busy until the first, and idle before the next.
    assert trace.count("PRAGMA wal_checkpoint") == 1
    async with asyncio.timeout(10):
        while (folder / "chatrun.db").stat().st_size < 18 * 2**20:
            await asyncio.sleep(0.01)
    assert trace.count("PRAGMA wal_checkpoint") == 2
    await store.aclose()


async def test_no_write_looks_at_more_than_it_must(folder: Path) -> None:
    trace = Trace()
    store = await open_sqlite(folder, trace=trace)
    session, _ = await store.create_session(NewSession("t", "c"))
    await store.create_session(NewSession("t", "c"))
    await store.update_session(session.id, SessionChange(tags=("a",)))
    await store.append_in(session.id, "hi", part_id="p")
    session = await store.claim(session.id, run_id="run_1")
    changes = (PutMessage("m", b"{}"), RemoveMessage("x"), TruncateAfter("m"), TruncateAfter(None))
    for _ in range(3):
        await store.write_out(session.id, session.epoch, chunks("a"))
        write = OutWrite((TURN_END,), changes, 0, {"n": 1}, ends_turn=True)
        await store.write_out(session.id, session.epoch, write)
    await store.release(session.id, session.epoch)
    await store.close_session(session.id, reason="done")
    await store.aclose()

    verbs = ("SELECT", "INSERT", "UPDATE", "DELETE")
    work = {text.strip() for text in trace.statements if text.strip().startswith(verbs)}
    with closing(sqlite3.connect(folder / "chatrun.db")) as connection:
        steps = [
            (step, statement)
            for statement in work
            if "sqlite_master" not in statement
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]

    assert len(steps) > 20
    assert [(step, statement) for step, statement in steps if step.startswith("SCAN")] == []


async def test_another_program_that_holds_the_file_for_a_moment_is_waited_for(
    folder: Path,
) -> None:
    store = await open_sqlite(folder)
    session = await new_run(store)
    other = sqlite3.connect(folder / "chatrun.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    writing = store.write_out(session.id, session.epoch, chunks("a"))
    await asyncio.sleep(0.05)
    assert not writing.done()
    assert await out_of(store, session.id) == []  # readers are not held up
    other.execute("ROLLBACK")

    assert (await writing).first == 0
    other.close()
    await store.aclose()


async def test_another_program_that_keeps_the_file_is_given_up_on(folder: Path) -> None:
    store = await open_sqlite(folder)
    session = await new_run(store)
    other = sqlite3.connect(folder / "chatrun.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    writes = [store.write_out(session.id, epoch, chunks("a")) for epoch in (1, 0, 1)]
    failed = await asyncio.gather(*writes, return_exceptions=True)
    other.execute("ROLLBACK")
    again = await store.write_out(session.id, session.epoch, turn("b"))

    assert {type(error) for error in failed} <= {StoreUnavailable, Fenced, OutBatch}
    assert isinstance(failed[0], StoreUnavailable)
    assert "another program holds" in str(failed[0])
    assert again.first == sum(isinstance(result, OutBatch) for result in failed)
    other.close()
    await store.aclose()


async def test_a_fault_in_one_operation_undoes_its_group_and_nothing_else(folder: Path) -> None:
    trace = Trace()
    store = await open_sqlite(folder, trace=trace)
    session = await new_run(store)
    await store.write_out(session.id, session.epoch, chunks("before"))
    await store.write_out(session.id, session.epoch, turn())
    other = await new_session(store, "c")
    trace.may_go.clear()
    held = store.write_out(session.id, session.epoch, chunks("held"))
    await asyncio.to_thread(trace.held.wait, 10)

    good = store.write_out(session.id, session.epoch, turn("good"))
    fault = store.write_out(session.id, session.epoch, OutWrite(in_cursor=10**30))
    trace.may_go.set()
    results = await asyncio.gather(held, good, fault, return_exceptions=True)

    assert [type(result) for result in results] == [OutBatch, StoreUnavailable, StoreUnavailable]
    after = await store.write_out(session.id, session.epoch, chunks("after"))
    assert after.first == 3
    assert await out_of(store, session.id) == numbered(
        chunk("before"), TURN_END, chunk("held"), chunk("after")
    )
    assert (await store.session("c")) == other
    await store.aclose()


def test_what_was_called_is_written_even_when_the_event_loop_has_gone(folder: Path) -> None:
    async def write_and_leave() -> str:
        store = await open_sqlite(folder)
        session = await new_run(store)
        writes = [store.write_out(session.id, 1, chunks(f"{n}")) for n in range(100)]
        assert len(writes) == 100
        return session.id

    async def look(session_id: str) -> None:
        onlooker = await open_sqlite(folder, read_only=True)
        async with asyncio.timeout(10):
            while (await onlooker.session(session_id)).out_tail < 100:
                await asyncio.sleep(0.005)
        await onlooker.aclose()

    asyncio.run(look(asyncio.run(write_and_leave())))
