"""Drives a task through real turns without a server: for your tests, and for ours.

    async with harness(my_chat) as chat:
        turn = await chat.send("hi")
        assert turn.text == "hello"

Everything is the real thing but for HTTP and the disk: the engine, a worker on the running loop,
the store in memory.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.messages.fold import MessageFold
from chatrun.messages.types import message_text
from chatrun.server.live import Live
from chatrun.store.base import NewSession
from chatrun.store.memory import MemoryStore
from chatrun.wire.ids import START, Cursor, new_id
from chatrun.wire.records import (
    IN_EVENT_ID,
    OUTCOME,
    TURN_COMPLETE,
    TURN_START,
    Control,
    is_control,
    parse_control,
)
from chatrun.worker.launch import launch_in_process
from chatrun.worker.loader import Loaded
from chatrun.worker.pool import Pool
from chatrun.worker.protocol import Configure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from chatrun.engine.task import ChatTask
    from chatrun.messages.types import UIMessage
    from chatrun.server.tails import Reader
    from chatrun.store.base import Session, Store

WAIT_S = 20.0
"""How long a test waits for something that must come."""


@asynccontextmanager
async def serve_tasks(
    *tasks: ChatTask[Any], store: Store | None = None, show_errors: bool = True
) -> AsyncIterator[Live]:
    """Yield the live side of sessions with one worker on the running loop that has `tasks`."""
    store = store if store is not None else MemoryStore()
    loaded = Loaded(tasks={task.id: task for task in tasks})
    async with asyncio.TaskGroup() as group:
        live = Live(store, group)
        pool = Pool(
            group,
            launch_in_process(loaded),
            Configure(root=".", show_errors=show_errors),
            size=1,
            on_message=live.on_message,
            on_gone=live.on_gone,
            on_ready=live.on_ready,
        )
        live.use(pool)
        await pool.start()
        await live.recover()
        try:
            yield live
        finally:
            await pool.aclose()
            await store.aclose()


@asynccontextmanager
async def harness(
    task: ChatTask[Any],
    *,
    chat_id: str = "test-chat",
    client_data: object = None,
    store: Store | None = None,
) -> AsyncIterator[Harness]:
    """Yield a chat with `task`; several may run side by side.

    `client_data` goes along with every message that brings none of its own.
    """
    async with serve_tasks(task, store=store) as live:
        new = NewSession(task_id=task.id, external_id=chat_id)
        session, _ = await live.store.create_session(new)
        yield Harness(live, session, client_data=client_data)


@dataclass(slots=True)
class TurnResult:
    """A turn as a client saw it."""

    outcome: str
    """finished, stopped, timed-out or failed."""
    chunks: list[dict[str, Any]] = field(default_factory=list)
    message: UIMessage | None = None
    """The chunks folded; None when there were none of a message."""

    @property
    def text(self) -> str:
        """The text of the answer, empty without one."""
        return message_text(self.message) if self.message is not None else ""

    @property
    def error(self) -> str | None:
        """What the client was told of a failure, None without one."""
        texts = [chunk["errorText"] for chunk in self.chunks if chunk["type"] == "error"]
        return texts[-1] if texts else None


class PendingTurn:
    """A turn that was asked for."""

    def __init__(self, reader: Reader, seq: int) -> None:
        self._reader = reader
        self._seq = seq
        self._begun = False
        self._lines: list[bytes] = []
        self._result = TurnResult("")
        self._fold: MessageFold | None = None

    async def chunk(self) -> dict[str, Any] | None:
        """Wait for the turn's next chunk; None when it has ended.

        Raises:
            TimeoutError: Nothing came for 20 seconds.
        """
        while not self._result.outcome:
            line = await self._line()
            if not is_control(line):
                if self._begun:
                    return self._take(orjson.loads(line))
            else:
                self._control(parse_control(line))
        return None

    async def until(self, kind: str) -> dict[str, Any]:
        """Wait for a chunk of this type and return it.

        Raises:
            AssertionError: The turn ended without one.
        """
        while (chunk := await self.chunk()) is not None:
            if chunk["type"] == kind:
                return chunk
        raise AssertionError(f"the turn ended {self._result.outcome} without a {kind!r} chunk")

    async def done(self) -> TurnResult:
        """Wait for the turn's end and return all of it."""
        while await self.chunk() is not None:
            pass
        return self._result

    def _take(self, chunk: dict[str, Any]) -> dict[str, Any]:
        self._result.chunks.append(chunk)
        if self._fold is None:
            self._fold = MessageFold()
        self._fold.apply(chunk)
        return chunk

    def _control(self, control: Control) -> None:
        seq = int(control.headers.get(IN_EVENT_ID, -1))
        if control.subtype == TURN_START:
            self._begun = seq == self._seq
        elif control.subtype == TURN_COMPLETE and seq >= self._seq:
            self._result.outcome = control.headers[OUTCOME]
            if self._fold is not None and self._fold.message["parts"]:
                self._result.message = self._fold.message

    async def _line(self) -> bytes:
        while not self._lines:
            batches = await self._reader.read(wait_s=WAIT_S)
            if not batches:
                raise TimeoutError(f"nothing came on the out stream for {WAIT_S:g} s")
            self._lines = [line for batch in batches for line in batch.lines]
        return self._lines.pop(0)


