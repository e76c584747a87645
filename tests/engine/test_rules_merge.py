"""The rules of what an incoming message does to the history (rules 1 to 5)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from chatrun import ChatTask, Turn, chat
from chatrun.messages.types import message_text, user_message
from chatrun.testing import Continuation, harness

OUTPUT = {"state": "output-available", "output": "blue"}


@chat.task("my-chat")
async def counting(turn: Turn[Any]) -> str:
    """Say how many messages there are."""
    return f"{len(turn.history)} messages, the last says {turn.text}"


def asking(call_id: str = "call-1", **more: Any) -> Any:
    """An answer of text and reasoning whose tool the client has to run."""
    part = {"type": "tool-ask", "toolCallId": call_id, "state": "input-available", **more}
    return {
        "id": "a-1",
        "role": "assistant",
        "metadata": {"model": "m"},
        "parts": [
            {"type": "reasoning", "text": "Hm.", "state": "done"},
            {"type": "text", "text": "Which colour?", "state": "done"},
            {"input": {"of": "the sky"}, **part},
        ],
    }


def answer(message_id: str, *parts: dict[str, Any]) -> Any:
    """What a client sends back of an assistant's message."""
    return {"id": message_id, "role": "assistant", "parts": list(parts)}


def call_part(state: dict[str, Any], call_id: str = "call-1") -> dict[str, Any]:
    return {"type": "tool-ask", "toolCallId": call_id, **state}


@chat.task("my-chat")
async def silent(turn: Turn[Any]) -> None:
    """Answer nothing, so that the history is what came in."""


def asked(*messages: Any) -> Continuation:
    return Continuation([user_message("paint", message_id="u-1"), *messages])


async def test_rule_01_a_client_of_200_messages_sends_one_and_all_of_them_are_there() -> None:
    said = [user_message(f"m{n}", message_id=f"m{n}") for n in range(200)]
    async with harness(counting, continuation=Continuation(said)) as h:
        turn = await h.send("the last")
        *_, record = await h.live.store.read_in(h.session.id)

    assert turn.text == "201 messages, the last says the last"
    assert len(record.body) < 250


async def test_rule_02_an_answer_is_laid_over_its_call_and_changes_nothing_else() -> None:
    stored = asking()
    forged = answer(
        "a-1",
        {"type": "text", "text": "I never said this."},
        call_part({**OUTPUT, "input": {"of": "the sea"}}),
    )
    async with harness(silent, continuation=asked(stored)) as h:
        await h.send(forged)
        (_, kept) = await h.messages()

    *said, call = stored["parts"]
    assert kept == {**stored, "parts": [*said, {**call, **OUTPUT}]}
    assert [orjson.dumps(part) for part in kept["parts"][:2]] == [*map(orjson.dumps, said)]


@pytest.mark.parametrize(
    "final",
    [
        {"state": "output-available", "output": "red"},
        {"state": "output-error", "errorText": "broke"},
        {"state": "output-denied", "approval": {"id": "p-1", "approved": False}},
    ],
    ids=lambda final: str(final["state"]),
)
async def test_rule_03_a_call_that_has_its_end_is_altered_by_nothing(final: Any) -> None:
    stored = asking(**final)
    others = [
        call_part({"state": "input-available"}),
        call_part(OUTPUT),
        call_part({"state": "output-error", "errorText": "other"}),
        call_part({"state": "approval-responded", "approval": {"id": "p-1", "approved": True}}),
        call_part(final),
    ]
    async with harness(silent, continuation=asked(stored)) as h:
        for part in others:
            await h.send(answer("a-1", part))
        (_, kept) = await h.messages()

    assert kept == stored


@pytest.mark.parametrize("restarts", [False, True], ids=["same-run", "after-a-restart"])
async def test_rule_04_an_answer_under_another_message_id_finds_its_call(restarts: bool) -> None:
    @chat.task("my-chat")
    async def asks(turn: Turn[Any]) -> Any:
        if turn.number == 0 and not turn.continuation:
            return iter(
                [
                    {
                        "type": "tool-input-available",
                        "toolCallId": "call-1",
                        "toolName": "ask",
                        "input": {},
                    }
                ]
            )
        return "So it is."

    async with harness(asks) as h:
        question = await h.send("paint")
        if restarts:
            await h.restart()
        after = await h.send(answer("made-up-by-the-page", call_part(OUTPUT)))
        kept = await h.messages()

    assert question.message is not None
    assert [m["role"] for m in kept] == ["user", "assistant"]
    assert after.chunks[0]["messageId"] == kept[1]["id"] == question.message["id"]
    call: Any = kept[1]["parts"][0]
    assert (call["state"], call["output"]) == ("output-available", "blue")
    assert message_text(kept[1]) == "So it is."


async def test_rule_05_regenerating_drops_what_follows_the_question_which_stays_as_it_is() -> None:
    said = [
        user_message("one", message_id="u-1"),
        answer("a-1", {"type": "text", "text": "first"}),
        answer("a-2", {"type": "text", "text": "second"}),
    ]
    async with harness(counting, continuation=Continuation(said)) as h:
        turn = await h.regenerate()
        kept = await h.messages()

    assert turn.text == "1 messages, the last says one"
    assert kept[0] == said[0]
    assert len(kept) == 2
    assert kept[1]["id"] not in {"a-1", "a-2"}


async def test_rule_05_regenerating_without_a_question_calls_no_model() -> None:
    called: list[int] = []

    @chat.task("my-chat")
    async def counted(turn: Turn[Any]) -> None:
        called.append(turn.number)

    task: ChatTask[Any] = counted
    async with harness(task) as h:
        turn = await h.regenerate()

    assert (turn.outcome, turn.error) == ("failed", "there is no user message to answer anew")
    assert called == []
