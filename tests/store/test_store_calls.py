"""Callers: cancelled ones, many at once, and those who come after the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chatrun.errors import StoreUnavailable
from chatrun.store.base import Appended, NewSession, SessionChange, SessionQuery
from tests.store.kit import chunk, chunks, new_run, new_session, numbered, out_of, turn

if TYPE_CHECKING:
    from chatrun.store.base import Store
    from tests.store.kit import Backend


async def test_a_cancelled_append_has_happened_once_or_not_at_all(store: Store) -> None:
    session = await new_session(store)

    for n in range(20):
        appending = asyncio.ensure_future(store.append_in(session.id, f"{n}", part_id=f"{n}"))
        await asyncio.sleep(0)
        appending.cancel()
        await asyncio.wait([appending])
    records = await store.read_in(session.id)
    again = [await store.append_in(session.id, f"{n}", part_id=f"{n}") for n in range(20)]

    assert [record.seq for record in records] == list(range(len(records)))
    assert all(again[int(record.body)] == Appended(record.seq, False) for record in records)
    assert [record.seq for record in await store.read_in(session.id)] == list(range(20))


async def test_a_cancelled_append_does_not_disturb_those_beside_it(store: Store) -> None:
    session = await new_session(store)
    appending = [
        asyncio.ensure_future(store.append_in(session.id, f"{n}", part_id=f"{n}")) for n in range(9)
    ]
    await asyncio.sleep(0)

    for one in appending[::3]:
        one.cancel()
    await asyncio.wait(appending)

    kept = {record.part_id: record.seq for record in await store.read_in(session.id)}
    assert all(
        one.cancelled() or one.result() == Appended(kept[f"{n}"], is_new=True)
        for n, one in enumerate(appending)
    )
    assert sorted(kept.values()) == list(range(len(kept)))
    assert {"1", "2", "4", "5", "7", "8"} <= kept.keys()


async def test_a_write_whose_caller_is_cancelled_leaves_no_gap(store: Store) -> None:
    session = await new_run(store)
    first = store.write_out(session.id, session.epoch, chunks("a"))
    second = asyncio.ensure_future(store.write_out(session.id, session.epoch, chunks("b")))
    second.cancel()
    third = store.write_out(session.id, session.epoch, chunks("c"))

    batches = [await first, await third]

    found = await out_of(store, session.id)
    assert found in (
        numbered(chunk("a"), chunk("b"), chunk("c")),
        numbered(chunk("a"), chunk("c")),
    )
    assert [batch.last for batch in batches] == [0, found[-1][0]]


async def test_what_a_caller_was_told_is_there_for_every_reader(store: Store) -> None:
    session = await new_run(store)

    async def write_and_read(n: int) -> None:
        batch = await store.write_out(session.id, session.epoch, chunks(f"{n}"))
        seen = await out_of(store, session.id, after=batch.first - 1)
        assert seen[0] == (batch.first, chunk(f"{n}"))

    async with asyncio.TaskGroup() as group:
        for n in range(50):
            group.create_task(write_and_read(n))


async def test_closing_finishes_what_was_called_before(backend: Backend) -> None:
    store = await backend.open()
    session = await new_run(store)
    writes = [store.write_out(session.id, session.epoch, chunks(f"{n}")) for n in range(100)]
    reading = asyncio.ensure_future(store.read_out(session.id))
    await asyncio.sleep(0)

    await store.aclose()

    assert [(await write).first for write in writes] == list(range(100))
    assert isinstance(await reading, list)


async def test_closing_twice_or_at_once_is_fine(backend: Backend) -> None:
    store = await backend.open()

    await asyncio.gather(store.aclose(), store.aclose())
    await store.aclose()


async def test_a_cancelled_close_still_closes(backend: Backend) -> None:
    store = await backend.open()
    closing = asyncio.ensure_future(store.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])

    await store.aclose()

    with pytest.raises(StoreUnavailable):
        await store.session("c")


async def test_a_closed_store_refuses_everything(backend: Backend) -> None:
    store = await backend.open()
    session = await new_run(store)
    await store.aclose()

    for call in (
        store.create_session(NewSession("t")),
        store.session(session.id),
        store.list_sessions(SessionQuery()),
        store.update_session(session.id, SessionChange()),
        store.close_session(session.id, reason=None),
        store.unfinished_sessions(),
        store.append_in(session.id, "hi", part_id="p"),
        store.read_in(session.id),
        store.claim(session.id, run_id="r"),
        store.release(session.id, session.epoch),
        store.write_out(session.id, session.epoch, turn("a")),
        store.read_out(session.id),
        store.read_transcript(session.id),
    ):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call
