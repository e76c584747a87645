"""The rules of steering and compaction (rules 28 to 31).

What test_steps.py has of them is not repeated here.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chatrun import ChatTask, Turn, chat, stream_text, tool
from chatrun.errors import ProviderRejected
from chatrun.messages.types import message_text, user_message
from chatrun.testing import ScriptedModel, call, harness


def shown(request: Any) -> list[tuple[str, str]]:
    """Return roles and texts that a model was shown; a part without text by its type."""
    return [
        (m["role"], "".join(part.get("text", part["type"]) for part in m["content"]))
        for m in request.messages
    ]


class Pausing:
    """A task with a tool that waits to be let."""

    def __init__(self, *answers: Any, **options: Any) -> None:
        self.model = ScriptedModel(answers)
        self.calls = asyncio.Semaphore(0)
        self.go_on = asyncio.Semaphore(0)

        @tool
        async def wait() -> str:
            """Wait."""
            self.calls.release()
            await self.go_on.acquire()
            return "waited"

        @chat.task("my-chat", tools=[wait], **options)
        async def my_chat(turn: Turn[Any]) -> Any:
            return stream_text(self.model)

        self.task: ChatTask[Any] = my_chat


async def test_rule_28_a_message_that_is_sent_twice_is_steered_in_once() -> None:
    paused = Pausing(call("wait"), call("wait"), "done", busy="steer")
    batches: list[list[str]] = []

    @paused.task.steering
    async def want(event: Any) -> bool:
        await asyncio.sleep(0)
        batches.append([message_text(message) for message in event.messages])
        return True

    aside = user_message("aside", message_id="u-2")
    async with harness(paused.task) as h, h.begin("one") as turn:
        await paused.calls.acquire()
        async with h.begin(aside), h.begin(aside), h.begin("more"):
            paused.go_on.release()
            await paused.calls.acquire()
            async with h.begin(aside) as late:  # in the next step of the same turn
                paused.go_on.release()
                done = await turn.done()
                assert (await late.done()).outcome == "finished"
        await h.idle()
        turns = await h.turns()
        kept = [message_text(m) for m in await h.messages()]

    assert batches == [["aside", "more"]]
    assert shown(paused.model.requests[1])[-2:] == [("user", "aside"), ("user", "more")]
    assert [text for _, text in shown(paused.model.requests[2])].count("aside") == 1
    assert kept == ["one", "aside", "more", "done"]
    assert (done.text, len(turns)) == ("done", 1)


async def test_rule_29_a_message_that_was_steered_in_and_comes_again_has_no_turn_of_its_own() -> (
    None
):
    paused = Pausing(call("wait"), "done", "anew", busy="steer")
    aside = user_message("aside", message_id="u-2")
    async with harness(paused.task) as h, h.begin("one") as turn:
        await paused.calls.acquire()
        async with h.begin(aside):
            paused.go_on.release()
            await turn.done()
        before = await h.messages()
        again = await h.send(aside)
        await h.restart()
        later = await h.send(aside)
        after = await h.messages()
        edited = await h.send({**aside, "parts": [{"type": "text", "text": "instead"}]})

    assert [(it.outcome, it.chunks) for it in (again, later)] == [("finished", [])] * 2
    assert after == before
    assert (edited.text, len(paused.model.requests)) == ("anew", 3)


async def test_rule_28_compaction_comes_before_steering_and_steering_before_the_background() -> (
    None
):
    paused = Pausing(call("wait"), "done", busy="steer")

    @paused.task.compaction(when=lambda event: event.step > 0)
    async def summarize(event: Any) -> str:
        return "in short"

    @paused.task.on_turn_start
    async def inject(event: Any) -> None:
        background: Any = [{"role": "user", "content": [{"type": "text", "text": "by the way"}]}]

        async def later() -> None:
            await paused.calls.acquire()
            event.turn.inject(background)
            paused.calls.release()

        event.turn.defer(later())

    async with harness(paused.task) as h, h.begin("one") as turn:
        await paused.calls.acquire()
        paused.calls.release()
        await asyncio.sleep(0)
        async with h.begin("two"):
            await paused.calls.acquire()
            paused.go_on.release()
            await turn.done()

    assert shown(paused.model.requests[1]) == [
        ("user", "[Conversation summary]\n\nin short"),
        ("user", "two"),
        ("user", "by the way"),
    ]


@pytest.mark.parametrize("wanted", [True, False], ids=["steered", "queued"])
async def test_rule_29_what_was_accepted_is_said_once_also_over_a_restart(wanted: bool) -> None:
    paused = Pausing(call("wait"), "done", *([] if wanted else ["next"]))
    paused.task.steering(lambda event: wanted)
    async with harness(paused.task) as h:
        async with h.begin("one") as turn:
            await paused.calls.acquire()
            async with h.begin("two"):
                paused.go_on.release()
                await turn.done()
        await h.idle()
        await h.restart()
        await h.idle()
        kept = [message_text(m) for m in await h.messages()]
        turns = await h.turns()

    assert kept == (["one", "two", "done"] if wanted else ["one", "done", "two", "next"])
    assert len(turns) == (1 if wanted else 2)


async def test_rule_29_an_edit_and_what_is_no_message_have_turns_of_their_own() -> None:
    paused = Pausing(call("wait"), "done", "anew", busy="steer")
    question = user_message("one", message_id="u-1")
    async with harness(paused.task) as h, h.begin(question) as turn:
        await paused.calls.acquire()
        broken: Any = {"role": "user", "parts": [{"type": "text"}]}
        async with h.begin(broken) as refused:
            async with h.begin(user_message("one, I mean", message_id="u-1")) as edit:
                paused.go_on.release()
                outcomes = [(await it.done()).outcome for it in (turn, refused, edit)]
        kept = [message_text(m) for m in await h.messages()]

    assert outcomes == ["finished", "failed", "finished"]
    assert shown(paused.model.requests[1])[-1][0] == "tool"
    assert kept == ["one, I mean", "anew"]


def compacting(model: ScriptedModel, seen: list[str], **options: Any) -> ChatTask[Any]:
    """A task that compacts whenever it may, with a tool of its own and one of the client's."""

    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    @tool(client=True)
    async def ask() -> str:
        """Ask the user."""
        raise AssertionError("the client answers it")

    @chat.task("my-chat", tools=[look, ask], **options)
    async def my_chat(turn: Turn[Any]) -> Any:
        return stream_text(model)

    @my_chat.compaction(when=lambda event: True)
    async def summarize(event: Any) -> str:
        seen.append("compacted")
        return "in short"

    return my_chat