class Harness:
    """One chat with a task."""

    def __init__(self, live: Live, session: Session, *, client_data: object) -> None:
        self.live = live
        self.session = session
        self._client_data = client_data

    async def send(self, message: str | Mapping[str, object], **payload: object) -> TurnResult:
        """Send a message and wait for the end of its turn."""
        async with self.begin(message, **payload) as turn:
            return await turn.done()

    @asynccontextmanager
    async def begin(
        self, message: str | Mapping[str, object], **payload: object
    ) -> AsyncIterator[PendingTurn]:
        """Send a message and yield its turn while it runs."""
        sent = _user_message(message) if isinstance(message, str) else message
        async with self.post(trigger="submit-message", message=sent, **payload) as turn:
            yield turn

    async def regenerate(self, message_id: str | None = None) -> TurnResult:
        """Have the last answer, or the one named, given anew."""
        named = {"messageId": message_id} if message_id is not None else {}
        async with self.post(trigger="regenerate-message", **named) as turn:
            return await turn.done()

    @asynccontextmanager
    async def post(self, **payload: object) -> AsyncIterator[PendingTurn]:
        """Append a message record with this payload and yield the turn it begins."""
        if self._client_data is not None:
            payload.setdefault("metadata", self._client_data)
        session = await self.live.store.session(self.session.id)
        last = Cursor(session.out_tail - 1)
        async with self.live.follow(session.id, after=last) as reader:
            record = {"kind": "message", "payload": {"chatId": session.key, **payload}}
            yield PendingTurn(reader, await self.append(record))

    async def stop(self) -> int:
        """Append a stop and return its record's number."""
        return await self.append({"kind": "stop"})

    async def append(self, record: Mapping[str, object] | str) -> int:
        """Append a raw record to `in` and return its number."""
        body = record if isinstance(record, str) else orjson.dumps(record).decode()
        appended = await self.live.append(self.session, body, part_id=new_id("part"))
        return appended.seq

    async def messages(self) -> list[UIMessage]:
        """Return the transcript."""
        page = await self.live.store.read_transcript(self.session.id)
        return [orjson.loads(body) for body in page.messages]

    async def records(self) -> list[Any]:
        """Return what `out` holds: chunks, and control records as `[subtype, headers]`."""
        batches = await self.live.store.read_out(self.session.id, after=START)
        return [orjson.loads(line) for batch in batches for line in batch.lines]


def _user_message(text: str) -> UIMessage:
    return {"id": new_id("msg"), "role": "user", "parts": [{"type": "text", "text": text}]}
