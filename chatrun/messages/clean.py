"""What is kept of an answer that was cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from chatrun.messages.types import is_tool_part

if TYPE_CHECKING:
    from chatrun.messages.types import UIMessage, UIPart

_UNFINISHED = ("input-streaming", "input-available")


def close_partial(message: UIMessage) -> UIMessage | None:
    """Return an assistant message as it is kept after a stop or a failure; None if nothing is.

    Tool calls without a result are dropped, whoever was to run them: nobody will answer them any
    more. One that waits for the user's approval, or has got it, stays. Text and reasoning that
    was still streaming is done. What remains when only the borders of steps are left is nothing.
    """
    parts = [_closed(part) for part in message["parts"] if not _is_unfinished(part)]
    if all(part["type"] == "step-start" for part in parts):
        return None
    return {**message, "parts": parts}


def _is_unfinished(part: UIPart) -> bool:
    return is_tool_part(part) and part["state"] in _UNFINISHED


def _closed(part: UIPart) -> UIPart:
    if part["type"] in ("text", "reasoning") and part.get("state") == "streaming":
        return cast("UIPart", {**part, "state": "done"})
    return part
