"""The check of UI messages that come from outside: what passes can be shown, kept and converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast, get_args

from chatrun.errors import InvalidInput
from chatrun.messages.types import Role, ToolState, is_tool_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chatrun.messages.types import UIMessage

_FORMS: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "true or false",
    dict: "an object",
    list: "an array",
}

_METADATA: Final = ("providerMetadata", "callProviderMetadata", "resultProviderMetadata")

# A key has the same form in every part that has it; what is not named here may be any JSON.
_KEY_FORMS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("text", "url", "mediaType", "filename", "sourceId", "title", "kind"), str),
    **dict.fromkeys(("id", "toolCallId", "toolName", "errorText", "state", "reason"), str),
    **dict.fromkeys(("signature", "requestReason", "inputEncoding"), str),
    **dict.fromkeys(("providerExecuted", "preliminary", "approved", "isAutomatic"), bool),
    **dict.fromkeys(_METADATA, dict),
    **dict.fromkeys(("toolMetadata", "providerReference", "approval"), dict),
    **dict.fromkeys(("parts", "citations"), list),
}

_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("text",),
    "reasoning": ("text",),
    "file": ("mediaType", "url"),
    "reasoning-file": ("mediaType", "url"),
    "source-url": ("sourceId", "url"),
    "source-document": ("sourceId", "mediaType", "title"),
    "custom": ("kind",),
    "steering-message": ("id", "parts"),
    "dynamic-tool": ("toolCallId", "state", "toolName"),
}
_TOOL: Final = ("toolCallId", "state")
_DECIDED: Final = ("approval-responded", "output-denied")


def check_message(value: object, *, what: str = "the message") -> UIMessage:
    """Return `value`, unchanged, when it is a UI message; `what` names it in the error.

    Keys and types of parts that nobody knows are let through, and so are tool calls without an
    input, as pages send them that answer a call.

    Raises:
        InvalidInput: A key that it needs is missing or has the wrong form, a tool call has an
            unknown state or an approval that does not go with it, or a message that is not the
            assistant's has no parts.
    """
    message = _object(value, what)
    _string(message, "id", what)
    if message.get("role") not in get_args(Role):
        raise InvalidInput(f'{what} must have a "role": system, user or assistant')
    parts = message.get("parts")
    if not isinstance(parts, list):
        raise InvalidInput(f'{what} must have "parts", an array')
    if not parts and message["role"] != "assistant":
        raise InvalidInput(f"{what} has no parts: it says nothing")
    for at, part in enumerate(parts):
        _check_part(part, at, what)
    return cast("UIMessage", message)


def _check_part(value: object, at: int, whole: str) -> None:
    part = _object(value, f"part {at} of {whole}")
    kind = _string(part, "type", f"part {at} of {whole}")
    is_tool = is_tool_part(part)
    what = f'part {at} ("{kind[:64]}") of {whole}'
    _check_keys(part, _TOOL if kind.startswith("tool-") else _REQUIRED.get(kind, ()), what)
    if is_tool:
        _check_call(part, what)
    if kind == "steering-message":
        for at, inner in enumerate(cast("list[object]", part["parts"])):
            _check_part(inner, at, what)


def _check_call(part: Mapping[str, object], what: str) -> None:
    if part["state"] not in get_args(ToolState):
        raise InvalidInput(f'{what} has the unknown state "{str(part["state"])[:64]}"')
    approval = part.get("approval")
    if approval is None and part["state"] in ("approval-requested", *_DECIDED):
        raise InvalidInput(f'{what} is in the state "{part["state"]}" and needs "approval"')
    if approval is not None:
        decided = ("id", "approved") if part["state"] in _DECIDED else ("id",)
        _check_keys(cast("dict[str, object]", approval), decided, f"the approval of {what}")


def _check_keys(part: Mapping[str, object], required: tuple[str, ...], what: str) -> None:
    """Raise `InvalidInput` when a required key is missing or any has the wrong form."""
    for key in required:
        if part.get(key) is None:
            raise InvalidInput(f'{what} needs "{key}", {_FORMS[_KEY_FORMS[key]]}')
    for key, found in part.items():
        form = _KEY_FORMS.get(key)
        if form is not None and found is not None and not isinstance(found, form):
            raise InvalidInput(f'{what} needs "{key}" to be {_FORMS[form]}')
        if key in _METADATA and not all(isinstance(item, dict) for item in _items(found)):
            raise InvalidInput(f'{what} needs "{key}" to be an object of objects, one per provider')


def _items(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else ()


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} must be an object")
    return value


def _string(value: Mapping[str, object], key: str, what: str) -> str:
    found = value.get(key)
    if not isinstance(found, str):
        raise InvalidInput(f'{what} must have "{key}", a string')
    return found
