"""The live side of sessions on the running loop, with a worker that has given tasks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from chatrun.server.live import Live
from chatrun.store.memory import MemoryStore
from chatrun.testing.waiting import plain_group
from chatrun.worker.launch import launch_in_process
from chatrun.worker.loader import Loaded
from chatrun.worker.pool import Pool
from chatrun.worker.protocol import Configure, RunEnded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from chatrun.engine.task import ChatTask
    from chatrun.store.base import Store
    from chatrun.worker.pool import Worker
    from chatrun.worker.protocol import Message


@asynccontextmanager
async def serve_tasks(
    *tasks: ChatTask[Any], store: Store | None = None, show_errors: bool = True
) -> AsyncIterator[Live]:
    """Yield the live side of sessions with one worker on the running loop that has `tasks`.

    The store, one in memory unless given, is closed at the end.
    """
    store = store if store is not None else MemoryStore()
    async with plain_group() as group:
        server = Server(tasks, store, show_errors=show_errors)
        try:
            yield await server.start(group)
        finally:
            await server.stop()
            await store.aclose()


class Server:
    """A server without HTTP: its live side and one worker, as often as it is started.

    `hear` is told first of what the worker says, and that its runs have ended when it dies;
    `beside` runs along from before the first turn.
    """

    def __init__(
        self,
        tasks: tuple[ChatTask[Any], ...],
        store: Store,
        *,
        show_errors: bool,
        hear: Callable[[Worker, Message], None] = lambda _worker, _message: None,
        beside: Callable[[Live], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.store = store
        self._loaded = Loaded(tasks={task.id: task for task in tasks})
        self._show_errors = show_errors
        self._hear = hear
        self._beside = beside
        self._live: Live | None = None
        self._work: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    @property
    def live(self) -> Live:
        """The live side that was started last."""
        assert self._live is not None
        return self._live

    async def start(self, group: asyncio.TaskGroup) -> Live:
        """Start it in `group`; what it finds in the store is taken up."""
        self._ending = asyncio.Event()
        started: asyncio.Future[Live] = asyncio.get_running_loop().create_future()
        self._work = group.create_task(self._serve(started), name="test server")
        self._live = await started
        return self._live

    async def stop(self) -> None:
        """End it as if it had been killed: what runs is cut off where it is.

        Only the user's own `finally` blocks still run, since the loop lives on.
        """
        self._ending.set()
        if self._work is not None:
            await asyncio.wait({self._work})

    async def _serve(self, started: asyncio.Future[Live]) -> None:
        async with asyncio.TaskGroup() as group:
            live = Live(self.store, group)
            pool = self._pool(group, live)
            live.use(pool)
            beside = group.create_task(self._beside(live)) if self._beside is not None else None
            try:
                await pool.start()
                await live.recover()
                started.set_result(live)
                await self._ending.wait()
            finally:
                self._ending.set()
                if beside is not None:
                    beside.cancel()
                await pool.aclose()

    def _pool(self, group: asyncio.TaskGroup, live: Live) -> Pool:
        def heard(worker: Worker, message: Message) -> None:
            self._hear(worker, message)
            live.on_message(worker, message)

        def gone(worker: Worker) -> None:
            if self._ending.is_set():
                return  # who was killed tidies nothing up
            for run in worker.runs:
                self._hear(worker, RunEnded(run, "gone"))
            live.on_gone(worker)

        return Pool(
            group,
            launch_in_process(self._loaded),
            Configure(root=".", show_errors=self._show_errors),
            size=1,
            on_message=heard,
            on_gone=gone,
            on_ready=live.on_ready,
        )
