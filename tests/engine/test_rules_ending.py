"""The rules of stops, closes and ends of runs (rules 13 to 18)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import ChatTask, Turn, chat
from chatrun.errors import SessionClosed
from chatrun.messages.types import message_text, user_message
from chatrun.testing import harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def said(text: str) -> dict[str, Any]:
    """A message's record."""
    message = user_message(text, message_id=text)
    return {"kind": "message", "payload": {"trigger": "submit-message", "message": message}}


class Waiting:
    """A task that answers "wait" until it is stopped, and everything else at once."""

    def __init__(self, **options: Any) -> None:
        self.called: list[str] = []
        self.ended: list[tuple[int, bool]] = []

        @chat.task("my-chat", **options)
        async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
            self.called.append(turn.text)
            yield turn.text
            if turn.text == "wait":
                await asyncio.Event().wait()

        self.task: ChatTask[Any] = my_chat
        my_chat.on_turn_complete(
            lambda event: self.ended.append((event.turn.number, event.turn.stopped))
        )


async def test_rule_13_a_stop_ends_the_turn_that_runs_and_not_the_next() -> None:
    waiting = Waiting()
    async with harness(waiting.task) as h:
        await h.stop()
        async with h.begin("wait") as turn:
            await turn.until("text-delta")
            await h.stop()
            stopped = await turn.done()
        await stopped.settled
        await h.stop()
        after = await h.send("go on")
        await after.settled

    assert (stopped.outcome, after.outcome) == ("stopped", "finished")
    assert waiting.ended == [(0, True), (1, False)]


async def test_rule_13_a_stop_right_behind_its_message_stops_that_turn() -> None:
    waiting = Waiting()
    async with harness(waiting.task) as h:
        async with h.begin("wait") as turn:
            await h.stop()
            stopped = await turn.done()
        after = await h.send("go on")
        kept = [message_text(m) for m in await h.messages() if m["role"] == "user"]

    assert (stopped.outcome, after.outcome, after.text) == ("stopped", "finished", "go on")
    assert kept == ["wait", "go on"]


def calling(gate: asyncio.Event) -> ChatTask[Any]:
    """A task that has called a tool of the client's and writes on."""

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[Any]:
        if turn.ui_messages[-1]["role"] == "assistant":
            yield " So be it."
            return
        named = {"toolName": "ask", "toolCallId": "call-1"}
        yield {"type": "tool-input-available", **named, "input": {"of": "it"}}
        yield {"type": "tool-input-start", **named, "toolCallId": "call-2"}
        yield {"type": "reasoning-start", "id": "r"}
        yield {"type": "reasoning-delta", "id": "r", "delta": "Hm"}
        yield "Meanwhile"
        await gate.wait()

    return my_chat


async def test_rule_14_what_is_kept_of_a_stopped_answer_has_nothing_unfinished_in_it() -> None:
    completed: list[Any] = []
    task = calling(asyncio.Event())
    task.on_turn_complete(completed.append)
    async with harness(task) as h, h.begin("hi") as turn:
        await turn.until("text-delta")
        await h.stop()
        stopped = await turn.done()
        await stopped.settled
        (_, kept) = await h.messages()

    call = {"type": "tool-ask", "toolCallId": "call-1", "input": {"of": "it"}}
    failed = "The answer was ended before this call had a result."
    assert kept["parts"] == [
        {**call, "state": "output-error", "errorText": failed},
        {"type": "reasoning", "id": "r", "text": "Hm", "state": "done"},
        {"type": "step-start"},
        {"type": "text", "text": "Meanwhile", "state": "done"},
    ]
    raw = completed[0].raw_response["parts"]
    assert [part["state"] for part in raw if "state" in part] == [
        "input-available",
        "input-streaming",
        "streaming",
        "streaming",
    ]
    assert (stopped.outcome, completed[0].outcome) == ("stopped", "stopped")
    assert [chunk["type"] for chunk in stopped.chunks[-2:]] == ["tool-output-error", "abort"]


async def test_rule_14_a_late_answer_to_a_stopped_call_finds_its_message() -> None:
    async with harness(calling(asyncio.Event())) as h:
        async with h.begin("hi") as turn:
            await turn.until("text-delta")
            await h.stop()
            await turn.done()
        (_, stopped) = await h.messages()
        part = {"type": "tool-ask", "toolCallId": "call-1", "state": "output-available"}
        late = {**stopped, "parts": [{**part, "output": "blue"}]}
        after = await h.send(late)
        kept = await h.messages()

    assert (after.outcome, after.text) == ("finished", " So be it.")
    assert [m["id"] for m in kept][1:] == [stopped["id"]]
    assert kept[1]["parts"][0] == stopped["parts"][0]


