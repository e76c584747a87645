"""Actions: applied in order, counted as no turn, answered when their handler says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from chatrun import ChatTask, Turn, chat
from chatrun.messages.types import message_text, user_message
from chatrun.testing import Harness, TurnResult, harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Undo(BaseModel):
    kind: Literal["undo"]


class Say(BaseModel):
    kind: Literal["say"]
    text: str


AnyAction = Annotated[Undo | Say, Field(discriminator="kind")]


def actor(seen: list[str]) -> ChatTask[Any]:
    @chat.task("my-chat", action=AnyAction)
    async def my_chat(turn: Turn[Any]) -> str:
        return f"{turn.number} {turn.trigger} " + "+".join(message_text(m) for m in turn.history)

    @my_chat.on_action
    async def act(event: Any) -> object:
        match event.action:
            case Undo():
                event.turn.history.slice(0, -2)
                seen.append(f"undone, {len(event.turn.history)} left")
                return None
            case Say(text="turn"):
                return chat.turn(user_message("asked", message_id="asked"))
            case Say(text=text):
                return text
            case _:
                raise AssertionError(event.action)

    my_chat.on_turn_start(lambda event: seen.append(f"turn {event.turn.number}"))
    return my_chat


async def act(h: Harness, action: object) -> TurnResult:
    async with h.post(trigger="action", action=action) as turn:
        return await turn.done()


async def test_an_action_edits_the_history_and_counts_as_no_turn() -> None:
    seen: list[str] = []
    async with harness(actor(seen)) as h:
        await h.send("one")
        undone = await act(h, {"kind": "undo"})
        after = await h.send("two")

    assert (undone.outcome, undone.chunks) == ("finished", [])
    assert after.text == "1 submit-message two"
    assert seen == ["turn 0", "undone, 0 left", "turn 1"]


async def test_what_a_handler_returns_is_answered_and_kept() -> None:
    seen: list[str] = []
    async with harness(actor(seen)) as h:
        said = await act(h, {"kind": "say", "text": "hello"})
        kept = [message_text(m) for m in await h.messages()]

    assert (said.text, kept, seen) == ("hello", ["hello"], [])


async def test_a_handler_may_ask_for_a_turn() -> None:
    seen: list[str] = []
    async with harness(actor(seen)) as h:
        turn = await act(h, {"kind": "say", "text": "turn"})
        kept = [message_text(m) for m in await h.messages()]

    assert turn.text == "0 action-turn asked"
    assert kept == ["asked", "0 action-turn asked"]
    assert seen == ["turn 0"]


async def test_an_action_that_does_not_fit_is_an_error_and_burns_no_turn() -> None:
    seen: list[str] = []
    async with harness(actor(seen)) as h:
        failed = await act(h, {"kind": "unheard-of"})
        after = await h.send("one")

    assert failed.outcome == "failed"
    assert (failed.error or "").startswith("The action is not valid")
    assert after.text.startswith("0 ")


async def test_a_task_without_a_handler_says_that_it_takes_no_actions() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
        yield "fine"

    async with harness(my_chat) as h:
        failed = await act(h, {"kind": "undo"})
        fine = await h.send("hi")

    assert failed.error == "Task 'my-chat' takes no actions."
    assert fine.text == "fine"
