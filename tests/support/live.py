"""The live side of sessions over worker processes, without HTTP."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatrun.server.live import Live
from chatrun.store.base import NewSession
from chatrun.store.memory import MemoryStore
from chatrun.testing import Harness
from chatrun.worker.launch import launch_process
from chatrun.worker.pool import Pool
from chatrun.worker.protocol import Configure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chatrun.store.base import Store


@dataclass
class Served:
    """A project served by worker processes."""

    live: Live
    pool: Pool
    reports: list[dict[str, Any]]

    async def chat(self, task_id: str, chat_id: str = "c") -> Harness:
        """Return a chat with a task of the project."""
        new = NewSession(task_id=task_id, external_id=chat_id)
        session, _ = await self.live.store.create_session(new)
        return Harness(self.live, session, client_data=None)


@asynccontextmanager
async def served_project(
    root: Path, *, workers: int = 1, store: Store | None = None
) -> AsyncIterator[Served]:
    """Serve the tasks in `root` with this many worker processes."""
    reports: list[dict[str, Any]] = []
    async with asyncio.TaskGroup() as group:
        live = Live(
            store if store is not None else MemoryStore(),
            group,
            on_report=lambda event: reports.append(dict(event)),
        )
        pool = Pool(
            group,
            launch_process,
            Configure(root=str(root), show_errors=True),
            size=workers,
            on_message=live.on_message,
            on_gone=live.on_gone,
            on_ready=live.on_ready,
        )
        live.use(pool)
        await pool.start()
        pool.fill()
        try:
            yield Served(live, pool, reports)
        finally:
            await pool.aclose()
