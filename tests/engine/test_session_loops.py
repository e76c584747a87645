"""Tasks that are a loop over their turns: `@chat.session`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from chatrun import ChatError, ChatSession, ChatTask, Turn, TurnComplete, chat, stream_text
from chatrun.errors import InvalidInput
from chatrun.messages.types import message_text
from chatrun.testing import ScriptedModel, harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatrun.engine.action import Action
    from chatrun.engine.captured import Captured
    from chatrun.engine.hooks import TurnStart


class Person(BaseModel):
    name: str


def echo(turn: Turn[Any]) -> str:
    return "+".join(message_text(m) for m in turn.ui_messages if m["role"] == "user")


@chat.session("my-chat")
async def echoing(session: ChatSession[Any]) -> None:
    async for turn in session:
        await turn.complete(echo(turn))


async def waiting(seen: list[str]) -> AsyncIterator[str]:
    yield "partly"
    try:
        await asyncio.Event().wait()
    finally:
        seen.append("closed")


async def test_a_loop_answers_turn_after_turn_on_the_wire_of_a_task() -> None:
    @chat.task("my-chat")
    async def plain(turn: Turn[Any]) -> str:
        return echo(turn)

    kinds = []
    tasks: tuple[ChatTask[Any], ...] = (plain, echoing)
    for task in tasks:
        async with harness(task) as h:
            await h.send("a")
            again = await h.send("b")
            records = await h.records()
            kept = await h.messages()
        assert (again.outcome, again.text) == ("finished", "a+b")
        assert len(kept) == 4
        kinds.append([r[0] if isinstance(r, list) else r["type"] for r in records])

    assert kinds[0] == kinds[1]


async def test_what_the_loop_remembers_lives_through_its_turns() -> None:
    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        asked = 0
        async for turn in session:
            asked += 1
            await turn.write({"type": "data-asked", "data": asked})
            await turn.done()

    async with harness(my_chat) as h:
        await h.send("a")
        turn = await h.send("b")

    assert turn.message is not None
    assert turn.message["parts"] == [{"type": "data-asked", "data": 2}]


async def test_a_stop_cancels_what_is_sent_and_the_loop_goes_on() -> None:
    seen: list[str] = []
    captured: list[Captured] = []

    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            source = waiting(seen) if turn.number == 0 else "fine"
            captured.append(await turn.complete(source))
            seen.append(f"stopped: {turn.stopped}")

    async with harness(my_chat) as h:
        async with h.begin("a") as turn:
            await turn.until("text-delta")
            await h.stop()
            stopped = await turn.done()
        after = await h.send("b")

    assert (stopped.outcome, stopped.text) == ("stopped", "partly")
    assert (after.outcome, after.text) == ("finished", "fine")
    assert seen == ["closed", "stopped: True", "stopped: False"]
    assert [found.status for found in captured] == ["stopped", "finished"]
    assert captured[0].message is not None
    assert captured[0].message["parts"][-1] == {"type": "text", "text": "partly", "state": "done"}


async def test_a_stop_that_the_loop_does_not_heed_ends_the_turn_within_two_seconds() -> None:
    go_on = asyncio.Event()

    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            if turn.number == 0:
                await turn.write({"type": "data-began", "data": 1})
                await go_on.wait()
            await turn.complete(f"answer {turn.number}")

    async with harness(my_chat) as h:
        async with h.begin("a") as turn, asyncio.timeout(2):
            await turn.until("data-began")
            await h.stop()
            stopped = await turn.done()
        go_on.set()
        after = await h.send("b")

    assert (stopped.outcome, stopped.text) == ("stopped", "")
    assert after.text == "answer 1"


async def test_a_loop_that_keeps_a_turn_beyond_its_limit_is_cancelled() -> None:
    seen: list[str] = []

    @chat.session("my-chat", turn_timeout=0.2)
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            if echo(turn) == "hang":
                try:
                    await asyncio.Event().wait()
                finally:
                    seen.append("cancelled")
            await turn.complete("fine")

    async with harness(my_chat) as h:
        late = await h.send("hang")
        after = await h.send("again")

    assert (late.outcome, late.error) == (
        "timed-out",
        "The turn took longer than 0.2 s and was ended.",
    )
    assert seen == ["cancelled"]
    assert after.text == "fine"


async def test_what_takes_too_long_within_complete_is_timed_out_and_the_loop_goes_on() -> None:
    seen: list[str] = []

    @chat.session("my-chat", turn_timeout=0.2)
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            await turn.complete(waiting(seen) if turn.number == 0 else "fine")

    async with harness(my_chat) as h:
        late = await h.send("a")
        after = await h.send("b")

    assert (late.outcome, seen, after.text) == ("timed-out", ["closed"], "fine")


async def test_a_source_that_fails_fails_its_turn_only() -> None:
    captured: list[Captured] = []

    async def failing() -> str:
        raise ChatError("no")

    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            captured.append(await turn.complete(failing() if turn.number == 0 else "fine"))

    async with harness(my_chat) as h:
        failed = await h.send("a")
        after = await h.send("b")

    assert (failed.outcome, failed.error, after.text) == ("failed", "no", "fine")
    assert isinstance(captured[0].error, ChatError)
    assert captured[0].message is None


async def test_another_source_may_follow_one_that_failed() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "half "
        raise ValueError("no")

    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            first = await turn.pipe(failing())
            assert first.status == "failed"
            await turn.complete("whole")

    async with harness(my_chat) as h:
        turn = await h.send("a")

    assert (turn.outcome, turn.text, turn.error) == ("finished", "half whole", None)


async def test_a_loop_that_raises_fails_its_turn_and_the_next_run_goes_on() -> None:
    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            if echo(turn) == "a":
                raise ValueError("broken")
            await turn.complete(echo(turn))

    async with harness(my_chat) as h:
        failed = await h.send("a")
        after = await h.send("b")

    assert (failed.outcome, failed.error) == ("failed", "ValueError: broken")
    assert after.text == "a+b"


async def test_a_loop_that_raises_before_its_first_turn_tells_who_waits() -> None:
    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        raise ValueError("no database")

    async with harness(my_chat) as h:
        failed = await h.send("a")
        kept = await h.messages()

    assert (failed.outcome, failed.error) == ("failed", "ValueError: no database")
    assert [message["role"] for message in kept] == ["user"]


async def test_a_function_that_never_asks_for_a_turn_is_told_so() -> None:
    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        return None

    async with harness(my_chat) as h:
        failed = await h.send("a")

    assert failed.outcome == "failed"
    assert failed.error is not None
    assert failed.error.endswith("returned without asking for a message")


async def test_a_turn_that_is_left_open_is_ended_with_what_was_sent() -> None:
    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            await turn.pipe(echo(turn))
            if turn.number == 1:
                break

    async with harness(my_chat) as h:
        answers = [(await h.send(text)).text for text in "abc"]

    assert answers == ["a", "a+b", "a+b+c"]


async def test_a_complete_turn_takes_nothing_more() -> None:
    errors: list[str] = []

    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            await turn.complete("once")
            await turn.done()
            with pytest.raises(InvalidInput) as info:
                await turn.complete("twice")
            errors.append(str(info.value))

    async with harness(my_chat) as h:
        turn = await h.send("a")
        await h.send("b")

    assert turn.text == "once"
    assert errors[0] == "this turn is complete: nothing can be sent in it any more"


async def test_regenerate_answers_the_history_and_close_ends_the_loop() -> None:
    seen: list[str] = []

    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            seen.append(f"{turn.trigger} {len(turn.messages)}")
            await turn.complete(echo(turn))
        seen.append(f"ended: {session.end_reason}")

    async with harness(my_chat) as h:
        await h.send("a")
        again = await h.regenerate()
        await h.append({"kind": "message", "payload": {"trigger": "close"}})
        after = await h.send("b")

    assert (again.text, after.text) == ("a", "a+b")
    assert seen == [
        "submit-message 1",
        "regenerate-message 1",
        "ended: closed",
        "submit-message 3",
    ]


async def test_hooks_client_data_tools_and_usage_are_those_of_a_task() -> None:
    order: list[str] = []
    model = ScriptedModel("hello")

    @chat.session("my-chat", client_data=Person)
    async def my_chat(session: ChatSession[Person]) -> None:
        async for turn in session:
            order.append(f"loop {turn.client_data.name} {turn.is_running}")
            await turn.complete(stream_text(model, messages=turn.messages))
            assert turn.usage.total_tokens is not None

    @my_chat.on_turn_start
    async def start(event: TurnStart) -> None:
        order.append("start")

    @my_chat.on_turn_complete
    async def complete(event: TurnComplete) -> None:
        order.append(f"complete {event.outcome} {len(event.new_messages)}")

    @my_chat.system
    def system(turn: Turn[Person]) -> str:
        return "Be brief."

    async with harness(my_chat) as h:
        refused = await h.send("a", metadata={"nobody": 1})
        turn = await h.send("b", metadata={"name": "Ann"})
        await turn.settled

    assert refused.outcome == "failed"
    assert refused.error is not None
    assert refused.error.startswith("The client data of this message is not valid: name")
    assert turn.text == "hello"
    assert model.requests[0].system == "Be brief."
    assert order == ["complete failed 1", "start", "loop Ann True", "complete finished 2"]


async def test_actions_are_applied_between_turns_and_may_ask_for_one() -> None:
    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            await turn.complete(f"{turn.trigger}: {echo(turn)}")

    @my_chat.on_action
    async def act(event: Action) -> object:
        if event.action == "again":
            return chat.turn()
        event.turn.history.slice(0, 0)
        return None

    async with harness(my_chat) as h:
        await h.send("a")
        again = await h.action("again")
        undone = await h.action("clear")
        after = await h.send("b")

    assert (again.text, undone.chunks, after.text) == (
        "action-turn: a",
        [],
        "submit-message: b",
    )


async def test_an_upgrade_asked_for_in_a_hook_ends_the_loop_and_loses_nothing() -> None:
    wanted = [True]
    ends: list[str | None] = []

    @chat.session("my-chat")
    async def my_chat(session: ChatSession[Any]) -> None:
        async for turn in session:
            await turn.complete(echo(turn))
        ends.append(session.end_reason)

    @my_chat.on_turn_start
    async def start(event: TurnStart) -> None:
        if wanted:
            wanted.clear()
            event.turn.request_upgrade()

    async with harness(my_chat) as h:
        turn = await h.send("a")

    assert (turn.text, ends) == ("a", ["upgrade"])


async def test_max_turns_and_end_run_end_the_loop_and_the_next_run_goes_on() -> None:
    runs: list[str] = []

    @chat.session("my-chat", max_turns=2)
    async def my_chat(session: ChatSession[Any]) -> None:
        runs.append("begun")
        async for turn in session:
            if echo(turn).endswith("c"):
                turn.end_run()
            await turn.complete(echo(turn))
        runs.append(str(session.end_reason))

    async with harness(my_chat) as h:
        answers = [(await h.send(text)).text for text in "abcd"]

    assert answers == ["a", "a+b", "a+b+c", "a+b+c+d"]
    assert runs == ["begun", "max-turns", "begun", "ended", "begun"]


async def test_what_is_no_async_function_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'my-chat' must be an `async def`"):

        @chat.session("my-chat")
        def my_chat(session: ChatSession[Any]) -> None:
            return None
