"""Between the steps of an answer: steering, compaction, background messages, busy policies."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import ChatTask, Turn, chat, stream_text, tool
from chatrun.errors import SessionBusy
from chatrun.messages.types import message_text
from chatrun.testing import Harness, harness
from tests.support.scripted import Scripted, calls, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatrun.models.base import ModelRequest


def shown(request: ModelRequest) -> list[tuple[str, str]]:
    """Return the roles and texts that the model was shown."""
    return [(m["role"], _text(m["content"])) for m in request.messages]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", part["type"]) for part in content)


class Pausing:
    """A task whose tool waits, so that messages can arrive between two steps."""

    def __init__(self, *scripts: Any, **options: Any) -> None:
        self.model = Scripted(*scripts)
        self.in_tool = asyncio.Event()
        self.go_on = asyncio.Event()

        @tool
        async def wait() -> str:
            """Wait."""
            self.in_tool.set()
            await self.go_on.wait()
            return "waited"

        @chat.task("my-chat", tools=[wait], **options)
        async def my_chat(turn: Turn[Any]) -> Any:
            return stream_text(self.model)

        self.task: ChatTask[Any] = my_chat


async def test_rule_28_what_arrives_in_mid_answer_is_shown_at_the_next_step_in_one_batch() -> None:
    paused = Pausing(calls("wait"), says("done"), busy="steer")
    asked: list[int] = []

    @paused.task.steering
    async def want(event: Any) -> bool:
        asked.append(len(event.messages))
        return True

    async with harness(paused.task) as h, h.begin("one") as turn:
        await paused.in_tool.wait()
        async with h.begin("two"), h.begin("three"):
            paused.go_on.set()
            done = await turn.done()
        kept = [(m["role"], message_text(m)) for m in await h.messages()]

    assert asked == [2]
    assert shown(paused.model.requests[1])[-2:] == [("user", "two"), ("user", "three")]
    assert kept == [("user", "one"), ("user", "two"), ("user", "three"), ("assistant", "done")]
    (note,) = [c for c in done.chunks if c["type"] == "data-pending-message-injected"]
    assert [message["text"] for message in note["data"]["messages"]] == ["two", "three"]


async def test_rule_29_what_is_not_steered_in_has_a_turn_of_its_own() -> None:
    paused = Pausing(calls("wait"), says("done"), says("second"))

    @paused.task.steering
    def want(event: Any) -> bool:
        return False

    async with harness(paused.task) as h, h.begin("one") as one:
        await paused.in_tool.wait()
        async with h.begin("two") as two:
            paused.go_on.set()
            answers = [(await turn.done()).text for turn in (one, two)]
        kept = [message_text(m) for m in await h.messages()]

    assert answers == ["done", "second"]
    assert kept == ["one", "done", "two", "second"]


async def test_a_steered_message_may_be_shown_in_other_words() -> None:
    paused = Pausing(calls("wait"), says("done"), busy="steer")

    @paused.task.prepare_steering
    def prepare(event: Any) -> Any:
        return [{"role": "user", "content": [{"type": "text", "text": "(aside)"}]}]

    async with harness(paused.task) as h, h.begin("one") as turn:
        await paused.in_tool.wait()
        async with h.begin("two"):
            paused.go_on.set()
            await turn.done()

    assert shown(paused.model.requests[1])[-1] == ("user", "(aside)")


async def test_with_interrupt_a_message_stops_the_answer_and_is_answered() -> None:
    @chat.task("my-chat", busy="interrupt")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
        yield turn.text
        if turn.text == "one":
            await asyncio.Event().wait()

    async with harness(my_chat) as h, h.begin("one") as one:
        await one.until("text-delta")
        two = await h.send("two")
        stopped = await one.done()

    assert (stopped.outcome, two.outcome, two.text) == ("stopped", "finished", "two")


async def test_with_reject_a_message_in_mid_answer_is_refused_and_nothing_is_stored() -> None:
    go_on = asyncio.Event()

    @chat.task("my-chat", busy="reject")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
        yield turn.text
        await go_on.wait()

    async with harness(my_chat) as h:
        async with h.begin("one") as one:
            await one.until("text-delta")
            with pytest.raises(SessionBusy):
                await h.send("two")
            go_on.set()
            await one.done()
        kept = [message_text(m) for m in await h.messages()]
        assert (await h.send("three")).text == "three"

    assert kept == ["one", "one"]


def compacting(model: Scripted, *, at: int) -> ChatTask[Any]:
    """A task that compacts when the last call used so many tokens."""

    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    @chat.task("my-chat", tools=[look], max_turns=2)
    async def my_chat(turn: Turn[Any]) -> Any:
        return stream_text(model)

    @my_chat.compaction(when=lambda event: (event.usage.total_tokens or 0) >= at)
    async def summarize(event: Any) -> str:
        return f"summary of {len(event.messages)}"

    return my_chat


async def test_rule_31_behind_a_turn_the_conversation_is_summarised_and_stays_so() -> None:
    model = Scripted(says("a"), says("b"), says("c"))
    compacted: list[str] = []
    task = compacting(model, at=11)
    task.on_compacted(lambda event: compacted.append(event.summary))
    async with harness(task) as h:
        for text in ("one", "two", "three, of another run"):
            await h.send(text)
        kept = [message_text(m) for m in await h.messages()]

    assert compacted[0] == "summary of 1"
    assert len(kept) == 6
    head = ("assistant", "[Conversation summary]\n\nsummary of 1")
    assert shown(model.requests[1])[0] == head
    assert shown(model.requests[2])[0][0] == "assistant"
    assert "[Conversation summary]" in shown(model.requests[2])[0][1]


async def test_rule_31_between_steps_it_is_summarised_once_and_not_behind_the_turn_again() -> None:
    model = Scripted(calls("look"), calls("look"), says("done"))
    compacted: list[str] = []
    task = compacting(model, at=11)
    task.on_compacted(lambda event: compacted.append(event.summary))
    async with harness(task) as h:
        turn = await h.send("one")

    assert turn.text == "done"
    assert len(compacted) == 1
    assert shown(model.requests[1]) == [("user", "[Conversation summary]\n\nsummary of 3")]
    assert [c["data"]["status"] for c in turn.chunks if c["type"] == "data-compaction"] == [
        "compacting",
        "complete",
    ]


async def test_rule_30_background_messages_never_part_a_call_from_its_result() -> None:
    paused = Pausing(calls("wait"), says("done"), says("next"))

    async def hooked(h: Harness) -> None:
        await paused.in_tool.wait()
        paused.go_on.set()

    @paused.task.on_turn_start
    async def inject(event: Any) -> None:
        if event.turn.number == 0:

            async def later() -> None:
                await paused.in_tool.wait()
                event.turn.inject([{"role": "user", "content": "by the way"}])

            event.turn.defer(later())

    async with harness(paused.task) as h:
        helping = asyncio.create_task(hooked(h))
        await h.send("one")
        await helping
        await h.send("two")

    assert ("user", "by the way") not in shown(paused.model.requests[1])
    assert ("user", "by the way") in shown(paused.model.requests[2])


async def test_usage_is_counted_once_for_streams_of_ours() -> None:
    model = Scripted(calls("look"), says("done"))
    totals: list[Any] = []
    task = compacting(model, at=10_000)
    task.on_turn_complete(lambda event: totals.append(event.usage.total_tokens))
    async with harness(task) as h:
        await h.send("one")
        while not totals:
            await asyncio.sleep(0.005)

    assert totals == [22]
