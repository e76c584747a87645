"""A program in a real pseudo-terminal, driven as a person does."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.support.server import clean_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

WAIT_S = 15.0
CTRL_C = "\x03"
CTRL_D = "\x04"
ENTER = "\r"
ALT_ENTER = "\x1b\r"

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")


class Terminal:
    """A terminal with one program in it."""

    def __init__(self, process: asyncio.subprocess.Process, fd: int) -> None:
        self.process = process
        self.raw = ""
        """All that the program has written."""
        self._fd = fd
        self._seen = 0
        """How much of `text` earlier calls of `expect` have passed."""
        self._news = asyncio.Event()
        self._decoded = b""
        asyncio.get_running_loop().add_reader(fd, self._read)

    @property
    def text(self) -> str:
        """All that the program has written, without escape sequences."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    def type(self, *keys: str) -> None:
        """Press keys."""
        os.write(self._fd, "".join(keys).encode())

    async def expect(self, wanted: str, *, wait_s: float = WAIT_S) -> str:
        """Wait until `wanted` is written behind what was expected before; return what came before.

        Raises:
            AssertionError: It did not come.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while wanted not in self.text[self._seen :]:
                    self._news.clear()
                    await self._news.wait()
        fresh = self.text[self._seen :]
        before, found, _ = fresh.partition(wanted)
        assert found, f"{wanted!r} did not come; there is {fresh!r}"
        self._seen += len(before) + len(wanted)
        return before

    async def ended(self) -> int:
        """Wait until the program has ended; return its exit code."""
        async with asyncio.timeout(WAIT_S):
            return await self.process.wait()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the other side is closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._fd)
        self._decoded += data
        self.raw = self._decoded.decode(errors="replace")
        self._news.set()


@asynccontextmanager
async def terminal(
    *args: str,
    folder: Path,
    env: Mapping[str, str] | None = None,
    rows: int = 24,
    columns: int = 80,
) -> AsyncIterator[Terminal]:
    """Run `chatrun` with `args` in a terminal of its own, in `folder`; leaving ends it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatrun", *args),
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **clean_environment(),
            "TERM": "xterm-256color",
            # Nothing here answers where the cursor is.
            "PROMPT_TOOLKIT_NO_CPR": "1",
            **(env or {}),
        },
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(theirs)
    screen = Terminal(process, ours)
    try:
        yield screen
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)


def _take_terminal() -> None:
    """Make standard input the terminal that interrupts this process."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
