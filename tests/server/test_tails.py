"""Readers of `out`: whatever falls between store and ring, each record comes once, in order."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from chatrun.server.tails import RING_BYTES, Reader, Tail
from chatrun.store.base import NewSession, OutWrite, Session
from chatrun.store.memory import MemoryStore
from chatrun.wire.ids import START, Cursor

if TYPE_CHECKING:
    from chatrun.wire.records import Line, OutBatch


class Stream:
    """A session's `out` stream with its tail, as the live side feeds them."""

    def __init__(self, store: MemoryStore, session: Session) -> None:
        self.store, self.session, self.tail = store, session, Tail()

    @classmethod
    async def open(cls) -> Stream:
        store = MemoryStore()
        session, _ = await store.create_session(NewSession("t"))
        return cls(store, await store.claim(session.id, run_id="r"))

    async def append(self, *lines: bytes, push: bool = True) -> OutBatch:
        batch = await self.store.write_out(
            self.session.id, self.session.epoch, OutWrite(lines=lines)
        )
        if push:
            self.tail.push(batch)
        return batch

    def reader(self, after: int = START) -> Reader:
        return Reader(self.store, self.session.id, self.tail, after=Cursor(after))


async def read_lines(reader: Reader, count: int) -> list[Line]:
    lines: list[Line] = []
    async with asyncio.timeout(5):
        while len(lines) < count:
            for batch in await reader.read(wait_s=5):
                lines += batch.lines
    return lines


async def test_a_waiting_reader_gets_a_record_the_moment_it_is_pushed() -> None:
    stream = await Stream.open()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        reading = group.create_task(read_lines(stream.reader(), 1))
        await asyncio.sleep(0)
        await stream.append(b"a")

    assert reading.result() == [b"a"]


async def test_an_empty_answer_comes_after_the_wait() -> None:
    stream = await Stream.open()

    assert await stream.reader().read(wait_s=0.01) == []


async def test_what_was_committed_before_the_reader_came_is_read_from_the_store() -> None:
    stream = await Stream.open()
    await stream.append(b"a", b"b", push=False)
    reader = stream.reader(after=0)

    assert await read_lines(reader, 1) == [b"b"]
    assert reader.cursor == 1


async def test_a_batch_that_was_read_from_the_store_does_not_come_again_from_the_ring() -> None:
    stream = await Stream.open()
    batch = await stream.append(b"a", push=False)
    reader = stream.reader()
    first = await read_lines(reader, 1)
    stream.tail.push(batch)
    await stream.append(b"b")

    assert first + await read_lines(reader, 1) == [b"a", b"b"]


async def test_a_reader_that_fell_behind_the_ring_goes_on_from_the_store() -> None:
    stream = await Stream.open()
    reader = stream.reader()
    big = b"x" * (RING_BYTES // 2)
    for _ in range(6):
        await stream.append(big)

    assert await read_lines(reader, 6) == [big] * 6


async def test_a_reader_that_is_cancelled_while_it_waits_is_cancelled() -> None:
    stream = await Stream.open()
    reading = asyncio.create_task(stream.reader().read(wait_s=60))
    await asyncio.sleep(0)
    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize("seed", range(20))
async def test_many_readers_get_everything_once_whatever_the_timing(seed: int) -> None:
    rng = random.Random(seed)
    stream = await Stream.open()
    lines = [b"%d" % n for n in range(200)]

    async def read_from(after: int) -> list[Line]:
        for _ in range(rng.randrange(10)):
            await asyncio.sleep(0)
        return await read_lines(stream.reader(after), len(lines) - 1 - after)

    async with asyncio.TaskGroup() as group:
        starts = [rng.randrange(-1, 150) for _ in range(10)]
        readers = [group.create_task(read_from(start)) for start in starts]
        at = 0
        while at < len(lines):
            size = rng.randrange(1, 9)
            await stream.append(*lines[at : at + size])
            at += size
            if rng.random() < 0.5:
                await asyncio.sleep(0)

    for start, reader in zip(starts, readers, strict=True):
        assert reader.result() == lines[start + 1 :]
