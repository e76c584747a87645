"""Messages that arrive while an answer is given: queued, or steered into it (features.md §1.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from chatrun.engine.mailbox import said_id
from chatrun.errors import InvalidInput
from chatrun.messages.check import check_message
from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.types import message_text
from chatrun.store.base import OutWrite

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chatrun.engine.mailbox import Letter
    from chatrun.engine.run import Run
    from chatrun.engine.turn import Turn
    from chatrun.messages.types import ModelMessage, UIMessage, UIPart

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
    waiting = _waiting(run)
    # Sent twice under one id, a message is said once, as it was sent last.
    messages = tuple({message["id"]: message for _, message in waiting}.values())
    if not messages or not await run.task.wants_steering(Steering(turn, messages, step)):
        return []
    shown = await run.task.prepare_steered(Steering(turn, messages, step))
    run.mailbox.take([letter for letter, _ in waiting])
    _keep(run, messages)
    note = [{"id": message["id"], "text": message_text(message)} for message in messages]
    ids = [message["id"] for message in messages]
    await turn.write({"type": INJECTED, "data": {"messageIds": ids, "messages": note}})
    return list(shown) if shown is not None else convert_to_model_messages(messages)


def was_steered(message: UIMessage, behind: Iterable[UIMessage]) -> bool:
    """Tell whether one of the answers `behind` a message was steered with it."""
    return any(
        message["id"] in _injected_ids(part)
        for answer in behind
        if answer["role"] == "assistant"
        for part in answer["parts"]
    )


def _injected_ids(part: UIPart) -> Sequence[object]:
    data: Any = part.get("data") if part["type"] == INJECTED else None
    ids = data.get("messageIds") if isinstance(data, dict) else None
    return ids if isinstance(ids, list) else ()


def _waiting(run: Run) -> list[tuple[Letter, UIMessage]]:
    """Return what waits up to the first message that needs a turn of its own.

    That is one that edits an earlier message, or that is none. What this turn was steered with
    already and came again is consumed without another word.
    """
    mailbox = run.mailbox
    mailbox.take([one for one in mailbox.steerable() if said_id(one) in mailbox.taken])
    known = {message["id"] for message in run.history.messages}
    found: list[tuple[Letter, UIMessage]] = []
    for letter in mailbox.steerable():
        message = _message_of(run, letter)
        if message is None or message["id"] in known:
            break
        found.append((letter, message))
    return found


def _message_of(run: Run, letter: Letter) -> UIMessage | None:
    message = cast("dict[str, Any]", getattr(letter.message, "message", None))
    fallback_id = f"msg_{run.info.session_id.removeprefix('session_')}_{letter.seq}"
    named = {**message, "id": said_id(letter) or fallback_id}
    try:
        return check_message(named, what="the message")
    except InvalidInput:
        return None


def _keep(run: Run, messages: Sequence[UIMessage]) -> None:
    """Put the messages in front of the answer, and store in one go that they are consumed."""
    history = run.history
    at = len(history.messages) - (history.last_assistant() is not None)
    history.messages[at:at] = messages
    changes = history.take_changes()
    run.port.write(OutWrite(changes=changes, in_cursor=run.mailbox.cursor))
