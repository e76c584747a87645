"""The messages of a chat as a client has them, kept up to date by what streams in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from chatrun.messages.fold import MessageFold
from chatrun.messages.types import is_tool_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chatrun.messages.types import ToolUIPart, UIMessage, UIPart


@dataclass(slots=True)
class _Said:
    """A message of the user's whose turn has not begun."""

    message: UIMessage
    seq: int | None = None
    """The number of its record; None while it is on its way."""


class ChatMessages:
    """A list of messages: settled ones, one that may be growing, and what was said since."""

    def __init__(self) -> None:
        self._settled: list[UIMessage] = []
        self._fold: MessageFold | None = None
        self._said: list[_Said] = []

    @property
    def all(self) -> list[UIMessage]:
        """Every message, oldest first; later changes do not show in it."""
        messages = self._with_growing()
        for said in self._said:
            _cut(messages, said.message["id"])
            messages.append(said.message)
        return messages

    @property
    def growing(self) -> UIMessage | None:
        """The message of the answer that streams in; None before its first part."""
        message = None if self._fold is None else self._fold.message
        return message if message is not None and message["parts"] else None

    def replace(self, messages: Iterable[UIMessage]) -> None:
        """Put these messages in place of all there are."""
        self._settled, self._fold = list(messages), None
        self._said.clear()

    # --- what the user says

    def say(self, message: UIMessage) -> None:
        """Add what the user says; it stays last until its turn begins."""
        self._said.append(_Said(message))

    def number(self, message_id: str, seq: int | None) -> None:
        """Note the number of the record that carries what was said."""
        for said in self._said:
            if said.message["id"] == message_id:
                said.seq = seq

    def unsay(self, message_id: str) -> None:
        """Take back what was said and never arrived."""
        self._said = [said for said in self._said if said.message["id"] != message_id]

    def begin(self, message_id: str) -> None:
        """Say that the turn of a message begins; one with its id goes, with all behind it."""
        for said in [item for item in self._said if item.message["id"] == message_id]:
            self._said.remove(said)
            self.settle()
            _cut(self._settled, message_id)
            self._settled.append(said.message)

    def begin_up_to(self, seq: int) -> None:
        """Say that the turn of the record with this number begins."""
        for said in list(self._said):
            if said.seq is not None and said.seq <= seq:
                self.begin(said.message["id"])

    def take_up(self, message_ids: Iterable[str]) -> None:
        """Say that the running turn has taken up what was said: it goes before the answer."""
        for said in [item for item in self._said if item.message["id"] in set(message_ids)]:
            self._said.remove(said)
            growing, at = self.growing, len(self._settled)
            if growing is not None and self._settled and self._settled[-1]["id"] == growing["id"]:
                at -= 1
            self._settled.insert(at, said.message)

    def cut_answer(self, message_id: str | None) -> None:
        """Drop the message with this id and all behind it, else the answer at the end."""
        self.settle()
        if message_id is not None:
            _cut(self._settled, message_id)
            return
        while self._settled and self._settled[-1]["role"] != "user":
            self._settled.pop()

    # --- what is answered

    def apply(self, chunk: Mapping[str, object]) -> None:
        """Take the next chunk of an answer.

        Raises:
            ChunkInvalid: It belongs to a part that is not there.
        """
        if self._fold is None:
            last = self._settled[-1] if self._settled else None
            self._fold = MessageFold(last, reset_on_new_id=True)
        self._fold.apply(chunk)

    def settle(self) -> None:
        """Say that the answer is over."""
        self._settled, self._fold = self._with_growing(), None

    def _with_growing(self) -> list[UIMessage]:
        growing = self.growing
        if growing is None:
            return list(self._settled)
        if self._settled and self._settled[-1]["id"] == growing["id"]:
            return [*self._settled[:-1], growing]
        return [*self._settled, growing]

    # --- tool calls

    def waiting_tools(self) -> list[ToolUIPart]:
        """Return the tool calls of the last message that wait for the user's yes or no."""
        messages = self._with_growing()
        parts = messages[-1]["parts"] if messages else []
        tools = [part for part in parts if is_tool_part(part)]
        return [part for part in tools if part["state"] == "approval-requested"]

    def overlay(self, answers: Mapping[str, Mapping[str, object]]) -> UIMessage | None:
        """Put what became of tool calls, by their ids, into the last message that has any.

        Returns that message with nothing but these calls in it, as it is sent; None when no
        message has one of them.
        """
        self.settle()
        for at, message in reversed(list(enumerate(self._settled))):
            slim = [_slim(part, answers) for part in message["parts"] if _answers(part, answers)]
            if slim:
                parts = [_overlaid(part, answers) for part in message["parts"]]
                self._settled[at] = cast("UIMessage", {**message, "parts": parts})
                return {"id": message["id"], "role": "assistant", "parts": slim}
        return None


def _cut(messages: list[UIMessage], message_id: str) -> None:
    """Drop the message with this id and all behind it; an unknown id drops none."""
    for at, message in enumerate(messages):
        if message["id"] == message_id:
            del messages[at:]
            return


def _answers(part: UIPart, answers: Mapping[str, Mapping[str, object]]) -> bool:
    return is_tool_part(part) and part["toolCallId"] in answers


def _overlaid(part: UIPart, answers: Mapping[str, Mapping[str, object]]) -> UIPart:
    found = answers.get(str(part.get("toolCallId")), {})
    return cast("UIPart", {**part, **found})


def _slim(part: UIPart, answers: Mapping[str, Mapping[str, object]]) -> UIPart:
    kept = {key: part.get(key) for key in ("type", "toolCallId", "toolName") if key in part}
    return cast("UIPart", {**kept, **answers[str(part.get("toolCallId"))]})
