"""The tool call that code runs in, found from anywhere beneath it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatrun.ai.tools import ToolCall

_current: ContextVar[ToolCall | None] = ContextVar("chatrun_tool_call", default=None)


def current_call() -> ToolCall | None:
    """Return the tool call that the calling code runs in, None outside of any."""
    return _current.get()


def enter_call(call: ToolCall) -> None:
    """Make `call` the current one for the calling `asyncio.Task` and all that it starts."""
    _current.set(call)
