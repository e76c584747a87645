"""A program in a real pseudo-terminal, driven and watched as a person does."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.cli.emulator import Emulator
from tests.support.server import clean_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

WAIT_S = 20.0
CTRL_C = "\x03"
CTRL_D = "\x04"
ENTER = "\r"
ALT_ENTER = "\x1b\r"
UP = "\x1b[A"


class Terminal:
    """A terminal with one program in it."""

    def __init__(self, process: asyncio.subprocess.Process, fd: int, picture: Emulator) -> None:
        self.process = process
        self.raw = ""
        """All that the program has written, as it wrote it."""
        self._picture = picture
        self._fd = fd
        self._news = asyncio.Event()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        asyncio.get_running_loop().add_reader(fd, self._read)

    @property
    def lines(self) -> list[str]:
        """Every line that can be seen, and that has scrolled away."""
        return self._picture.lines

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)

    def type(self, *keys: str) -> None:
        """Press keys."""
        os.write(self._fd, "".join(keys).encode())

    async def until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something can be seen.

        Raises:
            AssertionError: It did not come.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while not is_so():
                    self._news.clear()
                    await self._news.wait()
        assert is_so(), f"{what} did not come; there is:\n{self.text}"

    async def shows(self, text: str) -> None:
        """Wait until `text` can be seen."""
        await self.until(lambda: text in self.text, repr(text))

    async def asks(self, label: str = "talk") -> None:
        """Wait until the prompt waits for a line."""
        await self.until(lambda: self.lines[-1:] == [f"{label} ›"], f"the prompt of {label!r}")

    async def say(self, line: str, *, label: str = "talk") -> str:
        """Type a line at the prompt; return what is shown up to the next prompt."""
        await self.asks(label)
        self.type(line)
        typed = f"{label} › {line}"
        await self.until(lambda: typed in self.lines[-1:], repr(typed))
        self.type(ENTER)
        await self.asks(label)
        _, _, shown = self.text.rpartition(typed)
        return shown.removesuffix(f"{label} ›").strip("\n")

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
        text = self._decoder.decode(data)
        self.raw += text
        self._picture.feed(text)
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
    screen = Terminal(process, ours, Emulator(rows, columns))
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