async def test_rule_31_a_call_that_waits_and_the_rest_of_its_answer_stay_in_sight() -> None:
    seen: list[str] = []
    model = ScriptedModel([call("ask", tool_call_id="c"), "it is blue", "bye"])
    async with harness(compacting(model, seen)) as h:
        await h.send("one")
        await h.answer("c", "blue")
        await h.send("two")

    summary = ("assistant", "[Conversation summary]\n\nin short")
    assert shown(model.requests[1]) == [
        summary,
        ("assistant", "tool-call"),
        ("tool", "tool-result"),
    ]
    assert [role for role, _ in shown(model.requests[2])] == [
        *("assistant", "assistant", "tool", "assistant", "user")
    ]
    assert shown(model.requests[2])[-2:] == [("assistant", "it is blue"), ("user", "two")]


async def test_rule_31_a_turn_that_failed_is_not_compacted() -> None:
    seen: list[str] = []
    model = ScriptedModel([call("look"), ProviderRejected("no", model="scripted")])
    async with harness(compacting(model, seen)) as h:
        failed = await h.send("one")

    assert (failed.outcome, seen) == ("failed", ["compacted"])  # between its steps, not behind it


async def test_rule_31_later_steps_begin_with_the_summary_and_so_does_a_new_run() -> None:
    seen: list[str] = []
    looked: list[str] = []
    model = ScriptedModel([call("look"), call("look"), "done", "fine"])
    task = compacting(model, seen)
    task.prepare_messages(lambda event: looked.append(event.reason))
    summary = "[Conversation summary]\n\nin short"
    async with harness(task) as h:
        await h.send("one")
        await h.restart()
        await h.send("two")
        kept = [message_text(m) for m in await h.messages()]

    assert [shown(request)[0] for request in model.requests] == [
        ("user", "one"),
        ("user", summary),
        ("user", summary),
        ("assistant", summary),
    ]
    assert [role for role, _ in shown(model.requests[2])] == ["user", "assistant", "tool"]
    assert seen == ["compacted", "compacted"]  # once in each turn
    assert looked == ["run", "compaction-result", "run"]
    assert kept == ["one", "done", "two", "fine"]
