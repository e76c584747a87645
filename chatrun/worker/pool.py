"""The pool: starts workers, shares out the work, replaces, drains and buries them.

A *generation* is the workers of one version of the user's code. New runs go to the current one; an
older one is asked to leave and lives until its turns have ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chatrun.errors import WorkerFailed
from chatrun.worker.protocol import Leave, Message, Ping, Pong, Ready, from_frame, to_frame

if TYPE_CHECKING:
    from chatrun.worker.launch import Launch, Launched
    from chatrun.worker.protocol import Configure, TaskInfo, ToWorker

logger = logging.getLogger("chatrun.pool")

READY_LIMIT_S = 120.0
"""How long the user's modules may take to import."""
PING_S = 1.0
BLOCK_LIMIT_S = 30.0
"""A worker that does not answer for so long is killed; its sessions go on in another."""
RESTART_PAUSE_S = 1.0
"""Between the deaths of workers that die as soon as they start."""


class Worker:
    """One worker, as the server sees it."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.runs: dict[int, Any] = {}
        """What it serves, by the number of the run."""
        self.ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self.leaving = False
        """Whether it takes no more runs and ends with its last one."""
        self.gone = False
        self.why_gone = ""
        self._launched: Launched | None = None
        self._pinged_at: float | None = None
        self._latency_s = 0.0
        self._pings = 0

    @property
    def tasks(self) -> Mapping[str, TaskInfo]:
        """The tasks it serves, empty until it is ready."""
        if not self.ready.done() or self.ready.cancelled() or self.ready.exception() is not None:
            return {}
        return {task.id: task for task in self.ready.result().tasks}

    def latency_s(self) -> float:
        """Return how long its loop takes to answer, as far as it is known now."""
        waiting = time.monotonic() - self._pinged_at if self._pinged_at is not None else 0.0
        return max(self._latency_s, waiting)

    def send(self, message: ToWorker) -> None:
        """Send `message`; nothing happens when the worker has gone."""
        if self._launched is not None:
            self._launched.link.send(*to_frame(message))

    def kill(self) -> None:
        """End it at once."""
        if self._launched is not None:
            self._launched.kill()

    def leave(self) -> None:
        """Take no more runs, and end with the last turn."""
        if not self.leaving:
            self.leaving = True
            self.send(Leave())
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """End it when it is leaving and serves nothing any more."""
        if self.leaving and not self.runs and self._launched is not None:
            self._launched.link.close()

    def ping(self) -> None:
        """Ask for a sign of life, unless an earlier one is still awaited."""
        if self._pinged_at is None:
            self._pings += 1
            self._pinged_at = time.monotonic()
            self.send(Ping(self._pings))

    def ponged(self) -> None:
        """Take note of its sign of life."""
        if self._pinged_at is not None:
            self._latency_s = time.monotonic() - self._pinged_at
            self._pinged_at = None


OnMessage = Callable[[Worker, Message], None]
OnGone = Callable[[Worker], None]
OnReady = Callable[[Worker], None]


class Pool:
    """The workers of a server.

    `on_message` gets what workers say of their runs, `on_gone` each worker that has ended with
    runs or without, `on_ready` each that can take runs.
    """

    def __init__(
        self,
        group: asyncio.TaskGroup,
        launch: Launch,
        configure: Configure,
        *,
        size: int = 2,
        on_message: OnMessage,
        on_gone: OnGone,
        on_ready: OnReady,
    ) -> None:
        self._group = group
        self._launch = launch
        self._configure = configure
        self._size = size
        self._on_message, self._on_gone, self._on_ready = on_message, on_gone, on_ready
        self._workers: list[Worker] = []
        self._burials: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._closing = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def generation(self) -> int:
        """The version of the user's code that new runs get, counted from 1."""
        return self._generation

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Every worker that has not gone."""
        return tuple(self._workers)

    def announce(self, *, url: str, secret: str) -> None:
        """Tell the workers that are started from now on where the server answers."""
        self._configure = replace(self._configure, url=url, secret=secret)

    def tasks(self) -> Mapping[str, TaskInfo]:
        """Return what the current generation serves."""
        for worker in self._current():
            if worker.tasks:
                return worker.tasks
        return {}

    def pick(self, task_id: str) -> Worker | None:
        """Return the worker that answers fastest and has the task, None when none has."""
        able = [worker for worker in self._current() if task_id in worker.tasks]
        # Latencies within 10 ms of each other are equal; the fewer runs decides then.
        return min(able, key=lambda w: (int(w.latency_s() * 100), len(w.runs)), default=None)

    def _current(self) -> list[Worker]:
        return [w for w in self._workers if w.generation == self._generation and not w.leaving]

    async def start(self) -> Ready:
        """Start the first worker; return what it says of the user's code.

        `fill` starts the others. Raises what `replace` raises.
        """
        self._keeper = self._group.create_task(self._keep(), name="pool keeper")
        return await self.replace(accept_broken=True)

    async def replace(self, *, accept_broken: bool = False) -> Ready:
        """Load the user's code as it stands now; new runs go to it once it is ready.

        When a file of it cannot be imported, nothing changes, unless `accept_broken`; the
        answer says which. Old workers end with their last turn.

        Raises:
            WorkerFailed: The new worker ended before it was ready; nothing changed.
        """
        first = await self._new_worker(self._generation + 1)
        try:
            async with asyncio.timeout(READY_LIMIT_S):
                ready = await asyncio.shield(first.ready)
        except TimeoutError:
            first.kill()
            raise WorkerFailed(
                f"importing the tasks took longer than {READY_LIMIT_S:g} s and was ended"
            ) from None
        if ready.broken and not accept_broken:
            first.leave()
            return ready
        self._generation = first.generation
        for worker in self._workers:
            if worker.generation < self._generation:
                worker.leave()
        self._on_ready(first)
        return ready

    def fill(self) -> None:
        """Start what the current generation lacks of its size, behind the work that goes on."""
        for _ in range(self._size - len(self._current())):
            self._group.create_task(self._add_worker(), name="add worker")

    async def renew_idle(self) -> None:
        """Replace each worker that serves nothing by one that is started anew."""
        for worker in [worker for worker in self._current() if not worker.runs]:
            await self._add_worker()
            if not worker.runs:
                worker.leave()

    async def aclose(self) -> None:
        """End every worker and wait until it is gone."""
        self._closing = True
        if self._keeper is not None:
            self._keeper.cancel()
        for worker in list(self._workers):
            worker.leaving = True
            if worker._launched is not None:
                worker._launched.link.close()
        await self._wait_gone(within_s=3.0)
        for worker in list(self._workers):
            worker.kill()
        await self._wait_gone(within_s=3.0)

    async def _wait_gone(self, *, within_s: float) -> None:
        if self._burials:
            await asyncio.wait(self._burials, timeout=within_s)

    # --- starting and burying ---------------------------------------------------------------

    async def _add_worker(self) -> None:
        """Start one more worker of the current generation."""
        if self._closing:
            return
        generation = self._generation
        worker = await self._new_worker(generation)
        try:
            await asyncio.shield(worker.ready)
        except WorkerFailed as exc:
            logger.warning("%s", exc)
            return
        if generation == self._generation:
            self._on_ready(worker)
        else:
            worker.leave()

    async def _new_worker(self, generation: int) -> Worker:
        worker = Worker(generation)
        worker.ready.add_done_callback(lambda done: done.cancelled() or done.exception())
        worker._launched = await self._launch(
            lambda header, body: self._arrived(worker, from_frame(header, body)),
            lambda: None,
        )
        self._workers.append(worker)
        burial = self._group.create_task(self._bury(worker), name="bury worker")
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)
        worker.send(self._configure)
        return worker

    def _arrived(self, worker: Worker, message: Message) -> None:
        match message:
            case Ready():
                if not worker.ready.done():
                    worker.ready.set_result(message)
            case Pong():
                worker.ponged()
            case _:
                self._on_message(worker, message)

    async def _bury(self, worker: Worker) -> None:
        """Wait for the worker's end, tell of it, and start another in its place."""
        assert worker._launched is not None
        started = time.monotonic()
        worker.why_gone = await worker._launched.ended()
        worker.gone = True
        worker._launched.link.close()
        self._workers.remove(worker)
        if not worker.ready.done():
            worker.ready.set_exception(
                WorkerFailed(f"a worker {worker.why_gone} while it imported the tasks")
            )
        self._on_gone(worker)
        if self._closing or worker.leaving or worker.generation != self._generation:
            return
        if time.monotonic() - started < RESTART_PAUSE_S:
            await asyncio.sleep(RESTART_PAUSE_S)
        if not self._closing and worker.generation == self._generation:
            await self._add_worker()

    async def _keep(self) -> None:
        """Ask every worker for signs of life; kill those that give none."""
        while True:
            await asyncio.sleep(PING_S)
            for worker in self._workers:
                if worker.ready.done():
                    worker.ping()
                if worker.latency_s() > BLOCK_LIMIT_S:
                    logger.warning("a worker has not answered for %g s: killed", BLOCK_LIMIT_S)
                    worker.kill()
