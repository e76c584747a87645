"""Tasks that do all by themselves: `@chat.custom`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from chatrun import RawSession, chat, stream_text
from chatrun.errors import InvalidInput
from chatrun.testing import ScriptedModel, harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Person(BaseModel):
    name: str


async def test_a_loop_of_ones_own_keeps_a_conversation() -> None:
    model = ScriptedModel(["one", "two"])

    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        while (message := await session.messages.next()) is not None:
            session.take_in(message)
            answer = await session.pipe(stream_text(model, messages=session.model_messages()))
            if answer.message is not None:
                session.keep(answer.message)
            await session.write_turn_complete()

    async with harness(my_chat) as h:
        first = await h.send("a")
        second = await h.send("b")
        kept = await h.messages()

    assert (first.outcome, first.text, second.text) == ("finished", "one", "two")
    assert [message["role"] for message in kept] == ["user", "assistant"] * 2
    assert len(model.requests[1].messages) == 3
    assert [chunk["type"] for chunk in first.chunks][:: len(first.chunks) - 1] == [
        "start",
        "finish",
    ]


async def test_regenerate_and_edits_are_taken_in_as_by_a_task() -> None:
    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        while (message := await session.messages.next()) is not None:
            session.take_in(message)
            answer = await session.pipe(f"{message.trigger} {len(session.history)}")
            assert answer.message is not None
            session.keep(answer.message)
            await session.write_turn_complete()

    async with harness(my_chat) as h:
        await h.send("a")
        again = await h.regenerate()
        kept = await h.messages()

    assert again.text == "regenerate-message 1"
    assert len(kept) == 2


async def test_nothing_is_kept_but_what_is_said() -> None:
    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        while (message := await session.messages.next()) is not None:
            await session.write({"type": "data-heard", "data": message.text})
            await session.write_turn_complete()

    async with harness(my_chat) as h:
        turn = await h.send("a")
        kept = await h.messages()

    assert turn.chunks[1] == {"type": "data-heard", "data": "a"}
    assert kept == []


async def test_a_stop_ends_what_is_piped_and_is_signalled() -> None:
    seen: list[object] = []

    async def endless() -> AsyncIterator[str]:
        yield "partly"
        await asyncio.Event().wait()

    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        while (message := await session.messages.next()) is not None:
            piped = await session.pipe(endless() if message.text == "a" else "fine")
            seen.append((piped.status, session.stopped, session.stop_signal.is_set()))
            await session.write_turn_complete()

    async with harness(my_chat) as h:
        async with h.begin("a") as turn:
            await turn.until("text-delta")
            await h.stop()
            stopped = await turn.done()
        after = await h.send("b")

    assert (stopped.outcome, stopped.chunks[-1]) == ("stopped", {"type": "abort"})
    assert after.text == "fine"
    assert seen == [("stopped", True, True), ("finished", False, False)]


async def test_the_stop_signal_can_be_waited_for() -> None:
    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        while await session.messages.next() is not None:
            await session.write({"type": "data-began", "data": 1})
            await session.stop_signal.wait()
            await session.write_turn_complete()

    async with harness(my_chat) as h, h.begin("a") as turn:
        await turn.until("data-began")
        await h.stop()
        done = await turn.done()

    assert done.outcome == "finished"


async def test_messages_can_be_looked_at_before_they_are_claimed() -> None:
    seen: list[object] = []
    ready, both = asyncio.Event(), asyncio.Event()

    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        seen.append((session.messages.peek(), session.messages.has_pending()))
        ready.set()
        while (message := await session.messages.next()) is not None:
            await both.wait()
            waits = session.messages.peek()
            seen.append((message.text, waits.text if waits else None))
            assert session.messages.has_pending() == (waits is not None)
            await session.pipe(message.text)
            await session.write_turn_complete()

    async with harness(my_chat, preload=True) as h:
        await ready.wait()
        async with h.begin("a") as a, h.begin("b") as b:
            both.set()
            answers = [(await a.done()).text, (await b.done()).text]

    assert answers == ["a", "b"]
    assert seen == [(None, False), ("a", "b"), ("b", None)]


async def test_two_messages_may_be_answered_at_once() -> None:
    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        while (message := await session.messages.next()) is not None:
            other = await session.messages.next()
            assert other is not None
            await session.pipe(f"{message.text} and {other.text}")
            await session.write_turn_complete()

    async with harness(my_chat) as h:
        async with h.begin("a") as a, h.begin("b") as b:
            both = await b.done()
            first = await a.done()

    assert both.text == "a and b"
    assert first.outcome == "finished"


async def test_what_cannot_be_read_is_answered_with_an_error_and_passed_over() -> None:
    @chat.custom("my-chat", client_data=Person)
    async def my_chat(session: RawSession[Person]) -> None:
        while (message := await session.messages.next()) is not None:
            await session.pipe(message.client_data.name)
            await session.write_turn_complete()

    async with harness(my_chat) as h:
        refused = await h.send("a", metadata=1)
        fine = await h.send("b", metadata={"name": "Ann"})

    assert refused.outcome == "failed"
    assert refused.error is not None
    assert refused.error.startswith("The client data of this message is not valid")
    assert fine.text == "Ann"


async def test_a_function_that_raises_fails_the_message_that_it_has_claimed() -> None:
    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        message = await session.messages.next()
        assert message is not None
        if message.text == "a":
            raise ValueError("broken")
        await session.pipe("fine")

    async with harness(my_chat) as h:
        failed = await h.send("a")
        after = await h.send("b")

    assert (failed.outcome, failed.error) == ("failed", "ValueError: broken")
    assert (after.outcome, after.text) == ("finished", "fine")


async def test_a_source_that_fails_ends_the_turn_as_failed() -> None:
    async def failing() -> str:
        raise ValueError("broken")

    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        while await session.messages.next() is not None:
            piped = await session.pipe(failing())
            assert isinstance(piped.error, ValueError)
            await session.write_turn_complete()

    async with harness(my_chat) as h:
        turn = await h.send("a")

    assert (turn.outcome, turn.error) == ("failed", "ValueError: broken")


async def test_without_a_claimed_message_nothing_can_be_sent() -> None:
    errors: list[str] = []

    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        with pytest.raises(InvalidInput) as info:
            await session.pipe("too early")
        errors.append(str(info.value))
        while await session.messages.next() is not None:
            await session.write_turn_complete()

    async with harness(my_chat) as h:
        await h.send("a")

    assert errors == ["no turn is open: claim a message with `session.messages.next()`"]


async def test_a_claimed_message_that_was_not_completed_is_given_to_the_next_run() -> None:
    runs: list[str] = []
    begun = asyncio.Event()

    @chat.custom("my-chat")
    async def my_chat(session: RawSession[Any]) -> None:
        while (message := await session.messages.next()) is not None:
            runs.append(message.text)
            begun.set()
            if len(runs) == 1:
                await asyncio.Event().wait()
            await session.pipe(message.text)
            await session.write_turn_complete()

    async with harness(my_chat) as h:
        async with h.begin("a"):
            await begun.wait()
            await h.restart()
        after = await h.send("b")

    assert runs == ["a", "a", "b"]
    assert after.text == "b"
