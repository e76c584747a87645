"""Starts workers: a process of their own each, or one on the server's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from chatrun.worker.host import WorkerHost
from chatrun.worker.link import Link, memory_links, open_socket_link

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chatrun.worker.link import OnClosed, OnFrame
    from chatrun.worker.loader import Loaded

    Launch = Callable[[OnFrame, OnClosed], Awaitable["Launched"]]


class Launched(Protocol):
    """A worker that was started."""

    link: Link

    def kill(self) -> None:
        """End it at once, whatever it does."""
        ...

    async def ended(self) -> str:
        """Wait until it is gone and return how it ended, for people."""
        ...


@dataclass(slots=True)
class _Process:
    link: Link
    process: asyncio.subprocess.Process

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def ended(self) -> str:
        return how_it_ended(await self.process.wait())


def how_it_ended(code: int) -> str:
    """Return what a process's exit code says, as the end of a sentence."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"exited with code {code}"


async def launch_process(on_frame: OnFrame, on_closed: OnClosed) -> Launched:
    """Start a worker process; its link is a socket pair that dies with either side."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await worker_command("", theirs)
    ours.setblocking(False)
    return _Process(await open_socket_link(ours, on_frame, on_closed), process)


async def worker_command(flag: str, theirs: socket.socket) -> asyncio.subprocess.Process:
    """Start `python -m chatrun.worker [flag] FD` with the socket `theirs`.

    What the user's code prints goes to this process's standard error, as far as it has one.
    """
    fd = theirs.fileno()
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "chatrun.worker"),  # -P: not whatever folder this is
        *([flag] if flag else []),
        str(fd),
        pass_fds=(fd,),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=2 if _has_stderr() else asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _has_stderr() -> bool:
    try:
        os.fstat(2)
    except OSError:
        return False
    return True


@dataclass(slots=True)
class _InProcess:
    link: Link
    host: WorkerHost

    def kill(self) -> None:
        self.link.close()

    async def ended(self) -> str:
        await self.host.closed.wait()
        await self.host.end()
        return "ended"


def launch_in_process(loaded: Loaded | None = None) -> Launch:
    """Return a launcher of workers on the running loop, over an in-memory link.

    With `loaded`, they serve these tasks instead of importing any.
    """

    async def launch(on_frame: OnFrame, on_closed: OnClosed) -> Launched:
        ours, theirs = memory_links()
        host = WorkerHost(loaded)
        ours.listen(on_frame, on_closed)
        theirs.listen(host.on_frame, host.on_closed)
        host.serve(theirs)
        return _InProcess(ours, host)

    return launch
