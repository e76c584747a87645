"""Messages that arrive while an answer is given: queued, or steered into it (features.md §1.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from chatrun.messages.check import check_message
from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.types import message_text
from chatrun.store.base import OutWrite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatrun.engine.mailbox import Letter
    from chatrun.engine.run import Run
    from chatrun.engine.turn import Turn
    from chatrun.messages.types import ModelMessage, UIMessage

Busy = Literal["queue", "reject", "interrupt", "steer"]
"""What becomes of a message that arrives in mid-answer."""

INJECTED = "data-pending-message-injected"
"""The part of the answer that marks where messages were steered in; clients know this name."""


@dataclass(frozen=True, slots=True)
class Steering:
    """Messages have arrived while an answer is given, and the model is about to be called again."""

    turn: Turn[Any]
    messages: tuple[UIMessage, ...]
    """All that wait, oldest first."""
    step: int
    """The number of the step that begins, from 0."""


async def steer(run: Run, turn: Turn[Any], step: int) -> list[ModelMessage]:
    """Return what is shown to the model of the messages that wait; none when they go on waiting.

    Those that are shown are in the history, in front of the answer, and count as consumed; the
    rest have turns of their own.
    """
    if not run.task.steers:
        return []
    letters = run.mailbox.steerable()
    messages = tuple(_message_of(run, letter) for letter in letters)
    if not messages or not await run.task.wants_steering(Steering(turn, messages, step)):
        return []
    shown = await run.task.prepare_steered(Steering(turn, messages, step))
    run.mailbox.take(letters)
    _keep(run, messages)
    note = [{"id": message["id"], "text": message_text(message)} for message in messages]
    ids = [message["id"] for message in messages]
    await turn.write({"type": INJECTED, "data": {"messageIds": ids, "messages": note}})
    return list(shown) if shown is not None else convert_to_model_messages(messages)


def _message_of(run: Run, letter: Letter) -> UIMessage:
    message = cast("dict[str, Any]", getattr(letter.message, "message", None))
    fallback_id = f"msg_{run.info.session_id.removeprefix('session_')}_{letter.seq}"
    return check_message({"id": fallback_id, **message}, what="the message")


def _keep(run: Run, messages: Sequence[UIMessage]) -> None:
    """Put the messages in front of the answer, and store in one go that they are consumed."""
    history = run.history
    at = len(history.messages) - (history.last_assistant() is not None)
    history.messages[at:at] = messages
    changes = history.take_changes()
    run.port.write(OutWrite(changes=changes, in_cursor=run.mailbox.cursor))
