"""Messages as plain text: for pipes, dumb terminals and lists."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from chatrun.cli.chat.safe import safe_line, safe_text
from chatrun.messages.types import is_text_part, is_tool_part, tool_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.messages.types import ToolUIPart, UIMessage

MAX_VALUE: Final = 60


def plain_message(message: UIMessage) -> str:
    """Return a message with who said it in front."""
    who = {"user": "you", "assistant": "task"}.get(message["role"], message["role"])
    return f"{who}: {plain_parts(message)}"


def plain_parts(message: UIMessage) -> str:
    """Return the text of a message, with a line for each tool call and file."""
    return "\n".join(filter(None, (_part(part) for part in message["parts"])))


def _part(part: Mapping[str, object]) -> str:
    if is_text_part(part):
        return safe_text(part["text"])
    if is_tool_part(part):
        return f"[{tool_line(part)}]"
    if part["type"] == "file":
        return f"[file {safe_line(str(part.get('filename') or part.get('mediaType')))}]"
    return ""


def tool_line(part: ToolUIPart) -> str:
    """Return a tool call as one line: its name, its input, and what became of it."""
    call = call_text(tool_name(part), part.get("input"))
    match part["state"]:
        case "output-available":
            return f"{call} → {short(part.get('output'))}"
        case "output-error":
            return f"{call} failed: {safe_line(part.get('errorText', ''))}"
        case "output-denied":
            return f"{call} was not allowed"
        case "approval-requested":
            return f"{call} waits for your yes or no"
        case _:
            return call


def call_text(name: str, value: object) -> str:
    """Return a call as one writes it: `weather(city="Oslo")`."""
    if isinstance(value, dict):
        given = cast("dict[str, object]", value)
        inner = ", ".join(f"{safe_line(key)}={short(item)}" for key, item in given.items())
    else:
        inner = "" if value is None else short(value)
    return f"{safe_line(name)}({inner})"


def short(value: object) -> str:
    """Return any JSON as one short line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = safe_line(text)
    return line if len(line) <= MAX_VALUE else f"{line[: MAX_VALUE - 1]}…"
