"""Stop is cancellation: it reaches the task, keeps what was said, and ends one turn only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chatrun import Turn, chat
from chatrun.testing import harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def test_a_stop_cancels_the_task_where_it_waits_and_keeps_the_partial_answer() -> None:
    seen: list[object] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        yield "partly"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            seen.append(turn.stopped)

    async with harness(my_chat) as h, h.begin("hi") as turn:
        await turn.until("text-delta")
        await h.stop()
        done = await turn.done()
        kept = await h.messages()

    assert seen == ["cancelled", True]
    assert (done.outcome, done.text) == ("stopped", "partly")
    assert done.chunks[-1] == {"type": "abort"}
    assert kept[1]["parts"][-1] == {"type": "text", "text": "partly", "state": "done"}


async def test_the_turn_after_a_stopped_one_is_an_ordinary_turn() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        yield f"{turn.number}"
        if turn.number == 0:
            await asyncio.Event().wait()

    async with harness(my_chat) as h:
        async with h.begin("hi") as turn:
            await turn.until("text-delta")
            await h.stop()
            await h.stop()
            assert (await turn.done()).outcome == "stopped"
        after = await h.send("again")

    assert (after.outcome, after.text) == ("finished", "1")


async def test_a_stop_while_idle_does_nothing() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return f"{turn.number}"

    async with harness(my_chat) as h:
        await h.send("hi")
        before = len(await h.records())
        await h.stop()
        after = await h.send("again")
        records = await h.records()

    assert (after.outcome, after.text) == ("finished", "1")
    assert [r for r in records[before:] if r == {"type": "abort"}] == []


async def test_a_stop_before_the_first_message_does_nothing() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return "fine"

    async with harness(my_chat) as h:
        await h.stop()
        assert (await h.send("hi")).outcome == "finished"


async def test_a_stop_ends_only_the_turn_that_runs_and_the_queued_message_is_answered() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        yield turn.text
        if turn.text == "one":
            await asyncio.Event().wait()

    async with harness(my_chat) as h, h.begin("one") as one:
        await one.until("text-delta")
        async with h.begin("two") as two:
            await h.stop()
            assert (await one.done()).outcome == "stopped"
            done = await two.done()

    assert (done.outcome, done.text) == ("finished", "two")


async def test_a_task_that_swallows_its_cancellation_cannot_write_into_the_next_turn() -> None:
    release = asyncio.Event()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> None:
        await turn.write({"type": "data-note", "data": turn.number})
        while turn.number == 0 and not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        await turn.write({"type": "data-note", "data": f"late {turn.number}"})

    async with harness(my_chat) as h, h.begin("hi") as turn:
        await turn.until("data-note")
        await h.stop()
        stopped = await turn.done()
        release.set()
        after = await h.send("again")

    assert stopped.outcome == "stopped"
    assert [c["data"] for c in stopped.chunks if c["type"] == "data-note"] == [0]
    assert [c["data"] for c in after.chunks if c["type"] == "data-note"] == [1, "late 1"]
