"""Work that a turn has started beside its answer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

logger = logging.getLogger("chatrun.deferred")

BEFORE_COMPLETE_S = 5.0
"""How long a turn waits for it before it is completed."""
BEFORE_OUTPUT_S = 10.0
"""How long it may hold back the answer."""

_running: set[asyncio.Task[Any]] = set()
"""Keeps what runs on behind its turn from being collected."""


class Deferred:
    """The deferred work of one turn."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """Start `work`; what it raises is logged and harms nothing."""
        task = asyncio.create_task(_quietly(work), name="deferred work")
        for group in (self._tasks, _running):
            group.add(task)
            task.add_done_callback(group.discard)
        return task

    async def settle(self) -> None:
        """Wait until all of it is done, five seconds at most; what is late runs on."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=BEFORE_COMPLETE_S)
        if late:
            logger.warning("a turn is completed though %d deferred pieces of work run", len(late))

    def gate(
        self,
        work: Coroutine[Any, Any, object],
        *,
        hold: Callable[[], None],
        release: Callable[[], None],
    ) -> None:
        """Start `work` and hold the answer back until it is done, ten seconds at most."""

        def done(_: asyncio.Task[Any]) -> None:
            timer.cancel()
            release()

        hold()
        timer = asyncio.get_running_loop().call_later(BEFORE_OUTPUT_S, release)
        self.add(work).add_done_callback(done)


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except Exception:
        logger.exception("deferred work failed")
