"""Whatever happens in whichever order: each message is answered once, in order, and kept.

Random interleavings of sends, stops, actions, ends of runs, reloads and crashes, over both stores.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatrun import ChatTask, Turn, chat
from chatrun.messages.types import message_text, user_message
from chatrun.server.live import Live
from chatrun.store.base import NewSession
from chatrun.store.memory import MemoryStore
from chatrun.store.sqlite import open_sqlite
from chatrun.worker.launch import launch_in_process
from chatrun.worker.loader import Loaded
from chatrun.worker.pool import Pool
from chatrun.worker.protocol import Configure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatrun.store.base import OutWrite, Session, Store
    from chatrun.wire.records import OutBatch

OPS = "send send send stop action regenerate end-run reload crash wait settle".split()
LIMIT_S = 60


def slow_task(busy: Any) -> ChatTask[Any]:
    @chat.task("t", max_turns=3, busy=busy)
    async def slow(turn: Turn[Any]) -> AsyncIterator[str]:
        for word in ("I ", "heard ", turn.text):
            await asyncio.sleep(0)
            yield word

    @slow.on_action
    async def act(event: Any) -> None:
        await asyncio.sleep(0)

    return slow


class World:
    """One session, its server and its client; the server can crash."""

    def __init__(self, store: Store, task: ChatTask[Any], session: Session) -> None:
        self.store, self.task, self.session = store, task, session
        self.sent: list[tuple[int, str]] = []
        self.awaited: list[int] = []
        """Numbers of the records whose turns must end."""

    async def run(self, ops: list[str]) -> None:
        """Do `ops`; after each crash the next server takes over, the last one settles."""
        while ops:
            end = ops.index("crash") if "crash" in ops else len(ops)
            async with self._serving() as (live, pool):
                for op in ops[:end]:
                    await self._do(op, live, pool)
                if end == len(ops):
                    await self._settle(live)
            ops = ops[end + 1 :]
        async with self._serving() as (live, _):
            await self._settle(live)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[tuple[Live, Pool]]:
        async with asyncio.TaskGroup() as group:
            live = Live(self.store, group)
            pool = Pool(
                group,
                launch_in_process(Loaded({"t": self.task})),
                Configure("."),
                size=1,
                on_message=live.on_message,
                on_gone=lambda worker: None,  # nobody is left to take over: a crash
                on_ready=live.on_ready,
            )
            live.use(pool)
            await pool.start()
            await live.recover()
            yield live, pool
            await pool.aclose()

    async def _do(self, op: str, live: Live, pool: Pool) -> None:
        number = len(self.sent)
        match op:
            case "send":
                message = user_message(f"m{number}", message_id=f"u{number}")
                payload = {"trigger": "submit-message", "message": message}
                seq = await self._append(live, {"kind": "message", "payload": payload})
                self.sent.append((seq, f"m{number}"))
                self.awaited.append(seq)
            case "action" | "regenerate":
                trigger = "action" if op == "action" else "regenerate-message"
                payload = {"trigger": trigger, "action": {}}
                self.awaited.append(
                    await self._append(live, {"kind": "message", "payload": payload})
                )
            case "stop":
                await self._append(live, {"kind": "stop"})
            case "end-run":
                await self._append(live, {"kind": "message", "payload": {"trigger": "close"}})
            case "reload":
                await pool.replace()
            case "wait":
                for _ in range(3):
                    await asyncio.sleep(0)
            case _:
                await self._settle(live)

    async def _append(self, live: Live, record: dict[str, Any]) -> int:
        self._parts = getattr(self, "_parts", 0) + 1
        body = orjson.dumps(record).decode()
        first = await live.append(self.session, body, part_id=f"p{self._parts}")
        again = await live.append(self.session, body, part_id=f"p{self._parts}")
        assert (again.seq, again.is_new) == (first.seq, False)
        return first.seq

    async def _settle(self, live: Live) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.awaited and not await live.is_settled(self.session.id):
                await asyncio.sleep(0.001)

    async def check(self, records: list[tuple[int, Any]]) -> None:
        """Hold the invariants of reliability.md §2 against what a reader has seen and is kept."""
        assert [number for number, _ in records] == list(range(len(records)))
        ends = [r for _, r in records if isinstance(r, list) and r[0] == "turn-complete"]
        cursors = [int(end[1]["session-in-event-id"]) for end in ends]
        assert cursors == sorted(cursors)
        assert len(ends) == len(self.awaited)
        page = await self.store.read_transcript(self.session.id)
        kept = [orjson.loads(body) for body in page.messages]
        said = [message_text(m) for m in kept if m["role"] == "user"]
        assert said == [text for _, text in self.sent]
        roles = "".join(m["role"][0] for m in kept)
        assert "aa" not in roles


class Recording:
    """A store that remembers every record it was given for `out`, trimmed ones too."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.records: list[tuple[int, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def write_out(self, session_id: str, epoch: int, write: OutWrite) -> asyncio.Future[OutBatch]:
        durable = asyncio.ensure_future(self._store.write_out(session_id, epoch, write))
        durable.add_done_callback(self._remember)
        return durable

    def _remember(self, done: asyncio.Future[OutBatch]) -> None:
        if not done.cancelled() and done.exception() is None:
            batch = done.result()
            lines = enumerate(batch.lines, batch.first)
            self.records += [(number, orjson.loads(line)) for number, line in lines]


async def play(store: Store, ops: list[str], busy: str) -> None:
    recording = Recording(store)
    session, _ = await store.create_session(NewSession("t", external_id="c"))
    world = World(cast("Store", recording), slow_task(busy), session)
    await world.run(ops)
    await world.check(recording.records)


ANY_OPS = st.lists(st.sampled_from(OPS), max_size=25)
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)


@pytest.mark.parametrize("busy", ["queue", "interrupt"])
@QUICK
@given(ops=ANY_OPS)
def test_each_record_is_acted_on_once_in_memory(busy: str, ops: list[str]) -> None:
    asyncio.run(play(MemoryStore(), ops, busy))


@settings(QUICK, max_examples=25)
@given(ops=ANY_OPS)
def test_each_record_is_acted_on_once_in_sqlite(ops: list[str]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = await open_sqlite(Path(folder))
            try:
                await play(store, ops, "queue")
            finally:
                await store.aclose()

    asyncio.run(run())
