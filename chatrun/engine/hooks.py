"""Hooks: where user code is called besides the task itself, with which event and policy."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from chatrun.engine.outcome import OutcomeKind
    from chatrun.engine.turn import Turn
    from chatrun.messages.types import UIMessage
    from chatrun.models.base import Usage

logger = logging.getLogger("chatrun.hooks")

Event = TypeVar("Event")
Hook = Callable[[Event], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class TurnStart:
    """A turn is about to run: its message is in the history."""

    turn: Turn[Any]


@dataclass(frozen=True, slots=True)
class TurnComplete:
    """A turn has ended and is durable."""

    turn: Turn[Any]
    outcome: OutcomeKind
    response: UIMessage | None
    """The assistant's message as it was kept, None when there is none."""
    new_messages: tuple[UIMessage, ...]
    """What this turn added to the session: the user's message, then the answer."""
    finish_reason: str | None
    usage: Usage
    """Of this turn; `turn.total_usage` has the run's."""
    error: BaseException | None
    """What failed the turn, None unless `outcome` is "failed"."""
    cursor: int
    """The number of the turn-complete record: a reader that has this one has the turn."""


@dataclass(frozen=True, slots=True)
class HookPoint(Generic[Event]):
    """A place where hooks run, and what becomes of what they raise."""

    name: str
    event: type[Event]
    on_error: Literal["raise", "log"] = "raise"
    last_in_first_out: bool = False


TURN_START = HookPoint("on_turn_start", TurnStart)
TURN_COMPLETE = HookPoint("on_turn_complete", TurnComplete, on_error="log", last_in_first_out=True)


class HookTable:
    """The hooks of one task, by point, in the order declared."""

    def __init__(self) -> None:
        self._hooks: dict[str, list[Hook[Any]]] = {}

    def __contains__(self, point: HookPoint[Any]) -> bool:
        return bool(self._hooks.get(point.name))

    def add(self, point: HookPoint[Event], hook: Hook[Event]) -> Hook[Event]:
        """Attach `hook` at `point` and return it as it is."""
        self._hooks.setdefault(point.name, []).append(hook)
        return hook

    async def run(self, point: HookPoint[Event], event: Event) -> None:
        """Run the hooks of `point` one after another.

        Raises:
            Exception: What a hook raised, when the point's policy is "raise"; the rest of the
                hooks do not run then.
        """
        hooks = self._hooks.get(point.name, ())
        for hook in reversed(hooks) if point.last_in_first_out else tuple(hooks):
            try:
                result = hook(event)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                if point.on_error == "raise":
                    raise
                logger.exception("%s hook %s failed", point.name, _name(hook))


def _name(hook: Callable[..., object]) -> str:
    code = getattr(hook, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{getattr(hook, '__qualname__', hook)!s}{where}"
