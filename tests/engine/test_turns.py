"""What a turn does with what a task returns, yields, raises or leaves out."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from chatrun import ChatError, Turn, chat
from chatrun.testing import harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


async def test_text_that_a_task_returns_is_the_answer() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return f"You said {turn.text!r}."

    async with harness(my_chat) as h:
        turn = await h.send("hi")
        kept = await h.messages()

    assert turn.outcome == "finished"
    assert [chunk["type"] for chunk in turn.chunks] == [
        "start",
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
    ]
    assert turn.text == "You said 'hi'."
    assert [(message["role"], len(message["parts"])) for message in kept] == [
        ("user", 1),
        ("assistant", 2),
    ]
    assert kept[1]["id"] == turn.chunks[0]["messageId"]


async def test_text_that_a_task_yields_arrives_piece_by_piece() -> None:
    gate = asyncio.Event()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        yield "one "
        await gate.wait()
        yield "two"

    async with harness(my_chat) as h, h.begin("hi") as turn:
        first = await turn.until("text-delta")
        gate.set()
        done = await turn.done()

    assert first["delta"] == "one "
    assert done.text == "one two"


async def test_a_plain_function_runs_in_a_thread_beside_the_loop() -> None:
    @chat.task("my-chat")
    def my_chat(turn: Turn[None]) -> str:
        time.sleep(0.01)
        return f"turn {turn.number}"

    async with harness(my_chat) as h:
        assert (await h.send("hi")).text == "turn 0"
        assert (await h.send("again")).text == "turn 1"


async def test_a_plain_generator_is_drained_in_a_thread() -> None:
    @chat.task("my-chat")
    def my_chat(turn: Turn[None]) -> Iterator[str]:
        yield "a"
        time.sleep(0.01)
        yield "b"

    async with harness(my_chat) as h:
        assert (await h.send("hi")).text == "ab"


async def test_chunks_are_sent_as_they_are_between_start_and_finish() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[dict[str, object]]:
        yield {"type": "data-weather", "data": {"degrees": 21}}
        await turn.write({"type": "data-note", "data": "mid", "id": "n"})

    async with harness(my_chat) as h:
        turn = await h.send("hi")

    assert [chunk["type"] for chunk in turn.chunks] == [
        "start",
        "data-weather",
        "data-note",
        "finish",
    ]
    assert turn.message is not None
    assert turn.message["parts"] == turn.chunks[1:3]


async def test_a_task_that_returns_nothing_ends_its_turn_without_a_message() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> None:
        return None

    async with harness(my_chat) as h:
        turn = await h.send("hi")
        kept = await h.messages()

    assert (turn.outcome, turn.chunks) == ("finished", [])
    assert [message["role"] for message in kept] == ["user"]


async def test_the_history_of_earlier_turns_reaches_the_task_in_model_form() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return " / ".join(f"{m['role']}" for m in turn.messages)

    async with harness(my_chat) as h:
        await h.send("one")
        assert (await h.send("two")).text == "user / assistant / user"


@pytest.mark.parametrize("failure", [ValueError("broken"), SystemExit(3), KeyboardInterrupt()])
async def test_a_failing_task_keeps_the_chat_alive_and_what_was_said(
    failure: BaseException,
) -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        yield "partly "
        if turn.text == "fail":
            raise failure

    async with harness(my_chat) as h:
        failed = await h.send("fail")
        fine = await h.send("go on")
        kept = await h.messages()

    assert failed.outcome == "failed"
    assert failed.chunks[-1]["type"] == "error"
    assert fine.outcome == "finished"
    assert [message["role"] for message in kept] == ["user", "assistant", "user", "assistant"]
    assert kept[1]["parts"][-1] == {"type": "text", "text": "partly ", "state": "done"}


async def test_a_chat_error_is_told_to_the_client_in_its_own_words() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> None:
        raise ChatError("Your plan does not include this.")

    async with harness(my_chat) as h:
        assert (await h.send("hi")).error == "Your plan does not include this."


async def test_what_is_no_chunk_fails_the_turn_with_its_type() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[object]:
        yield {"type": "text-delta", "id": "never-opened", "delta": "x"}

    async with harness(my_chat) as h:
        turn = await h.send("hi")

    assert turn.outcome == "failed"
    assert "never-opened" in (turn.error or "")


async def test_a_turn_that_takes_too_long_is_ended_and_the_next_one_runs() -> None:
    @chat.task("my-chat", turn_timeout=0.05)
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        yield "begun"
        if turn.number == 0:
            await asyncio.Event().wait()

    async with harness(my_chat) as h:
        late = await h.send("hi")
        fine = await h.send("again")

    assert (late.outcome, late.text) == ("timed-out", "begun")
    assert fine.outcome == "finished"


class Plan(BaseModel):
    seats: int


async def test_client_data_reaches_the_task_in_its_own_type() -> None:
    @chat.task("my-chat", client_data=Plan)
    async def my_chat(turn: Turn[Plan]) -> str:
        return f"{turn.client_data.seats + 1}"

    async with harness(my_chat, client_data={"seats": "4"}) as h:
        assert (await h.send("hi")).text == "5"


async def test_client_data_that_does_not_fit_fails_the_turn_and_keeps_the_question() -> None:
    @chat.task("my-chat", client_data=Plan)
    async def my_chat(turn: Turn[Plan]) -> str:
        return "never"

    async with harness(my_chat, client_data={"seats": "many"}) as h:
        turn = await h.send("hi")
        kept = await h.messages()

    assert turn.outcome == "failed"
    assert "seats" in (turn.error or "")
    assert [message["role"] for message in kept] == ["user"]


async def test_hooks_run_round_the_turn_in_their_order() -> None:
    seen: list[str] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        seen.append("task")
        return "answer"

    @my_chat.on_turn_start
    async def first(event: object) -> None:
        seen.append("start 1")

    @my_chat.on_turn_start
    def second(event: object) -> None:
        seen.append("start 2")

    @my_chat.on_turn_complete
    async def last(event: Any) -> None:
        seen.append(f"complete 1 {event.outcome}")

    @my_chat.on_turn_complete
    async def before_last(event: Any) -> None:
        seen.append(f"complete 2 {len(event.new_messages)}")
        raise RuntimeError("only logged")

    async with harness(my_chat) as h:
        await h.send("hi")
        await h.send("wait for the hooks")

    assert seen[:5] == ["start 1", "start 2", "task", "complete 2 2", "complete 1 finished"]


async def test_a_failing_turn_start_hook_fails_the_turn_before_the_task_runs() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return "never"

    @my_chat.on_turn_start
    async def refuse(event: object) -> None:
        raise ChatError("Not today.")

    async with harness(my_chat) as h:
        turn = await h.send("hi")

    assert (turn.outcome, turn.error, turn.text) == ("failed", "Not today.", "")


async def test_the_current_turn_is_found_from_anywhere_beneath_it() -> None:
    async def deep() -> str:
        return await asyncio.create_task(deeper())

    async def deeper() -> str:
        return chat.current_turn().chat_id

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return await deep()

    async with harness(my_chat, chat_id="c-1") as h:
        assert (await h.send("hi")).text == "c-1"
