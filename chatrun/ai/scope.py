"""What `stream_text` picks up from the turn it runs in, without being told."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatrun.ai.tools import Tool
    from chatrun.messages.types import ModelMessage
    from chatrun.models.base import Usage


class TurnScope(Protocol):
    """The turn, as the step loop sees it."""

    @property
    def messages(self) -> Sequence[ModelMessage]:
        """The conversation up to the message to answer."""
        ...

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools of the task, for a call that names none of its own."""
        ...

    @property
    def skill_tools(self) -> Sequence[Tool]:
        """Tools of the task's skills, beside whichever tools a call names."""
        ...

    @property
    def system(self) -> str | None:
        """The task's instructions for the model."""
        ...

    async def at_step(
        self, messages: Sequence[ModelMessage], *, step: int
    ) -> Sequence[ModelMessage]:
        """Return what the model is shown in step `step`, counted from 0, instead of `messages`."""
        ...

    def report_usage(self, usage: Usage) -> None:
        """Take note of the tokens that one step has used; called once for each step."""
        ...

    def report(self, event: str, **facts: object) -> None:
        """Tell consoles and logs of an event, never with anything that was said."""
        ...


_current: ContextVar[TurnScope | None] = ContextVar("chatrun_turn_scope", default=None)


def current_scope() -> TurnScope | None:
    """Return the turn that the calling code runs in, None outside of any."""
    return _current.get()


def enter_scope(scope: TurnScope | None) -> None:
    """Make `scope` the current one for the calling `asyncio.Task` and all that it starts."""
    _current.set(scope)
