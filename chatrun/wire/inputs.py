"""What the records of a session's `in` stream mean (wire.md section 7).

A record's text comes from outside and is kept as it came. Reading it never fails: what makes no
sense is `Junk`, so that no record can wedge a session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast, get_args

from chatrun.errors import InvalidInput
from chatrun.wire.json import parse_json_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JsonObject = dict[str, object]

Trigger = Literal[
    "submit-message", "regenerate-message", "action", "close", "preload", "handover-prepare"
]
# Tuples, not sets: what is looked up in them may be a list, which has no hash.
_TRIGGERS: tuple[object, ...] = get_args(Trigger)
_ROLES: tuple[object, ...] = ("user", "assistant", "system")


@dataclass(frozen=True, slots=True)
class Message:
    """A payload: something for the task to do."""

    trigger: Trigger
    chat_id: str | None = None
    message: JsonObject | None = None
    """The UI message that was sent; its `id` may be missing."""
    message_id: str | None = None
    """The message that an edit replaces or a regenerate drops."""
    metadata: object = None
    """What the client calls `clientData`."""
    action: object = None
    head_start_messages: tuple[JsonObject, ...] = ()
    idle_timeout_s: float | None = None
    """How long a `handover-prepare` waits for its handover."""
    standing: tuple[str, ...] | None = None
    """Ours: ids of the messages that the client's list still holds before the new one. None
    where the client does not tell, and all stand."""
    seed: tuple[JsonObject, ...] = ()
    """Ours: the client's list, for a session that the server has never seen."""
    payload: Mapping[str, object] = field(default_factory=dict)
    """All of it as it came, with whatever keys the app put in."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the running turn."""

    message: str | None = None
    """Why, in the client's words."""
    turn: int | None = None
    """Ours: the number of the `in` record whose turn is meant; None means whichever runs."""


@dataclass(frozen=True, slots=True)
class Handover:
    """The first step of a head start, made elsewhere, is here."""

    partial: tuple[JsonObject, ...]
    """Model messages: the assistant's, and a tool message with approvals where calls wait."""
    message_id: str | None
    is_final: bool
    """Whether the partial is the whole answer."""


@dataclass(frozen=True, slots=True)
class HandoverSkip:
    """The first step of a head start failed elsewhere; nothing follows."""


@dataclass(frozen=True, slots=True)
class Junk:
    """A record that cannot be acted upon."""

    reason: str
    """A sentence that may be shown to whoever sent it."""
    awaited: bool = False
    """Whether it wanted to be a message, so that a client waits for the end of its turn."""


Input = Message | Stop | Handover | HandoverSkip | Junk


def parse_input(body: str) -> Input:
    """Return what the text of an `in` record means; it never raises."""
    try:
        record = parse_json_object(body, what="the record")
    except InvalidInput as exc:
        return Junk(str(exc))
    kind = record.get("kind")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        return Junk("the record's kind is not one of message, stop, handover, handover-skip")
    try:
        return reader(record)
    except InvalidInput as exc:
        return Junk(str(exc), awaited=kind == "message")


def parse_payload(payload: Mapping[str, object]) -> Message:
    """Return what a payload means: a message record's, or a session's `basePayload`.

    Without a trigger it submits its message.

    Raises:
        InvalidInput: The trigger is unknown or a part of it has the wrong form.
    """
    trigger = payload.get("trigger", "submit-message")
    if trigger not in _TRIGGERS:
        raise InvalidInput(f"payload.trigger {trigger!r} is not one of {_TRIGGERS}")
    return Message(
        trigger=cast("Trigger", trigger),
        chat_id=_text(payload, "chatId"),
        message=_message(payload),
        message_id=_text(payload, "messageId"),
        metadata=payload.get("metadata"),
        action=payload.get("action"),
        head_start_messages=tuple(_messages(payload, "headStartMessages")),
        idle_timeout_s=_seconds(payload, "idleTimeoutInSeconds"),
        standing=_standing(payload),
        seed=tuple(_messages(payload, "seed")),
        payload=payload,
    )


def wakes(body: str) -> bool:
    """Tell whether a record must start a run when none is there to take it.

    A message must, also one that cannot be read, since its client waits for an answer; so must
    the first step of a head start. A stop, a close and junk concern a run that is there.
    """
    match parse_input(body):
        case Message(trigger=trigger):
            return trigger in {"submit-message", "regenerate-message", "action"}
        case Handover():
            return True
        case Junk(awaited=awaited):
            return awaited
        case _:
            return False


def _read_message(record: JsonObject) -> Message:
    payload = record.get("payload")
    if not isinstance(payload, dict):
        raise InvalidInput("a message record needs a payload object")
    return parse_payload(payload)


def _read_stop(record: JsonObject) -> Stop:
    message, turn = record.get("message"), record.get("turn")
    return Stop(
        message if isinstance(message, str) else None,
        turn if isinstance(turn, int) and not isinstance(turn, bool) else None,
    )


def _read_handover(record: JsonObject) -> Handover:
    partial = _objects(record.get("partialAssistantMessage", []), "partialAssistantMessage")
    return Handover(tuple(partial), _text(record, "messageId"), record.get("isFinal") is True)


def _read_handover_skip(_record: JsonObject) -> HandoverSkip:
    return HandoverSkip()


_READERS: Mapping[str, Callable[[JsonObject], Input]] = {
    "message": _read_message,
    "stop": _read_stop,
    "handover": _read_handover,
    "handover-skip": _read_handover_skip,
}


def _text(payload: Mapping[str, object], key: str) -> str | None:
    value = payload.get(key)
    if value is None or isinstance(value, str):
        return value
    raise InvalidInput(f"{key} must be text")


def _seconds(payload: Mapping[str, object], key: str) -> float | None:
    value = payload.get(key)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise InvalidInput(f"{key} must be a number of seconds above 0")


def _standing(payload: Mapping[str, object]) -> tuple[str, ...] | None:
    value = payload.get("standing")
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise InvalidInput("standing must be a list of message ids")


def _message(payload: Mapping[str, object]) -> JsonObject | None:
    value = payload.get("message")
    return None if value is None else check_ui_message(value, "message")


def _messages(payload: Mapping[str, object], key: str) -> list[JsonObject]:
    value = payload.get(key)
    if value is None:
        return []
    return [check_ui_message(item, f"a message of {key}") for item in _objects(value, key)]


def _objects(value: object, what: str) -> list[JsonObject]:
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    raise InvalidInput(f"{what} must be a list of objects")


def check_ui_message(value: object, what: str) -> JsonObject:
    """Return `value` when it has the outline of a UI message: a role and parts with a type.

    Raises:
        InvalidInput: It has not; `what` names it.
    """
    if not isinstance(value, dict) or value.get("role") not in _ROLES:
        raise InvalidInput(f"{what} must be a UI message with a role: user, assistant or system")
    if not isinstance(value.get("id", ""), str):
        raise InvalidInput(f"{what} must have text as its id")
    parts = value.get("parts")
    if not isinstance(parts, list) or not all(_is_part(part) for part in parts):
        raise InvalidInput(f"{what} must have parts: a list of objects, each with a type")
    return value


def _is_part(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)
