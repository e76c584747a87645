"""A session's messages while a run serves it, and what an incoming message does to them.

The server owns the history: a client sends one message, or says which of those it knows still
stand. Rules: wire.md §7, features.md §2 (1 to 5, 11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import orjson

from chatrun.errors import InvalidInput
from chatrun.messages.check import check_message
from chatrun.messages.merge import overlay
from chatrun.store.base import PutMessage, TranscriptChange, TruncateAfter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chatrun.messages.types import UIMessage
    from chatrun.wire.inputs import Message


class History:
    """The messages of a session, oldest first, and what of them is not yet in the transcript."""

    def __init__(self, messages: Iterable[UIMessage] = ()) -> None:
        self.messages: list[UIMessage] = list(messages)
        self._saved: list[UIMessage] = list(self.messages)

    def index(self, message_id: str | None) -> int | None:
        """Return where the message with this id stands, None when it is not there."""
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index]["id"] == message_id:
                return index
        return None

    def last_assistant(self) -> UIMessage | None:
        """Return the last message if it is the assistant's, None otherwise."""
        last = self.messages[-1] if self.messages else None
        return last if last is not None and last["role"] == "assistant" else None

    def put(self, message: UIMessage) -> None:
        """Put `message` in place of the one with its id, or at the end."""
        index = self.index(message["id"])
        if index is None:
            self.messages.append(message)
        else:
            self.messages[index] = message

    def take_changes(self) -> tuple[TranscriptChange, ...]:
        """Return what the transcript lacks; from then on it counts as written."""
        changes = tuple(_changes(self._saved, self.messages))
        self._saved = list(self.messages)
        return changes


def _changes(old: Sequence[UIMessage], new: Sequence[UIMessage]) -> Iterable[TranscriptChange]:
    """Yield what turns `old` into `new`: messages that are the same object are the same."""
    same = 0
    for before, after in zip(old, new, strict=False):
        if before["id"] != after["id"]:
            break
        if before is not after:
            yield _put(after)
        same += 1
    if same < len(old):
        yield TruncateAfter(old[same - 1]["id"] if same else None)
    yield from map(_put, new[same:])


def _put(message: UIMessage) -> PutMessage:
    return PutMessage(message["id"], orjson.dumps(message))


def receive(history: History, incoming: Message, *, fallback_id: str) -> None:
    """Bring `history` to where the turn that answers `incoming` begins.

    `fallback_id` names a message that came without an id.

    Raises:
        InvalidInput: There is nothing to answer; the history is as it was.
    """
    messages = _standing(history.messages, incoming)
    match incoming.trigger:
        case "regenerate-message":
            messages = _regenerate(messages, incoming.message_id)
        case _ if incoming.message is not None:
            messages = _submit(messages, _with_id(incoming.message, fallback_id))
        case _:
            raise InvalidInput(f"a {incoming.trigger!r} record needs a message")
    history.messages = messages


def _standing(messages: list[UIMessage], incoming: Message) -> list[UIMessage]:
    """Return the messages that the client's own list still holds, where it told."""
    if not messages and incoming.seed:
        return [check_message(message, what="a message of the list") for message in incoming.seed]
    if incoming.standing is None:
        return list(messages)
    kept = set(incoming.standing)
    return [message for message in messages if message["id"] in kept]


def _regenerate(messages: list[UIMessage], message_id: str | None) -> list[UIMessage]:
    """Drop the answer to give anew: the one named, or whatever follows the last user message."""
    end = _find(messages, message_id) if message_id is not None else None
    if end is not None:
        messages = messages[: end + 1 if messages[end]["role"] == "user" else end]
    while messages and messages[-1]["role"] != "user":
        messages = messages[:-1]
    if not messages:
        raise InvalidInput("there is no user message to answer anew")
    return messages


def _submit(messages: list[UIMessage], message: UIMessage) -> list[UIMessage]:
    """Add a user message, or the client's answers to an assistant message's tool calls."""
    if message["role"] == "assistant":
        return _answer_tools(messages, message)
    if message["role"] != "user":
        raise InvalidInput(f"a client cannot send a {message['role']!r} message")
    index = _find(messages, message["id"])
    # A known id is an edit or a resend: what followed it answered something else.
    return [*(messages if index is None else messages[:index]), message]


def _answer_tools(messages: list[UIMessage], message: UIMessage) -> list[UIMessage]:
    index = _find(messages, message["id"])
    if index is None:
        # The page may never have learnt our id; the tool call's id is the same on both sides.
        index = _find_tool_call(messages, message)
    if index is None:
        raise InvalidInput(
            f"assistant message {message['id']!r} is not part of this session, and none of its "
            "tool calls are"
        )
    merged = overlay(messages[index], message)
    return [*messages[:index], merged, *messages[index + 1 :]]


def _find(messages: Sequence[UIMessage], message_id: str) -> int | None:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index]["id"] == message_id:
            return index
    return None


def _find_tool_call(messages: Sequence[UIMessage], message: UIMessage) -> int | None:
    wanted = {part.get("toolCallId") for part in message["parts"]} - {None}
    for index in range(len(messages) - 1, -1, -1):
        if any(part.get("toolCallId") in wanted for part in messages[index]["parts"]):
            return index
    return None


def _with_id(message: dict[str, object], fallback_id: str) -> UIMessage:
    named = message if message.get("id") else {**message, "id": fallback_id}
    if message.get("role") == "assistant":
        return cast("UIMessage", named)  # an overlay: only the parts that were answered
    return check_message(named, what="the message")
