"""The few asyncio tools beyond `TaskGroup` and `timeout`."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

logger = logging.getLogger("chatrun.aio")

_abandoned: set[asyncio.Task[Any]] = set()
"""Tasks that swallowed their cancellation. asyncio cannot end them; a reference keeps the
garbage collector from complaining about them instead."""


async def end_within(task: asyncio.Task[Any], *, grace_s: float, what: str) -> bool:
    """Cancel `task` and wait until it is over, `grace_s` seconds at most; tell whether it is.

    A task that swallows its cancellation is logged as `what` and left to itself. When the
    caller is cancelled meanwhile, the task has been cancelled all the same.
    """
    task.cancel()
    try:
        await asyncio.wait({task}, timeout=grace_s)
    finally:
        if not task.done():
            logger.warning("%s ignores its cancellation and is left behind", what)
            _abandoned.add(task)
            task.add_done_callback(_buried)
    return task.done()


def _buried(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # marks it as seen


async def close_quietly(closing: Awaitable[object], *, within_s: float, what: str) -> None:
    """Await `closing` for `within_s` seconds at most; log what it raises instead of raising it.

    For clean-up that must end and must not replace what is already being raised.
    """
    try:
        async with asyncio.timeout(within_s):
            await closing
    except Exception as exc:
        logger.warning("cannot close %s: %s", what, exc or type(exc).__name__)