async def test_rule_15_a_run_that_is_cancelled_was_not_stopped_and_completes_nothing() -> None:
    reasons: list[tuple[bool, bool]] = []
    completed: list[object] = []
    stopping = asyncio.Event()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
        if turn.text != "wait":
            return
        yield "I wait"
        try:
            await asyncio.Event().wait()
        finally:
            try:
                stopping.set()
                await asyncio.Event().wait()  # longer than anybody waits for it
            finally:
                reasons.append((turn.stopped, turn.cancelled))

    my_chat.on_before_turn_complete(completed.append)
    my_chat.on_turn_complete(completed.append)
    async with harness(my_chat) as h:
        async with h.begin("wait") as turn:
            await turn.until("text-delta")
            await h.stop()
            await stopping.wait()
            await h.restart()
            ended = await turn.done()
        assert completed == []
        after = await h.send("go on")

    assert reasons == [(False, True)]
    assert (ended.outcome, after.outcome) == ("stopped", "finished")  # the stop still holds


async def test_rule_16_a_close_in_mid_turn_lets_it_finish_and_runs_nothing_of_its_own() -> None:
    called: list[str] = []
    gate = asyncio.Event()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
        called.append(turn.trigger)
        yield "half"
        await gate.wait()
        yield " and half"

    my_chat.on_turn_start(lambda event: called.append("hook"))
    async with harness(my_chat) as h:
        async with h.begin("hi") as turn:
            await turn.until("text-delta")
            await h.append({"kind": "message", "payload": {"trigger": "close"}})
            gate.set()
            done = await turn.done()
        while (await h.live.store.session(h.session.id)).run_id is not None:
            await asyncio.sleep(0)

    assert (done.outcome, done.text) == ("finished", "half and half")
    assert called == ["hook", "submit-message"]


async def test_rule_16_a_closed_session_takes_nothing_more() -> None:
    waiting = Waiting()
    async with harness(waiting.task) as h:
        await h.send("hi")
        await h.close(reason="done")
        with pytest.raises(SessionClosed):
            await h.send("still there?")

    assert waiting.called == ["hi"]


@pytest.mark.parametrize("way", ["end_run", "request_upgrade", "max_turns"])
async def test_rule_17_what_waits_when_a_run_ends_is_the_next_runs_each_once(way: str) -> None:
    texts: list[tuple[str, str]] = []
    gate = asyncio.Event()

    @chat.task("my-chat", max_turns=1 if way == "max_turns" else 100)
    async def my_chat(turn: Turn[Any]) -> str:
        texts.append((turn.run_id, turn.text))
        await gate.wait()
        if way != "max_turns":
            getattr(turn, way)()
        return turn.text

    async with harness(my_chat) as h:
        async with h.begin("a") as a, h.begin("b") as b, h.begin("c") as c:
            gate.set()
            answers = [(await turn.done()).text for turn in (a, b, c)]
        turns = await h.turns()

    assert answers == ["a", "b", "c"]
    assert [text for _, text in texts] == ["a", "b", "c"]
    assert len({run for run, _ in texts}) == 3
    assert len(turns) == 3


async def test_rule_18_what_arrives_while_a_run_leaves_starts_another() -> None:
    waiting = Waiting(max_turns=1, idle_timeout=0, turn_timeout=0.01)
    async with harness(waiting.task) as h:
        answers: list[str] = []
        for n in range(40):
            async with h.begin(f"m{n}") as turn:
                answers.append((await turn.done()).text)
            for _ in range(n):  # a little later each time
                await asyncio.sleep(0)

    assert answers == [f"m{n}" for n in range(40)]


async def test_rule_18_what_the_last_hook_of_a_run_sends_is_answered_by_the_next() -> None:
    async with asyncio.timeout(10):
        waiting = Waiting(max_turns=1)
        async with harness(waiting.task) as h:

            async def send_more(event: Any) -> None:
                if event.turn.text == "one":
                    await h.append(said("two"))

            waiting.task.on_turn_complete(send_more)
            await (await h.send("one")).settled
            await h.idle()
            kept = [message_text(m) for m in await h.messages()]

    assert kept == ["one", "one", "two", "two"]
