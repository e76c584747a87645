"""When hooks have ended that no client sees: those of a run's beginning, those behind a turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatrun.engine.hooks import BOOT, PRELOAD
from chatrun.store.base import OutWrite
from chatrun.worker.protocol import Report, RunEnded, Write

if TYPE_CHECKING:
    from chatrun.store.base import Session
    from chatrun.testing.waiting import Signal
    from chatrun.worker.pool import Worker
    from chatrun.worker.protocol import Message


class Settling:
    """Hears what workers say of one session, before the server does."""

    def __init__(self, session: Session, signal: Signal) -> None:
        self._session = session
        self._signal = signal
        self._consumed = session.in_cursor
        self._unsettled = range(0)
        """The `in` records of a turn that has ended and whose hooks may still run."""
        self._boot_hooks = 0
        """Hooks of a run's beginning that have ended."""
        self._has_ended = False
        """Whether any run has."""

    @property
    def hooks_run(self) -> bool:
        """Whether hooks behind a turn may still run."""
        return bool(self._unsettled)

    async def settled(self, seq: int) -> None:
        """Wait until the hooks of the turn that answered the `in` record `seq` have ended.

        The turn itself has ended. One that the server ended has no hooks left.

        Raises:
            TimeoutError: They run for longer than 20 seconds.
        """
        await self._signal.until(
            lambda: seq not in self._unsettled, what="the end of the hooks behind the turn"
        )

    async def booted(self, hooks: int) -> None:
        """Wait until so many hooks of a run's beginning have ended, or the run itself.

        Raises:
            TimeoutError: They run for longer than 20 seconds.
        """
        await self._signal.until(
            lambda: self._boot_hooks >= hooks or self._has_ended,
            what="the end of the hooks that begin the run",
        )

    def hear(self, worker: Worker, message: Message) -> None:
        """Take note of what a worker says."""
        match message:
            case Write(run, OutWrite(ends_turn=True, in_cursor=int(cursor))):
                if self._is_ours(worker, run):
                    self._unsettled = range(min(self._consumed, cursor - 1) + 1, cursor + 1)
                    self._consumed = max(self._consumed, cursor)
            case RunEnded(run) if self._is_ours(worker, run):
                self._has_ended = True
                self.forget()
            case Report({"event": "hook-ended", "chat_id": self._session.key, "name": name}):
                self._boot_hooks += name in (BOOT.name, PRELOAD.name)
            case Report({"event": "turn-settled", "chat_id": self._session.key}):
                self.forget()
            case _:
                return
        self._signal.tell()

    def forget(self) -> None:
        """Take it that no hook runs any more."""
        self._unsettled = range(0)
        self._signal.tell()

    def _is_ours(self, worker: Worker, run: int) -> bool:
        served = worker.runs.get(run)
        return served is not None and served.session_id == self._session.id
