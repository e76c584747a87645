"""The harness: one chat with a task, driven as a client would drive it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.errors import InvalidInput
from chatrun.messages.types import user_message
from chatrun.store.base import NewSession
from chatrun.store.memory import MemoryStore
from chatrun.testing.continuation import begin_session
from chatrun.testing.replies import answer_to, approval_of
from chatrun.testing.served import Served
from chatrun.testing.tape import Tape
from chatrun.testing.turns import PendingTurn, ended_turns
from chatrun.testing.waiting import Signal, plain_group
from chatrun.wire.ids import START, Cursor, new_id
from chatrun.wire.records import SESSION_CLOSED, is_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from chatrun.engine.task import ChatTask
    from chatrun.messages.types import UIMessage
    from chatrun.server.live import Live
    from chatrun.store.base import Session, Store
    from chatrun.testing.continuation import Continuation
    from chatrun.testing.turns import Chunk, TurnResult


@asynccontextmanager
async def harness(
    task: ChatTask[Any],
    *,
    chat_id: str = "test-chat",
    client_data: object = None,
    continuation: Continuation | None = None,
    preload: bool = False,
    show_errors: bool = True,
    store: Store | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Harness]:
    """Yield a chat with `task`; several may run side by side.

    Args:
        task: The task.
        chat_id: The id by which clients know the chat.
        client_data: Goes along with every message that brings none of its own.
        continuation: What an earlier run has left: the task continues that chat.
        preload: Start a run ahead of the first message, as a page does that expects one; its
            `on_boot` and `on_preload` hooks have ended when the chat is yielded.
        show_errors: Whether the client is told what an exception says, as by `chatrun dev`.
        store: Where the chat is kept; it is not closed. By default a store in memory.
        clock: The time of the default store, in Unix seconds.

    Raises:
        InvalidInput: The continuation could not have come about.
    """
    kept = store if store is not None else MemoryStore(clock=clock)
    new = NewSession(task_id=task.id, external_id=chat_id)
    session = await begin_session(kept, new, continuation, client_data=client_data)
    async with plain_group() as group:
        served = Served(task, session, kept, group, show_errors=show_errors)
        try:
            await served.remember()
            await served.start()
            if preload:
                await served.preload()
            yield Harness(served.live, session, client_data=client_data, served=served)
        finally:
            await served.stop()
            if store is None:
                await kept.aclose()


class Harness:
    """One chat with a task. `harness` makes them."""

    def __init__(
        self,
        live: Live,
        session: Session,
        *,
        client_data: object = None,
        served: Served | None = None,
    ) -> None:
        self.session = session
        """The chat as the store had it when the harness began."""
        self._live = live
        self._client_data = client_data
        self._served = served

    @property
    def live(self) -> Live:
        """The live side of sessions, and with it the store."""
        return self._served.live if self._served is not None else self._live

    # --- what clients do --------------------------------------------------------------------

    async def send(self, message: str | Mapping[str, object], **payload: object) -> TurnResult:
        """Send a text or a UI message, and wait for the end of its turn."""
        async with self.begin(message, **payload) as turn:
            return await turn.done()

    @asynccontextmanager
    async def begin(
        self, message: str | Mapping[str, object], **payload: object
    ) -> AsyncIterator[PendingTurn]:
        """Send a text or a UI message, and yield its turn while it runs."""
        if isinstance(message, str):
            message = {**user_message(message, message_id=new_id("msg"))}
        async with self.post(trigger="submit-message", message=message, **payload) as turn:
            yield turn

    async def regenerate(self, message_id: str | None = None) -> TurnResult:
        """Have the last answer, or the one named, given anew."""
        named = {"messageId": message_id} if message_id is not None else {}
        async with self.post(trigger="regenerate-message", **named) as turn:
            return await turn.done()

    async def action(self, action: object, **payload: object) -> TurnResult:
        """Send an action and wait until it is done, with the turn it may have asked for."""
        async with self.post(trigger="action", action=action, **payload) as turn:
            return await turn.done()

    async def answer(self, tool_call_id: str, output: object) -> TurnResult:
        """Answer a tool call that was left to the client, and wait for the turn's end.

        Raises:
            InvalidInput: There is no such tool call.
        """
        return await self.send(answer_to(await self.messages(), tool_call_id, output))

    async def approve(
        self, tool_call_id: str, *, approved: bool = True, reason: str | None = None
    ) -> TurnResult:
        """Allow or deny a tool call that waits for it, and wait for the turn's end.

        Raises:
            InvalidInput: There is no such tool call, or it waits for no approval.
        """
        messages = await self.messages()
        return await self.send(
            approval_of(messages, tool_call_id, approved=approved, reason=reason)
        )

    async def stop(self) -> int:
        """Append a stop and return its record's number; it does not wait for the turn's end."""
        return await self.append({"kind": "stop"})

    async def close(self, *, reason: str | None = None) -> None:
        """Close the chat for good, and wait until its readers have been told."""
        served = self._own("close")
        await self.live.close(self.session, reason=reason)
        place = 0
        while not _says_closed(await served.tape.line(place)):
            place += 1

    @asynccontextmanager
    async def post(self, **payload: object) -> AsyncIterator[PendingTurn]:
        """Append a message record with this payload, and yield the turn it begins."""
        if self._client_data is not None:
            payload.setdefault("metadata", self._client_data)
        record = {"kind": "message", "payload": {"chatId": self.session.key, **payload}}
        known = {message["id"]: message for message in await self.messages()}
        async with self._tape() as tape:
            place = len(tape.lines)
            seq = await self.append(record)
            yield PendingTurn(tape, seq, place=place, known=known, wait_settled=self._settled)

    async def append(self, record: Mapping[str, object] | str) -> int:
        """Append a raw record to `in` and return its number."""
        body = record if isinstance(record, str) else orjson.dumps(record).decode()
        appended = await self.live.append(self.session, body, part_id=new_id("part"))
        return appended.seq

    # --- what became of it ------------------------------------------------------------------

    async def idle(self) -> None:
        """Wait until no turn runs or waits to, and no hook behind one runs.

        Raises:
            TimeoutError: It was not so for 20 seconds.
        """
        await self._own("idle").idle()

    async def messages(self) -> list[UIMessage]:
        """Return the transcript."""
        page = await self.live.store.read_transcript(self.session.id)
        return [orjson.loads(body) for body in page.messages]

    async def turns(self) -> list[TurnResult]:
        """Return every turn and action that has ended since the harness began, oldest first."""
        served = self._own("turns")
        await served.catch_up()
        return list(ended_turns(served.tape.lines, served.known, served.settled))

    async def all_chunks(self) -> list[Chunk]:
        """Return every chunk that was streamed since the harness began."""
        served = self._own("all_chunks")
        await served.catch_up()
        return [orjson.loads(line) for line in served.tape.lines if not is_control(line)]

    async def records(self) -> list[Any]:
        """Return what `out` holds: chunks, and control records as `[subtype, headers]`.

        Those before the turn before the last have been trimmed away.
        """
        batches = await self.live.store.read_out(self.session.id, after=START)
        return [orjson.loads(line) for batch in batches for line in batch.lines]

    async def restart(self) -> None:
        """Kill the server and start another one over the same store.

        A turn that runs is cut off where it is, and ended or begun again by the new server; what
        waits is answered by it. The task's functions stay the same objects: variables outside of
        them survive, as they would not in a new process.
        """
        served = self._own("restart")
        await served.stop()
        await served.start()

    # --- inside -----------------------------------------------------------------------------

    def _own(self, what: str) -> Served:
        if self._served is None:
            raise InvalidInput(f"`{what}` needs a server of its own: open the chat with `harness`")
        return self._served

    async def _settled(self, seq: int) -> None:
        await self._own("settled").settled(seq)

    @asynccontextmanager
    async def _tape(self) -> AsyncIterator[Tape]:
        """Yield a tape that what is appended from here on comes to."""
        if self._served is not None:
            yield self._served.tape
            return
        session = await self.live.store.session(self.session.id)
        tape = Tape(Signal(), after=Cursor(session.out_tail - 1))
        async with (
            plain_group() as group,
            self.live.follow(session.id, after=tape.cursor) as reader,
        ):
            recording = group.create_task(tape.record(reader))
            try:
                yield tape
            finally:
                recording.cancel()


def _says_closed(line: bytes) -> bool:
    return is_control(line) and orjson.loads(line)[0] == SESSION_CLOSED
