"""Runs a command of a skill, and makes sure that it ends with the call."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

STREAM_LIMIT_BYTES: Final = 64 * 1024
"""How much of each output stream is kept."""
CLOSE_S: Final = 0.8
"""How long a killed command may take to be gone; less than a stopped turn gives its tools."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What came of a command."""

    exit_code: int
    """128 and the signal's number for one that was killed, as shells say it."""
    stdout: str
    stderr: str


async def run_command(command: str, folder: Path) -> CommandResult:
    """Run `command` with bash in `folder` and return what came of it.

    It gets this process's environment without chatrun's own settings, and no input. When it ends,
    or the caller is cancelled, everything that it started ends with it, but for processes that
    began a session of their own.

    Raises:
        OSError: It cannot be started.
    """
    transport, output = await asyncio.get_running_loop().subprocess_exec(
        _Output,
        *("bash", "-c", command),
        stdin=asyncio.subprocess.DEVNULL,
        cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith("CHATRUN_")},
        start_new_session=True,
    )
    try:
        await output.exited.wait()
    finally:
        await _end(transport, output)
    code = transport.get_returncode()
    assert code is not None
    return CommandResult(code if code >= 0 else 128 - code, output.text(1), output.text(2))


async def _end(transport: asyncio.SubprocessTransport, output: _Output) -> None:
    """Kill what is left of a command, and take what is left of its output."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), signal.SIGKILL)  # the leader of its session
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await output.closed.wait()
    finally:
        transport.close()


class _Output(asyncio.SubprocessProtocol):
    """Keeps the beginning of each stream, and counts the rest.

    A protocol and not `asyncio.subprocess.Process`: when that says that a process has exited
    differs between versions of Python, and for some it is only once the pipes are closed.
    """

    def __init__(self) -> None:
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()
        """Set when it has exited and nobody has its pipes open any more."""
        self._kept = {1: bytearray(), 2: bytearray()}
        self._dropped = {1: 0, 2: 0}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what came on a stream; asyncio calls this."""
        room = STREAM_LIMIT_BYTES - len(self._kept[fd])
        self._kept[fd] += data[:room]
        self._dropped[fd] += max(len(data) - room, 0)

    def process_exited(self) -> None:
        """Take note that it has exited; asyncio calls this."""
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that its pipes are closed; asyncio calls this."""
        self.closed.set()

    def text(self, fd: int) -> str:
        """Return what came on a stream."""
        text = self._kept[fd].decode("utf-8", "replace")
        dropped = self._dropped[fd]
        return f"{text}\n…[truncated {dropped} bytes]" if dropped else text
