"""The rules of sleep and of crashes (rules 26 and 27)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import ChatTask, Turn, chat
from chatrun.messages.types import message_text
from chatrun.testing import Continuation, harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def test_rule_26_what_arrives_while_a_run_falls_asleep_is_answered_once() -> None:
    order: list[str] = []
    falling_asleep, go_on = asyncio.Event(), asyncio.Event()

    @chat.task("my-chat", idle_timeout=0)
    async def my_chat(turn: Turn[Any]) -> str:
        order.append(turn.text)
        return f"{turn.number}"

    @my_chat.on_suspend
    async def suspend(event: Any) -> None:
        if "one" in order and not falling_asleep.is_set():
            order.append("suspend")
            falling_asleep.set()
            await go_on.wait()

    @my_chat.on_resume
    async def resume(event: Any) -> None:
        order.append("resume")

    async with harness(my_chat) as h:
        await h.send("one")
        await falling_asleep.wait()
        async with h.begin("two") as two, h.begin("three") as three:
            go_on.set()
            answers = [(await turn.done()).text for turn in (two, three)]
        await h.idle()

    assert [step for step in order if step != "resume"] == ["one", "suspend", "two", "three"]
    assert order.index("suspend") < order.index("resume") < order.index("two")
    assert answers == ["1", "2"]


def naming(seen: list[tuple[str, object]], gate: asyncio.Event) -> ChatTask[Any]:
    """A task that is killed in its first answer, and says whose message it answers."""

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
        seen.append((turn.text, turn.client_data))
        yield f"to {turn.text}"
        if not gate.is_set():
            await asyncio.Event().wait()

    return my_chat


@pytest.mark.parametrize("hook_fails", [False, True], ids=["no-hook", "failing-hook"])
async def test_rule_27_what_waited_at_a_crash_runs_in_order_each_with_its_own_data(
    hook_fails: bool,
) -> None:
    seen: list[tuple[str, object]] = []
    gate = asyncio.Event()
    task = naming(seen, gate)
    if hook_fails:

        @task.on_recovery
        async def broken(event: Any) -> None:
            raise RuntimeError("the recovery hook broke")

    async with harness(task) as h:
        async with (
            h.begin("one", metadata={"n": 1}) as one,
            h.begin("two", metadata={"n": 2}) as two,
            h.begin("three", metadata={"n": 3}) as three,
        ):
            await one.until("text-delta")
            gate.set()
            await h.restart()
            outcomes = [(await turn.done()).outcome for turn in (one, two, three)]
        await h.send("four", metadata={"n": 4})
        kept = [message_text(m) for m in await h.messages()]

    assert outcomes == ["failed", "finished", "finished"]
    assert seen == [(text, {"n": n}) for n, text in enumerate(("one", "two", "three", "four"), 1)]
    assert kept == [
        *("one", "to one"),
        *("two", "to two"),
        *("three", "to three"),
        *("four", "to four"),
    ]


async def test_rule_27_a_hook_may_have_the_question_answered_anew_before_what_waits() -> None:
    seen: list[tuple[str, object]] = []
    gate = asyncio.Event()
    task = naming(seen, gate)
    told: list[Any] = []

    @task.on_recovery
    async def again(event: Any) -> None:
        told.append(message_text(event.partial))
        event.rerun()

    async with harness(task) as h:
        async with h.begin("one") as one, h.begin("two") as two:
            await one.until("text-delta")
            gate.set()
            await h.restart()
            await two.done()
        kept = [message_text(m) for m in await h.messages()]

    assert told == ["to one"]
    assert [text for text, _ in seen] == ["one", "one", "two"]
    assert kept == ["one", "to one", "two", "to two"]


async def test_rule_27_a_call_that_a_crash_left_open_is_told_to_have_failed() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[Any]:
        call = {"toolCallId": "call-1", "toolName": "look", "input": {}}
        yield {"type": "tool-input-available", **call}
        await asyncio.Event().wait()

    async with harness(my_chat) as h:
        async with h.begin("hi") as turn:
            await turn.until("tool-input-available")
            await h.restart()
            ended = await turn.done()
        (_, kept) = await h.messages()

    failed = "The answer was ended before this call had a result."
    assert [c["type"] for c in ended.chunks[-2:]] == ["tool-output-error", "error"]
    assert kept["parts"] == [
        {
            "type": "tool-look",
            "toolCallId": "call-1",
            "input": {},
            "state": "output-error",
            "errorText": failed,
        }
    ]


async def test_rule_27_a_run_that_continues_with_nothing_to_do_says_nothing() -> None:
    booted: list[bool] = []
    answered: list[str] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        answered.append(turn.text)
        return "fine"

    my_chat.on_boot(lambda event: booted.append(event.run.continuation))
    async with harness(my_chat, continuation=Continuation(), preload=True) as h:
        await h.idle()
        while not booted:
            await asyncio.sleep(0)
        before = await h.turns()
        turn = await h.send("hi")

    assert (before, booted, answered) == ([], [True], ["hi"])
    assert turn.text == "fine"


async def test_rule_27_a_crash_between_turns_acts_on_no_stop_twice() -> None:
    seen: list[tuple[str, object]] = []
    gate = asyncio.Event()
    async with harness(naming(seen, gate)) as h:
        async with h.begin("one") as one, h.begin("two") as two:
            await one.until("text-delta")
            await h.stop()
            gate.set()
            stopped = await one.done()
            await h.restart()
            after = await two.done()

    assert (stopped.outcome, after.outcome) == ("stopped", "finished")
