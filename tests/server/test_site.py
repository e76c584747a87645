from __future__ import annotations

import asyncio
import logging

import pytest

from chatrun.server.site import RecentKeys, ServerSettings, Site
from chatrun.testing import serve_tasks


async def fail() -> None:
    raise ValueError("boom")


async def answer() -> int:
    return 42


async def test_background_work_goes_on_when_nobody_waits_for_it_any_more() -> None:
    done = asyncio.Event()

    async def work() -> int:
        await asyncio.sleep(0.01)
        done.set()
        return 1

    async with serve_tasks() as live, asyncio.TaskGroup() as group:
        site = Site(live, secret="s", settings=ServerSettings())
        site.use(group)
        site.spawn(work()).cancel()
        async with asyncio.timeout(5):
            await done.wait()


async def test_background_work_that_fails_fails_for_who_waits_and_for_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serve_tasks() as live, asyncio.TaskGroup() as group:
        site = Site(live, secret="s", settings=ServerSettings())
        site.use(group)
        assert await site.spawn(answer()) == 42
        with pytest.raises(ValueError, match="boom"):
            await site.spawn(fail())
        site.spawn(fail()).cancel()
        with caplog.at_level(logging.ERROR, "chatrun.server"):
            site.start_soon(fail(), what="the work")

    assert [record.getMessage() for record in caplog.records] == ["the work failed: boom"]


async def test_what_is_under_way_ends_with_the_server() -> None:
    async with serve_tasks() as live:
        async with asyncio.TaskGroup() as group:
            site = Site(live, secret="s", settings=ServerSettings())
            site.use(group)
            waiting = site.spawn(asyncio.Event().wait())
            site.start_soon(asyncio.sleep(3600), what="rest")
            await asyncio.sleep(0)
            site.cancel_background()
        assert waiting.cancelled()


def test_of_keys_only_the_last_ones_are_remembered() -> None:
    keys = RecentKeys(2)
    for key in ("a", "b", "a", "c"):
        keys.add(key)

    assert [key in keys for key in ("a", "b", "c")] == [True, False, True]
