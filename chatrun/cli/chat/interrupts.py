"""What Ctrl-C does, which depends on what the program is doing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Interrupts:
    """Calls the action in force on every SIGINT, instead of ending the program."""

    def __init__(self) -> None:
        self._actions: list[Callable[[], object]] = []

    @contextlib.contextmanager
    def taken(self, action: Callable[[], object]) -> Iterator[None]:
        """Within the block, SIGINT calls `action`, or that of a `taken` inside it."""
        loop = asyncio.get_running_loop()
        before = signal.getsignal(signal.SIGINT)
        self._actions.append(action)
        if len(self._actions) == 1:
            loop.add_signal_handler(signal.SIGINT, self._act)
        try:
            yield
        finally:
            self._actions.pop()
            if not self._actions:
                loop.remove_signal_handler(signal.SIGINT)
                signal.signal(signal.SIGINT, before)  # asyncio.run's own, which ends the program

    def _act(self) -> None:
        self._actions[-1]()
