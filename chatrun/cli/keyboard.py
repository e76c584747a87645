"""The terminal's keyboard without echo and line editing, where keys are read one by one."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Keyboard:
    """Standard input, if that is a terminal whose modes can be set; else nothing happens."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        self.is_there = os.name == "posix" and sys.stdin.isatty()

    def hush(self) -> None:
        """Let keys arrive at once and unseen; Ctrl-C still interrupts.

        What is typed while nobody reads waits for the next reader.
        """
        if not self.is_there:
            return
        import termios

        fd = sys.stdin.fileno()
        modes = termios.tcgetattr(fd)
        if self._before is None:
            self._before = [*modes[:6], list(modes[6])]
        modes[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(fd, termios.TCSANOW, modes)

    def restore(self) -> None:
        """Put the modes back as they were."""
        if self._before is None:
            return
        import termios

        termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self._before)
        self._before = None

    @contextlib.contextmanager
    def hushed(self) -> Iterator[None]:
        """Within the block, keys arrive at once and unseen."""
        self.hush()
        try:
            yield
        finally:
            self.restore()


def give_terminal_to(process_group: int) -> None:
    """Make a process group the one that the terminal interrupts; only it may read then."""
    # A group in the background is stopped for trying this, unless it looks away.
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(sys.stdin.fileno(), process_group)
    finally:
        signal.signal(signal.SIGTTOU, before)
