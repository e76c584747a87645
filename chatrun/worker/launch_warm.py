"""Starts workers from a warm parent where that is safe, and cold where it is not."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.worker.launch import how_it_ended, launch_process, worker_command
from chatrun.worker.link import open_socket_link
from chatrun.worker.warm import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chatrun.worker.launch import Launched
    from chatrun.worker.link import Link, OnClosed, OnFrame

logger = logging.getLogger("chatrun.warm")

FORK_LIMIT_S = 2.0
WARM_LIMIT_S = 60.0
MODULES_PER_MESSAGE = 200
WORTHWHILE = 20
"""A new parent imports everything again; so few modules are quicker imported by each worker."""
CAN_FORK = sys.platform == "linux"
"""macOS's own libraries do not survive a fork; Windows has none."""


class WarmLauncher:
    """A `Launch`. Until `warm` was called it starts workers cold; so it does where forking fails.

    Close it behind the last worker.
    """

    def __init__(self) -> None:
        self._parent: _Parent | None = None
        self._started: list[_Parent] = []
        self._order: tuple[str, ...] = ()
        self._warming = asyncio.Lock()

    async def __call__(self, on_frame: OnFrame, on_closed: OnClosed) -> Launched:
        """Start a worker."""
        parent = self._parent
        if parent is not None:
            try:
                return await parent.fork(on_frame, on_closed)
            except (OSError, TimeoutError) as exc:
                logger.warning("cannot fork a worker, so it starts cold: %s", exc)
                self._drop(parent)
        return await launch_process(on_frame, on_closed)

    async def warm(self, modules: Iterable[str]) -> bool:
        """Have `modules` imported ahead; tell whether workers start from them from now on.

        What was imported before stays; nothing happens for the sake of a few modules.
        """
        if not CAN_FORK:
            return False
        async with self._warming:
            wanted = tuple(dict.fromkeys((*self._order, *modules)))
            if self._parent is not None and len(wanted) - len(self._order) < WORTHWHILE:
                return True
            parent = await _Parent.start()
            self._started.append(parent)
            if not await parent.warm(list(wanted)):
                logger.info("an import starts threads, so workers start cold")
                parent.close()
                return False
            old, self._parent, self._order = self._parent, parent, wanted
            if old is not None:
                old.retire()
            return True

    def _drop(self, parent: _Parent) -> None:
        if self._parent is parent:
            self._parent = None
        parent.close()

    async def aclose(self) -> None:
        """End every warm parent; their workers must have ended."""
        async with self._warming:
            self._parent = None
            for parent in self._started:
                await parent.end()


class _Parent:
    """A warm parent, as the server sees it."""

    def __init__(self, control: socket.socket, process: asyncio.subprocess.Process) -> None:
        self._control = control
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._forking: dict[int, asyncio.Future[int]] = {}
        self._warming: asyncio.Future[bool] | None = None
        self._children: dict[int, asyncio.Future[int]] = {}
        self._retired = False
        self._loop.add_reader(control, self._readable)

    @classmethod
    async def start(cls) -> _Parent:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = await worker_command("--warm", theirs)
        ours.setblocking(False)
        return cls(ours, process)

    async def warm(self, modules: list[str]) -> bool:
        """Import `modules` there; False when workers must not be forked from it."""
        try:
            async with asyncio.timeout(WARM_LIMIT_S):
                for start in range(0, len(modules), MODULES_PER_MESSAGE):
                    self._warming = self._loop.create_future()
                    batch = modules[start : start + MODULES_PER_MESSAGE]
                    self._control.send(orjson.dumps({"import": batch}))
                    if not await self._warming:
                        return False
        except (OSError, TimeoutError):
            return False
        return True

    async def fork(self, on_frame: OnFrame, on_closed: OnClosed) -> Launched:
        """Fork a worker.

        Raises:
            OSError, TimeoutError: The parent does not answer.
        """
        number = next(self._numbers)
        forked = self._forking[number] = self._loop.create_future()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                message = orjson.dumps({"fork": number})
                socket.send_fds(self._control, [message], [theirs.fileno()])
                async with asyncio.timeout(FORK_LIMIT_S):
                    pid = await forked
            except BaseException:
                ours.close()
                raise
            finally:
                del self._forking[number]
        ours.setblocking(False)
        link = await open_socket_link(ours, on_frame, on_closed)
        return _Forked(link, pid, self._children[pid])

    def retire(self) -> None:
        """End once the last worker has."""
        self._retired = True
        if not any(not ended.done() for ended in self._children.values()):
            self.close()

    def close(self) -> None:
        """Close the control socket, whereupon the process ends; its workers live on."""
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control)
            self._control.close()
        for future in (*self._forking.values(), self._warming):
            if future is not None and not future.done():
                future.set_exception(OSError("the warm parent has ended"))
        for ended in self._children.values():
            if not ended.done():
                ended.set_result(0)

    async def end(self) -> None:
        """Close, and wait until the process has gone; one that hangs in an import is killed."""
        self.close()
        try:
            async with asyncio.timeout(FORK_LIMIT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _readable(self) -> None:
        try:
            data = self._control.recv(MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._take(orjson.loads(data))

    def _take(self, message: dict[str, Any]) -> None:
        if "forked" in message:
            self._children[message["pid"]] = self._loop.create_future()
            future = self._forking.get(message["forked"])
            if future is not None and not future.done():
                future.set_result(message["pid"])
        elif "ended" in message:
            ended = self._children.pop(message["ended"], None)
            if ended is not None and not ended.done():
                ended.set_result(message["code"])
            if self._retired and not self._children:
                self.close()
        elif self._warming is not None and not self._warming.done():
            self._warming.set_result(message["warm"])


class _Forked:
    """A worker that a warm parent has forked."""

    def __init__(self, link: Link, pid: int, code: asyncio.Future[int]) -> None:
        self.link = link
        self._pid = pid
        self._code = code

    def kill(self) -> None:
        """End it at once; its number is not given to others before its end was told."""
        if not self._code.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    async def ended(self) -> str:
        """Wait until it is gone and return how it ended."""
        return how_it_ended(await asyncio.shield(self._code))
