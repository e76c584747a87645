"""Waiting that ends: what does not come is named, what is raised stays as it is."""

from __future__ import annotations

import asyncio

import pytest

from chatrun.testing.waiting import Signal, plain_group, waiting_for


async def test_what_waits_is_woken_by_the_change_that_makes_it_true() -> None:
    signal = Signal()
    seen: list[int] = []

    async def change() -> None:
        for number in range(3):
            await asyncio.sleep(0)
            seen.append(number)
            signal.tell()

    async with asyncio.TaskGroup() as group:
        group.create_task(change())
        await signal.until(lambda: len(seen) == 3, what="the third")

    assert seen == [0, 1, 2]


async def test_what_does_not_come_is_named() -> None:
    with pytest.raises(TimeoutError, match="^waited 0.01 s, and the rain did not happen$"):
        async with waiting_for("the rain", wait_s=0.01):
            await asyncio.Event().wait()


async def test_a_time_limit_of_the_block_itself_is_not_taken_for_ours() -> None:
    with pytest.raises(TimeoutError, match="mine"):
        async with waiting_for("anything"):
            raise TimeoutError("mine")


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with plain_group() as group:
            group.create_task(asyncio.Event().wait())
            raise ZeroDivisionError


async def test_what_a_task_of_the_group_raises_ends_the_block() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        async with plain_group() as group:
            group.create_task(fail())
            await asyncio.Event().wait()

    assert [type(error) for error in raised.value.exceptions] == [ZeroDivisionError]


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def within() -> None:
        async with plain_group():
            await asyncio.Event().wait()

    task = asyncio.create_task(within())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
