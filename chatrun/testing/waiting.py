"""Waiting for what must come, and for no longer than a test should hang."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

WAIT_S = 20.0
"""How long a test waits for something that must come."""


class Signal:
    """Wakes those who wait whenever something has changed."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    @property
    def next_change(self) -> asyncio.Event:
        """The event of the next change; take it before looking, so that none is missed."""
        return self._changed

    def tell(self) -> None:
        """Wake everybody."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def until(self, holds: Callable[[], bool], *, what: str) -> None:
        """Wait until `holds()`, which can become true by a change only.

        Raises:
            TimeoutError: It was not within 20 seconds; the message says `what` did not happen.
        """
        async with waiting_for(what):
            while not holds():
                await self._changed.wait()


@asynccontextmanager
async def waiting_for(what: str, *, wait_s: float = WAIT_S) -> AsyncIterator[None]:
    """Give the block `wait_s` seconds.

    Raises:
        TimeoutError: It took longer; the message says `what` did not happen.
    """
    limit = asyncio.timeout(wait_s)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"waited {wait_s:g} s, and {what} did not happen") from None
        raise


@asynccontextmanager
async def plain_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a `TaskGroup`; what the block raises comes out as it is, not in an exception group.

    So a failing `assert` within it reads as one, and a skip is a skip.
    """
    raised: BaseException | None = None
    failures: BaseExceptionGroup[BaseException] | None = None
    try:
        async with asyncio.TaskGroup() as group:
            try:
                yield group
            except BaseException as exc:
                raised = exc
                raise
    except BaseExceptionGroup as exc:
        failures = exc
    # Raised out here, where nothing is being handled, both keep their own context.
    if raised is not None and not isinstance(raised, asyncio.CancelledError):
        raise raised
    if failures is not None:
        raise failures
