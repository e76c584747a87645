"""The rules of what happens inside a turn, and of its failures (rules 7 to 12, 32 and 33).

What test_lifecycle.py has of them is not repeated here.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from chatrun import ChatError, ChatTask, Turn, chat, stream_text
from chatrun.errors import ProviderRejected
from chatrun.messages.types import message_text, user_message
from chatrun.testing import ScriptedModel, harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def test_rule_09_a_chat_whose_first_message_was_refused_starts_with_the_next() -> None:
    started: list[int] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return "fine"

    @my_chat.validate_messages
    async def refuse(event: Any) -> None:
        if message_text(event.messages[0]) == "refused":
            raise ChatError("no")

    my_chat.on_chat_start(lambda event: started.append(event.turn.number))

    async with harness(my_chat) as h:
        for text in ("refused", "one", "two"):
            await h.send(text)
        await h.restart()
        await h.send("three")

    assert started == [1]


async def test_rule_10_work_that_takes_too_long_delays_the_end_by_five_seconds_and_runs_on() -> (
    None
):
    order: list[str] = []
    release = asyncio.Event()
    ended = asyncio.Event()

    async def work() -> None:
        await release.wait()
        order.append("deferred")
        ended.set()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        turn.defer(work())
        return "fine"

    my_chat.on_before_turn_complete(lambda event: order.append("before complete"))

    async with harness(my_chat) as h:
        began = time.monotonic()
        turn = await h.send("hi")
        took_s = time.monotonic() - began
        release.set()
        await ended.wait()

    assert turn.outcome == "finished"
    assert took_s >= 5
    assert order == ["before complete", "deferred"]


async def test_rule_10_work_begun_behind_a_turn_delays_nothing() -> None:
    release = asyncio.Event()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return f"{turn.number}"

    @my_chat.on_turn_complete
    async def behind(event: Any) -> None:
        async def wait() -> None:
            await release.wait()

        event.turn.defer(wait())

    async with harness(my_chat) as h:
        answers = [(await h.send(text)).text for text in ("one", "two")]
        release.set()

    assert answers == ["0", "1"]


async def test_rule_11_a_list_set_between_turns_loses_no_message_that_follows() -> None:
    shown: list[list[str]] = []
    kept_turns: list[Turn[Any]] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        kept_turns.append(turn)
        shown.append([message_text(m) for m in turn.ui_messages])
        return "fine"

    async with harness(my_chat) as h:
        await (await h.send("one")).settled
        kept_turns[0].history.set([user_message("summed up", message_id="s")])
        await h.send("two")
        kept = [message_text(m) for m in await h.messages()]

    assert shown == [["one"], ["summed up", "two"]]
    assert kept == ["summed up", "two", "fine"]


async def test_rule_11_a_list_set_before_the_task_runs_is_what_the_model_is_shown() -> None:
    model = ScriptedModel("fine")

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> Any:
        return stream_text(model)

    @my_chat.on_chat_start
    async def seed(event: Any) -> None:
        before = user_message("before", message_id="b")
        event.turn.history.set([before, *event.turn.history])

    async with harness(my_chat) as h:
        await h.send("one")

    texts = [{"type": "text", "text": text} for text in ("before", "one")]
    assert [m["content"] for m in model.requests[0].messages] == [[text] for text in texts]


async def test_rule_12_data_that_an_action_or_a_failing_turn_wrote_is_kept_once() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[Any]:
        yield {"type": "data-step", "id": "s", "data": 1}
        yield {"type": "data-step", "id": "s", "data": 2}
        yield {"type": "data-step", "id": "other", "data": 3}
        yield {"type": "data-step", "id": "gone", "data": 4, "transient": True}
        raise ChatError("no more")

    async with harness(my_chat) as h:
        await h.send("hi")
        (_, answer) = await h.messages()

    assert answer["parts"] == [
        {"type": "data-step", "id": "s", "data": 2},
        {"type": "data-step", "id": "other", "data": 3},
    ]


# --- failures -------------------------------------------------------------------------------

PLACES = (
    "tools",
    "hydrate",
    "on_chat_start",
    "on_turn_start",
    "system",
    "prepare_messages",
    "run",
    "model",
    "on_before_turn_complete",
)


class Failing:
    """A task that fails once, at a place."""

    def __init__(self, place: str) -> None:
        self.ended: list[tuple[str | None, str]] = []
        self.runs: set[str] = set()
        refused = ProviderRejected("refused", model="scripted")
        model = ScriptedModel([refused, "fine", "fine"] if place == "model" else "fine")
        left = [place]

        def fail(where: str) -> None:
            if left == [where]:
                left.clear()
                raise ChatError(f"{where} broke")

        @chat.task("my-chat")
        async def my_chat(turn: Turn[Any]) -> Any:
            self.runs.add(turn.run_id)
            fail("run")
            return stream_text(model)

        self.task: ChatTask[Any] = my_chat
        my_chat.tools(lambda turn: fail("tools") or ())  # type: ignore[func-returns-value]
        hooks = ("hydrate", "on_chat_start", "on_turn_start", "system", "prepare_messages")
        for name in (*hooks, "on_before_turn_complete"):
            getattr(my_chat, name)(lambda event, name=name: fail(name))
        my_chat.on_turn_complete(
            lambda event: self.ended.append((event.finish_reason, str(event.error)))
        )


@pytest.mark.parametrize("place", PLACES)
async def test_rule_32_a_turn_that_fails_anywhere_keeps_the_chat_and_the_question(
    place: str,
) -> None:
    failing = Failing(place)
    async with harness(failing.task) as h:
        failed = await h.send("one")
        await failed.settled
        fine = await h.send("two")
        kept = [message_text(m) for m in await h.messages() if m["role"] == "user"]
        turns = await h.turns()

    assert [c["type"] for c in failed.chunks].count("error") == 1
    assert failed.chunks[-1]["type"] == "error"
    assert failing.ended[0][0] == "error"
    assert fine.error is None
    assert [turn.outcome for turn in turns] == ["failed", "finished"]
    assert (fine.text, kept) == ("fine", ["one", "two"])
    assert len(failing.runs) == 1


class Plan(BaseModel):
    seats: int


async def test_rule_33_a_preload_that_fails_is_told_and_the_chat_goes_on() -> None:
    failures = [ChatError("no database")]

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return "fine"

    @my_chat.on_preload
    async def preload(event: Any) -> None:
        raise failures.pop()

    async with harness(my_chat, preload=True) as h:
        await h.idle()
        while not (told := await h.records()):
            await asyncio.sleep(0)
        fine = await h.send("hi")

    assert told[0] == {"type": "error", "errorText": "no database"}
    assert (told[1][0], fine.text) == ("turn-complete", "fine")


async def test_rule_33_client_data_that_does_not_fit_is_told_at_each_message() -> None:
    @chat.task("my-chat", client_data=Plan)
    async def my_chat(turn: Turn[Plan]) -> str:
        return f"{turn.client_data.seats}"

    async with harness(my_chat) as h:
        turns = [await h.send("hi", metadata={"seats": seats}) for seats in ("x", 2, None)]

    assert [turn.outcome for turn in turns] == ["failed", "finished", "failed"]
    assert [(turn.error or "")[:52] for turn in turns[::2]] == [
        "The client data of this message is not valid: seats:",
    ] * 2
