"""The server's side of a run: what its worker writes goes to the store, then to the readers."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from chatrun.engine.recovery import closed_headers
from chatrun.errors import Fenced, StoreError, StoreUnavailable
from chatrun.wire.inputs import Stop, parse_input, wakes
from chatrun.wire.records import control_line, parse_control
from chatrun.worker.protocol import (
    Acknowledge,
    Committed,
    Deliver,
    Leave,
    RunLost,
    StartRun,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatrun.server.tails import Tail
    from chatrun.store.base import OutWrite, Session, Store
    from chatrun.wire.records import InRecord, OutBatch
    from chatrun.worker.pool import Worker
    from chatrun.worker.protocol import Write

logger = logging.getLogger("chatrun.runs")

ACKNOWLEDGE_BYTES = 64 * 1024
"""A worker is told of so much that became durable, and of every commit."""


class ServedRun:
    """A run that a worker serves for `session`, which it has claimed."""

    def __init__(
        self,
        session: Session,
        worker: Worker,
        *,
        number: int,
        run_id: str,
        store: Store,
        tail: Tail,
        on_lost: Callable[[ServedRun, StoreError], None],
    ) -> None:
        self.session_id = session.id
        self.epoch = session.epoch
        self.worker = worker
        self.number = number
        self.run_id = run_id
        self.delivered = session.in_cursor
        """The last `in` record that the worker was given."""
        self.turn_open = False
        """Whether a turn has begun and is not complete."""
        self.consumed = session.in_cursor
        self.awaited = -1
        """The last record given to the worker that wants to be answered."""
        self.stop_timer: asyncio.TimerHandle | None = None
        self._store = store
        self._tail = tail
        self._on_lost = on_lost
        self._unacknowledged = 0
        self._is_lost = False
        self._closed: Mapping[str, str] = {}
        """What a turn's end says of the session since that was closed."""

    def start(self, message: StartRun) -> None:
        """Tell the worker to begin."""
        self.worker.send(message)
        self._note(message.records)

    def deliver(self, records: tuple[InRecord, ...]) -> None:
        """Hand records on to the worker, each once."""
        fresh = tuple(record for record in records if record.seq > self.delivered)
        self._note(fresh)
        if fresh:
            self.worker.send(Deliver(self.number, fresh))

    def _note(self, records: tuple[InRecord, ...]) -> None:
        for record in records:
            self.delivered = record.seq
            if wakes(record.body):
                self.awaited = record.seq

    @property
    def is_busy(self) -> bool:
        """Whether a turn runs or a message waits for one."""
        return self.turn_open or self.awaited > self.consumed

    def leave(self, *, stop: bool = False) -> None:
        """Ask the run to end after its turn, with `stop` to end its turn as well."""
        self.worker.send(Leave(self.number, stop=stop))

    def close(self, *, reason: str | None) -> None:
        """Ask the run to end its turn and itself: the session was closed, for `reason`."""
        self._closed = closed_headers(reason)
        self.leave(stop=True)

    def forget_stop(self) -> None:
        """Give up waiting for a stop to take effect: it has, or nobody waits any more."""
        if self.stop_timer is not None:
            self.stop_timer.cancel()
            self.stop_timer = None

    def write(self, message: Write) -> None:
        """Put what the worker writes in line at the store; readers see it once it is durable."""
        if self._is_lost:
            return
        write = message.write
        if write.in_cursor is not None:
            self.consumed = max(self.consumed, write.in_cursor)
        self._note_turn(write)
        if write.ends_turn and self._closed:
            write = _with_headers(write, self._closed)
        size = sum(map(len, write.lines))
        durable = asyncio.ensure_future(self._store.write_out(self.session_id, self.epoch, write))
        durable.add_done_callback(lambda done: self._written(done, size=size, waits=message.waits))

    def _note_turn(self, write: OutWrite) -> None:
        if write.ends_turn:
            self.turn_open = False
            self.forget_stop()
        elif write.lines:
            self.turn_open = True  # outside of turns a run writes no records

    def _written(self, done: asyncio.Future[OutBatch], *, size: int, waits: bool) -> None:
        if done.cancelled():
            self._lose(StoreUnavailable("the store is closing"))
            return
        error = done.exception()
        if isinstance(error, StoreError):
            self._lose(error)
            return
        if error is not None:
            logger.error("the store failed", exc_info=error)
            self._lose(StoreUnavailable(f"the store failed: {error}"))
            return
        batch = done.result()
        self._tail.push(batch)
        if waits:
            self._unacknowledged = 0
            self.worker.send(Committed(self.number, batch.last))
            return
        self._unacknowledged += size
        if self._unacknowledged >= ACKNOWLEDGE_BYTES:
            self.worker.send(Acknowledge(self.number, self._unacknowledged))
            self._unacknowledged = 0

    def _lose(self, error: StoreError) -> None:
        """Stop taking writes: what came behind a failed one must not be stored without it."""
        if self._is_lost:
            return
        self.fence(error)
        self._on_lost(self, error)

    def fence(self, error: StoreError | None = None) -> None:
        """Take nothing more from the worker's run, and tell it so."""
        self._is_lost = True
        self.forget_stop()
        error = error if error is not None else Fenced("the session was taken over")
        self.worker.send(RunLost(self.number, error.code, str(error)[:1000]))


def _with_headers(write: OutWrite, headers: Mapping[str, str]) -> OutWrite:
    """Return a turn's end with more headers on its turn-complete record, the last one."""
    end = parse_control(write.lines[-1])
    line = control_line(end.subtype, {**end.headers, **headers})
    return replace(write, lines=(*write.lines[:-1], line))


def is_stop(body: str) -> bool:
    """Tell whether an `in` record is a stop."""
    return isinstance(parse_input(body), Stop)
