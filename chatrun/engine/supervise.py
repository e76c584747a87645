"""Watches over what answers a turn: a stop, the time limit, and the patience of clients."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from chatrun.aio import end_within
from chatrun.engine.outcome import Failed, Finished, Outcome, Stopped, TimedOut
from chatrun.engine.turn import UpgradeWanted
from chatrun.errors import StoreError, TaskFailed
from chatrun.wire.records import KEEP_ALIVE, control_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chatrun.engine.answer import Answer
    from chatrun.engine.run import Run

logger = logging.getLogger("chatrun.turn")

STOP_GRACE_S = 1.2
"""How long code may take to end once its turn is stopped; then it is left behind."""
KEEP_ALIVE_S = 30.0
"""Clients give up on a stream without a record after six minutes (wire.md §8.1)."""


class Marks(Protocol):
    """Where user code reads why its work is being ended."""

    stopped: bool
    cancelled: bool


class Supervisor:
    """Watches over one turn of `run`, from the moment it is made."""

    def __init__(self, run: Run, answer: Answer, marks: Marks) -> None:
        self._run, self._answer, self._marks = run, answer, marks
        self._limit_s = run.turn_timeout_s
        self._ends_at = time.monotonic() + self._limit_s
        self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        run.mailbox.when_stopped(partial(_resolve, self._stop))

    @property
    def stop(self) -> asyncio.Future[None]:
        """Done once the turn is stopped."""
        return self._stop

    async def outcome_of(self, work: Callable[[], Awaitable[None]]) -> Outcome:
        """Do `work`, a part of the turn, and return how it ended; what it raises is a failure.

        A stop and the time limit cancel it; stopped before it begins, not a line of it runs.

        Raises:
            StoreError: The run has lost its session.
            UpgradeWanted: The turn is to be answered by newer code.
        """
        if self._stop.done():
            self._marks.stopped = True
            return Stopped()
        body = asyncio.create_task(self._guarded(work), name=f"turn of {self._run.task!r}")
        try:
            return await self._outcome(body)
        except asyncio.CancelledError:
            self._marks.stopped, self._marks.cancelled = False, True
            await end_within(body, grace_s=STOP_GRACE_S, what=f"{self._run.task!r}")
            raise

    async def interruption(self) -> Outcome:
        """Wait for the stop of the turn or for its time limit, whichever is first."""
        return await self._outcome(asyncio.get_running_loop().create_future())

    async def run_out(self) -> Outcome:
        """Wait for the time limit alone."""
        await asyncio.sleep(self._ends_at - time.monotonic())
        return TimedOut(self._limit_s)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> Outcome:
        """Run the user's code; whatever it raises becomes the outcome."""
        task = self._run.task
        try:
            await work()
        except (asyncio.CancelledError, StoreError, UpgradeWanted):
            raise
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as exc:
            return Failed(TaskFailed(f"{task!r} raised {type(exc).__name__}({exc})"))
        except Exception as exc:
            logger.debug("%r failed", task, exc_info=True)
            return Failed(exc)
        return Finished()

    async def _outcome(self, body: asyncio.Future[Outcome]) -> Outcome:
        """Wait for the work, a stop or the time limit, whichever is first."""
        stop, task = self._stop, self._run.task
        while True:
            wait_s = min(KEEP_ALIVE_S, self._ends_at - time.monotonic())
            either: set[asyncio.Future[object]] = {body, stop}  # type: ignore[arg-type]
            await asyncio.wait(either, timeout=max(wait_s, 0), return_when=asyncio.FIRST_COMPLETED)
            if body.done():
                return _result(body, task)
            if stop.done() or time.monotonic() >= self._ends_at:
                self._marks.stopped = stop.done()
                if isinstance(body, asyncio.Task):
                    await end_within(body, grace_s=STOP_GRACE_S, what=f"{task!r}")
                return Stopped() if stop.done() else TimedOut(self._limit_s)
            self._keep_alive()

    def _keep_alive(self) -> None:
        """Show clients of a silent turn that it is alive."""
        if time.monotonic() - self._answer.last_write >= KEEP_ALIVE_S:
            self._run.port.append(control_line(KEEP_ALIVE))


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _result(body: asyncio.Future[Outcome], task: object) -> Outcome:
    """Return the outcome of a body that has ended by itself."""
    if body.cancelled():
        return Failed(TaskFailed(f"{task!r} cancelled itself"))
    return body.result()
