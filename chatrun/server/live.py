"""The live side of sessions: which run serves which, and who reads along.

Nothing is kept here of a session that nobody serves or reads. Whatever happens to a worker, a
session goes the same way: it is claimed anew, the turn that was left open is ended or begun again,
and a run is started if something waits on `in`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from chatrun.errors import ChatrunError, SessionBusy, StoreError, TaskNotFound
from chatrun.server.places import Place, Places
from chatrun.server.runs import ServedRun, is_stop
from chatrun.server.tails import Reader
from chatrun.server.takeover import finish_closed, message_waits, tidy, unread, write_beside
from chatrun.store.base import OutWrite
from chatrun.wire.ids import Cursor, new_id
from chatrun.wire.inputs import wakes
from chatrun.wire.records import (
    InRecord,
)
from chatrun.worker.protocol import Report, RunEnded, StartRun, Write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from chatrun.store.base import Appended, Session, Store
    from chatrun.wire.records import Line
    from chatrun.worker.pool import Pool, Worker
    from chatrun.worker.protocol import BrokenFile, Message, TaskInfo

logger = logging.getLogger("chatrun.live")

STOP_LIMIT_S = 2.0
"""A stopped turn whose worker has not ended it by then is ended without the worker."""

RESTARTED = "The server was restarted in the middle of this answer."


class Live:
    """All sessions' live side.

    `on_report` is told what workers report of turns.
    """

    def __init__(
        self,
        store: Store,
        group: asyncio.TaskGroup,
        *,
        on_report: Callable[[Mapping[str, object]], None] = lambda _event: None,
        stop_limit_s: float = STOP_LIMIT_S,
    ) -> None:
        self.store = store
        self.broken: Sequence[BrokenFile] = ()
        """What of the user's code, as it stands on disk, cannot be loaded."""
        self._stop_limit_s = stop_limit_s
        self._group = group
        self._on_report = on_report
        self._pool: Pool | None = None
        self._places = Places()
        self._numbers = itertools.count(1)
        self._unserved: dict[str, str] = {}
        """Sessions that wait for a worker with their task, and the task."""

    # --- what the server asks ---------------------------------------------------------------

    def use(self, pool: Pool) -> None:
        """Take workers from `pool`; called once, before anything else."""
        self._pool = pool

    @property
    def pool(self) -> Pool:
        """The pool of workers."""
        assert self._pool is not None
        return self._pool

    def tasks(self) -> Mapping[str, TaskInfo]:
        """Return the tasks that new runs are started of, by id."""
        return self.pool.tasks()

    def open_turns(self) -> int:
        """Return how many turns run now."""
        return sum(run.turn_open for run in self._places.runs())

    async def recover(self) -> None:
        """Take up what an earlier server left; called once, when workers are ready.

        Turns that were under way are ended or begun again, and what waits on `in` is answered.
        """
        for session_id in await self.store.unfinished_sessions():
            await self._revive(session_id, why=RESTARTED)

    async def append(self, session: Session, body: str, *, part_id: str) -> Appended:
        """Append a record to `in` and see to it that a run takes it.

        The record is durable when this returns. A record with a known `part_id` changes nothing.

        Raises:
            SessionClosed, SessionExpired: The session takes no more records.
            SessionBusy: It answers a message, and its task refuses another meanwhile.
            TaskNotFound: Its task was taken out of the code; nothing was stored.
            StoreUnavailable: Nothing was stored.
        """
        self._check_task(session)
        self._check_busy(session, body)
        appended = await self.store.append_in(session.id, body, part_id=part_id)
        place = self._places.get(session.id)
        if place is not None and place.run is not None and not place.lock.locked():
            await self._deliver(place.run, InRecord(appended.seq, _now_ms(), part_id, body))
        elif wakes(body) or place is not None:
            await self._ensure_run(session.id, wake=wakes(body))
        return appended

    def _check_task(self, session: Session) -> None:
        """Refuse what nobody will answer, unless the code is only being loaded."""
        tasks = self.pool.tasks()
        if tasks and session.task_id not in tasks and self._places.get(session.id) is None:
            known = ", ".join(map(repr, sorted(tasks)))
            raise TaskNotFound(
                f"task {session.task_id!r} of this session is not in the code any more; there "
                f"are {known}"
            )

    def _check_busy(self, session: Session, body: str) -> None:
        """Refuse a message in mid-answer where the task wants that."""
        task = self.pool.tasks().get(session.task_id)
        if task is not None and task.busy == "reject" and self.is_running(session.id):
            if wakes(body):
                raise SessionBusy(
                    "the session is answering a message; wait for its end, or stop it"
                )

    async def append_out(self, session: Session, line: Line) -> int:
        """Append a record to `out` beside the run's own and return its number.

        It is in no message and in no transcript.

        Raises:
            Fenced: The session changed hands meanwhile; trying again is safe.
        """
        current = await self.store.session(session.id)
        async with self._places.entered(session.id) as place:
            batch = await write_beside(self.store, current, place, OutWrite(lines=(line,)))
        return batch.last

    async def start(self, session: Session) -> str:
        """Make sure that a run serves `session` and return the run's id.

        Raises:
            TaskNotFound: No worker has the session's task.
        """
        run_id = await self._ensure_run(session.id, wake=True, preload=True)
        if run_id is None:
            raise TaskNotFound(f"task {session.task_id!r} is not served now")
        return run_id

    async def close(self, session: Session, *, reason: str | None) -> Session:
        """Close `session` for good: its turn is stopped, its readers are told.

        Closing again changes nothing.
        """
        if session.closed_at_ms is not None:
            return session
        closed = await self.store.close_session(session.id, reason=reason)
        place = self._places.get(session.id)
        if place is not None and place.run is not None:
            place.run.close(reason=closed.closed_reason)  # its end writes the closing record
            self._watch_stop(place.run)
        else:
            await self._revive(session.id, why=RESTARTED)
        return closed

    async def is_settled(self, session_id: str) -> bool:
        """Tell whether nothing more can come on `out` until something is appended."""
        session = await self.store.session(session_id)
        if session.closed_at_ms is not None:
            place = self._places.get(session_id)
            return place is None or place.run is None
        if session.turn_end < 0 or session.turn_end != session.out_tail - 1:
            return False
        return not await message_waits(self.store, session)

    def is_running(self, session_id: str) -> bool:
        """Tell whether a turn runs, or a message waits for one."""
        place = self._places.get(session_id)
        return place is not None and place.run is not None and place.run.is_busy

    @asynccontextmanager
    async def follow(self, session_id: str, *, after: Cursor) -> AsyncIterator[Reader]:
        """Yield a reader of the session's `out` stream that begins behind `after`."""
        async with self._places.entered(session_id) as place:
            yield Reader(self.store, session_id, place.tail, after=after)

    # --- what the workers say ---------------------------------------------------------------

    def on_message(self, worker: Worker, message: Message) -> None:
        """Take what a worker says of a run."""
        match message:
            case Write(run) if run in worker.runs:
                worker.runs[run].write(message)
            case RunEnded(run) if run in worker.runs:
                self._ended(worker.runs[run], message)
            case Report(event):
                self._on_report(event)
            case _:
                pass  # of a run that was taken from it

    def on_gone(self, worker: Worker) -> None:
        """Take over the sessions of a worker that has ended."""
        why = f"The worker process {worker.why_gone} in the middle of this answer."
        for run in list(worker.runs.values()):
            self._take(run)
            self._group.create_task(self._revive(run.session_id, why=why))

    def on_ready(self, worker: Worker) -> None:
        """Give a new worker what has waited for its tasks."""
        for session_id, task_id in list(self._unserved.items()):
            if task_id in worker.tasks:
                del self._unserved[session_id]
                self._group.create_task(self._revive(session_id, why=RESTARTED))

    # --- runs -------------------------------------------------------------------------------

    async def _deliver(self, run: ServedRun, record: InRecord) -> None:
        if record.seq == run.delivered + 1:
            run.deliver((record,))
        elif record.seq > run.delivered:  # two appends overtook each other on their way here
            run.deliver(
                tuple(await self.store.read_in(run.session_id, after=Cursor(run.delivered)))
            )
        if run.turn_open and is_stop(record.body):
            self._watch_stop(run)

    def _watch_stop(self, run: ServedRun) -> None:
        """See to it that the turn ends, even if its worker does not answer."""
        if run.stop_timer is None:
            loop = asyncio.get_running_loop()
            run.stop_timer = loop.call_later(self._stop_limit_s, self._overdue, run)

    def _overdue(self, run: ServedRun) -> None:
        logger.warning("a worker has not stopped a turn within %g s", self._stop_limit_s)
        run.fence()
        self._take(run)
        self._group.create_task(self._revive(run.session_id, why="The turn did not stop in time."))

    def _ended(self, run: ServedRun, message: RunEnded) -> None:
        if message.error is not None:
            logger.warning("run %s ended: %s", run.run_id, message.error)
        self._take(run)
        why = "The run failed in the middle of this answer."
        self._group.create_task(self._revive(run.session_id, why=why))

    def _lost(self, run: ServedRun, error: StoreError) -> None:
        """Let go of a run whose write the store refused."""
        logger.warning("run %s has lost its session: %s", run.run_id, error)
        self._take(run)

    def _take(self, run: ServedRun) -> None:
        """Take the run from its worker."""
        if run.worker.runs.pop(run.number, None) is None:
            return
        run.forget_stop()
        run.worker.close_if_idle()
        place = self._places.get(run.session_id)
        if place is not None and place.run is run:
            place.run = None
            self._places.leave(run.session_id, place)

    async def _ensure_run(
        self, session_id: str, *, wake: bool, preload: bool = False
    ) -> str | None:
        """Have a run serve the session with all that waits; without `wake` only if one does."""
        async with self._places.entered(session_id) as place, place.lock:
            if place.run is not None:
                await self._deliver_rest(place.run)
            if place.run is None and wake:  # it may have ended just now
                await self._claim(session_id, place, why=RESTARTED, preload=preload)
            return place.run.run_id if place.run is not None else None

    async def _deliver_rest(self, run: ServedRun) -> None:
        records = await self.store.read_in(run.session_id, after=Cursor(run.delivered))
        run.deliver(tuple(records))
        if run.turn_open and any(is_stop(record.body) for record in records):
            self._watch_stop(run)

    async def _revive(self, session_id: str, *, why: str) -> None:
        """End or begin again what a run has left of the session, `why` it ended in mid-turn."""
        try:
            async with self._places.entered(session_id) as place, place.lock:
                if place.run is None:
                    await self._claim(session_id, place, why=why)
        except ChatrunError as exc:
            logger.warning("cannot take up session %s: %s", session_id, exc)

    async def _claim(
        self, session_id: str, place: Place, *, why: str, preload: bool = False
    ) -> None:
        """Take the session, put it in order, and start a run if there is anything to do."""
        run_id = new_id("run")
        session = await self.store.claim(session_id, run_id=run_id)
        session = await tidy(self.store, session, place, why=why)
        if session.closed_at_ms is not None:
            await finish_closed(self.store, session, place)
        elif preload or await message_waits(self.store, session):
            if await self._start_run(session, place, run_id, preloaded=preload):
                return
            self._unserved[session.id] = session.task_id
        await self.store.release(session.id, session.epoch)

    async def _start_run(
        self, session: Session, place: Place, run_id: str, *, preloaded: bool
    ) -> bool:
        """Start a run of the session; False when no worker has its task."""
        worker = self.pool.pick(session.task_id)
        if worker is None:
            return False
        transcript = await self.store.read_transcript(session.id)
        records = await unread(self.store, session)
        run = ServedRun(
            session,
            worker,
            number=next(self._numbers),
            run_id=run_id,
            store=self.store,
            tail=place.tail,
            on_lost=self._lost,
        )
        if worker.gone or worker.leaving:
            return await self._start_run(session, place, run_id, preloaded=preloaded)
        worker.runs[run.number] = run
        place.run = run
        place.users += 1
        run.start(
            StartRun(
                run=run.number,
                run_id=run_id,
                session_id=session.id,
                chat_id=session.key,
                task_id=session.task_id,
                previous_run_id=session.previous_run_id,
                preloaded=preloaded,
                in_cursor=session.in_cursor,
                state=session.state,
                messages=transcript.messages,
                records=records,
            )
        )
        return True


def _now_ms() -> int:
    return int(time.time() * 1000)
