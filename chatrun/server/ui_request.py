"""What the AI SDK's transports post, as a record for `in` (wire.md 10.1).

The client sends its whole list. The transcript is the truth of what was said, so of the list only
the last message is taken as said; the rest tells which messages still stand, and seeds a chat
that the server has never seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import orjson

from chatrun.errors import InvalidInput
from chatrun.wire.inputs import check_ui_message
from chatrun.wire.json import parse_json_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatrun.wire.inputs import JsonObject

_TRIGGERS: Final = ("submit-message", "regenerate-message")
# Keys of a payload that are never the app's to set.
_OURS: Final = ("id", "messages", "headStartMessages", "standing", "seed", "action")


@dataclass(frozen=True, slots=True)
class UiRequest:
    """A post of a chat."""

    chat_id: str
    trigger: Literal["submit-message", "regenerate-message"]
    messages: tuple[JsonObject, ...]
    message_id: str | None
    extras: Mapping[str, object]
    """Whatever the app put into the body."""

    def record(self, *, is_new: bool, knows_ids: bool = True) -> str:
        """Return the text of the `in` record.

        `is_new` says that the chat has none yet; `knows_ids` that the client has learnt the ids
        of the answers in its list, and has not made them up.
        """
        submits = self.trigger == "submit-message"
        earlier = self.messages[:-1] if submits else self.messages
        payload: dict[str, object] = {
            **self.extras,
            "chatId": self.chat_id,
            "trigger": self.trigger,
        }
        if submits:
            payload["message"] = self.messages[-1]
        if knows_ids and not self._continues:
            payload["standing"] = _ids(earlier)
        message_id = self.message_id if knows_ids or submits else self._last_user_id
        if message_id is not None:
            payload["messageId"] = message_id
        if is_new and earlier:
            payload["seed"] = earlier
        return orjson.dumps({"kind": "message", "payload": payload}).decode()

    @property
    def _continues(self) -> bool:
        """Whether the client answers the tool calls of the last message, which stays as it is."""
        return self.trigger == "submit-message" and self.messages[-1]["role"] == "assistant"

    @property
    def _last_user_id(self) -> str | None:
        """The message whose answer is to be given anew, where the answer's own id means nothing."""
        ids = _ids([message for message in self.messages if message["role"] == "user"])
        return ids[-1] if ids else None


def read_ui_request(body: bytes) -> UiRequest:
    """Return what a transport has posted.

    Raises:
        InvalidInput: It has not the form that they all have; the message names the key.
    """
    form = parse_json_object(body, what="the request body")
    chat_id, message_id = form.get("id"), form.get("messageId")
    if not isinstance(chat_id, str) or not chat_id:
        raise InvalidInput("id must be the chat's id")
    if message_id is not None and not isinstance(message_id, str):
        raise InvalidInput("messageId must be text")
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    if form.get("trigger", trigger) not in _TRIGGERS:
        raise InvalidInput(f"trigger must be one of {', '.join(_TRIGGERS)}")
    if form.get("trigger") == "regenerate-message":
        trigger = "regenerate-message"
    return UiRequest(chat_id, trigger, _messages(form), message_id, _extras(form))


def _messages(form: Mapping[str, object]) -> tuple[JsonObject, ...]:
    messages = form.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidInput("messages must be a list of at least one message")
    return tuple(check_ui_message(message, "each of messages") for message in messages)


def _extras(form: Mapping[str, object]) -> dict[str, object]:
    extras = {name: value for name, value in form.items() if name not in _OURS}
    if extras.get("actionSource") == "webhook":
        del extras["actionSource"]  # the mark of a verified webhook, which no client may set
    return extras


def _ids(messages: Sequence[JsonObject]) -> list[str]:
    ids = (message.get("id") for message in messages)
    return [id_ for id_ in ids if isinstance(id_, str)]
