"""Where a tool was called: for tools, and for tasks that are used as tools."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatrun.ai.calls import current_call
from chatrun.engine.turn import current_turn
from chatrun.errors import InvalidInput

if TYPE_CHECKING:
    from chatrun.ai.tools import ToolCall
    from chatrun.engine.turn import Turn


@dataclass(frozen=True, slots=True)
class ToolContext:
    """A tool call and the turn that it belongs to."""

    call: ToolCall
    """The call: the tool's name, its input as JSON, the conversation up to it."""
    turn: Turn[Any]
    """The turn whose model made the call. In a task that is used as a tool, that is the turn of
    the task that uses it; what is written to it goes to the chat's clients directly."""
    input: Any
    """The input: in a task that is used as a tool, in the type that `as_tool` names."""

    @property
    def tool_call_id(self) -> str:
        """The model's id of the call."""
        return self.call.tool_call_id

    @property
    def chat_id(self) -> str:
        """The id by which clients know the session."""
        return self.turn.chat_id

    @property
    def client_data(self) -> Any:
        """What the client sent along, in the type of the task that made the call."""
        return self.turn.client_data


_entered: ContextVar[ToolContext | None] = ContextVar("tool_context", default=None)


def enter_tool_context(context: ToolContext) -> None:
    """Make `context` that of its call, for the calling `asyncio.Task` and all that it starts."""
    _entered.set(context)


def tool_context() -> ToolContext:
    """Return where the tool, or the task used as one, that this code runs in was called.

    Raises:
        InvalidInput: It runs in none.
    """
    call = current_call()
    if call is None:
        raise InvalidInput("there is no tool call here: call this from a tool, or from a task")
    entered = _entered.get()
    if entered is not None and entered.call is call:
        return entered
    return ToolContext(call, current_turn(), dict(call.input))
