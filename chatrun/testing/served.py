"""A session with a server of its own, of which a test may ask more than a client may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from chatrun.engine.hooks import BOOT, PRELOAD
from chatrun.testing.serving import Server
from chatrun.testing.settling import Settling
from chatrun.testing.tape import Tape
from chatrun.testing.waiting import Signal, waiting_for
from chatrun.wire.ids import Cursor
from chatrun.wire.inputs import wakes

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from chatrun.engine.task import ChatTask
    from chatrun.messages.types import UIMessage
    from chatrun.server.live import Live
    from chatrun.store.base import Session, Store


class Served:
    """The server of one session, in `group`, with a tape of all that comes of it.

    The tape begins behind the last turn that had ended before.
    """

    def __init__(
        self,
        task: ChatTask[Any],
        session: Session,
        store: Store,
        group: asyncio.TaskGroup,
        *,
        show_errors: bool,
    ) -> None:
        self._task = task
        self._session = session
        self._store = store
        self._group = group
        self._signal = Signal()
        self.tape = Tape(self._signal, after=Cursor(session.turn_end))
        self.known: Mapping[str, UIMessage] = {}
        """The messages that the transcript had at the beginning, by id."""
        self._settling = Settling(session, self._signal)
        self._server = Server(
            (task,),
            store,
            show_errors=show_errors,
            hear=self._settling.hear,
            beside=self._record,
        )

    @property
    def live(self) -> Live:
        """The live side of sessions."""
        return self._server.live

    async def start(self) -> None:
        """Start the server; it takes up what the store has of the session."""
        await self._server.start(self._group)

    async def remember(self) -> None:
        """Take note of the messages there are; called once, before anything is said."""
        page = await self._store.read_transcript(self._session.id)
        messages: list[UIMessage] = [orjson.loads(body) for body in page.messages]
        self.known = {message["id"]: message for message in messages}

    async def preload(self) -> None:
        """Start a run ahead of the first message, and wait for the hooks of its beginning.

        Nothing happens when a run serves the session already.

        Raises:
            TimeoutError: The hooks run for longer than 20 seconds.
        """
        session = await self.live.store.session(self._session.id)
        if session.run_id is None:
            await self.live.start(session)
            hooks = self._task.hooks
            await self._settling.booted(len(hooks.of(BOOT)) + len(hooks.of(PRELOAD)))

    async def stop(self) -> None:
        """End the server as if it had been killed."""
        await self._server.stop()
        self._settling.forget()

    async def settled(self, seq: int) -> None:
        """Wait for the end of the hooks behind a turn; see `Settling.settled`."""
        await self._settling.settled(seq)

    async def catch_up(self) -> None:
        """Wait until all that is on `out` is on the tape."""
        session = await self.live.store.session(self._session.id)
        await self.tape.reach(session.out_tail - 1)

    async def idle(self) -> None:
        """Wait until no turn runs or waits to, and no hook behind one runs.

        Raises:
            TimeoutError: It was not so for 20 seconds.
        """
        async with waiting_for("the end of all turns"):
            while True:
                change = self._signal.next_change
                if not await self._is_busy():
                    return
                await change.wait()

    async def _is_busy(self) -> bool:
        if self._settling.hooks_run or self.live.is_running(self._session.id):
            return True
        session = await self.live.store.session(self._session.id)
        if session.closed_at_ms is not None:
            return False  # what waits is never answered
        cursor = Cursor(session.in_cursor)
        while records := await self.live.store.read_in(session.id, after=cursor):
            if any(wakes(record.body) for record in records):
                return True
            cursor = Cursor(records[-1].seq)
        return False

    async def _record(self, live: Live) -> None:
        async with live.follow(self._session.id, after=self.tape.cursor) as reader:
            await self.tape.record(reader)
