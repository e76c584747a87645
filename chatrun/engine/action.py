"""Actions: what a client asks a task to do beside talking, such as to undo or to rename."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatrun.engine.turn import Turn
    from chatrun.messages.types import UIMessage


@dataclass(frozen=True, slots=True)
class Action:
    """An action has arrived, at its place among the messages.

    The history may be edited. What the handler returns is answered like a turn's result and kept;
    None answers nothing, and `chat.turn()` has the task answer the history as it stands then.
    """

    turn: Turn[Any]
    """What there is of a turn: ids, client data, history. It counts as none."""
    action: Any
    """What the client sent, in the type that the task declared for it."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """Asks for a turn; see `turn`."""

    message: UIMessage | None


def turn(message: UIMessage | None = None) -> TurnRequest:
    """Return what makes the task answer, from a handler of actions.

    `message` is put into the history first; without one the task answers what is there.
    """
    return TurnRequest(message)
