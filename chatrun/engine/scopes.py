"""The run that code runs in, found from anywhere beneath it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from chatrun.errors import InvalidInput

if TYPE_CHECKING:
    from chatrun.engine.run import Run

_current: ContextVar[Run | None] = ContextVar("current_run", default=None)


def enter_run(run: Run) -> None:
    """Make `run` the current one of this asyncio task and those it starts."""
    _current.set(run)


def find_run() -> Run | None:
    """Return the run that this code runs in, None outside of any."""
    return _current.get()


def current_run() -> Run:
    """Return the run that this code runs in.

    Raises:
        InvalidInput: It runs in none.
    """
    run = _current.get()
    if run is None:
        raise InvalidInput("there is no current run here: call this from a task or a hook of it")
    return run
