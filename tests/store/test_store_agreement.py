"""The stores agree: the same calls, one by one or at once, have the same results in each."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatrun.store.base import (
    NewSession,
    OutWrite,
    PutMessage,
    RemoveMessage,
    SessionChange,
    SessionQuery,
    TruncateAfter,
)
from chatrun.store.memory import MemoryStore
from chatrun.store.sqlite import open_sqlite
from chatrun.wire.ids import Cursor
from tests.store.kit import TURN_END, Clock, chunks

if TYPE_CHECKING:
    from chatrun.store.base import Session, Store

Call = Callable[["Store", "Session"], Awaitable[object]]
"""What to call, of a store and of one of its sessions as it stood just before."""

names = st.sampled_from(["a", "b", "c"])
some_names = st.lists(names, max_size=2).map(tuple)
small = st.integers(-1, 5)
tables = st.dictionaries(names, st.integers() | st.text(max_size=3), max_size=2)

changes = st.one_of(
    st.builds(PutMessage, names, st.binary(max_size=3)),
    st.builds(RemoveMessage, names),
    st.builds(TruncateAfter, st.none() | names),
)


def _write(texts: list[str], **rest: Any) -> OutWrite:
    end = (TURN_END,) if rest["ends_turn"] else ()
    return OutWrite((*chunks(*texts).lines, *end), **rest)


writes = st.builds(
    _write,
    st.lists(st.text(max_size=3), max_size=4),
    changes=st.lists(changes, max_size=3).map(tuple),
    in_cursor=st.none() | small,
    state=st.none() | tables,
    ends_turn=st.booleans(),
)
new_sessions = st.builds(
    NewSession,
    names,
    st.none() | names,
    trigger_config=tables,
    tags=some_names,
    metadata=st.none() | tables,
    expires_at_ms=st.none() | st.integers(0, 300).map(lambda ms: Clock.now_ms + ms),
)
session_changes = st.builds(
    SessionChange,
    st.none() | some_names,
    st.none() | tables,
    st.booleans(),
    st.none() | tables,
)
queries = st.builds(
    SessionQuery,
    limit=st.integers(0, 3),
    task_ids=some_names,
    tags=some_names,
    statuses=st.lists(st.sampled_from(["ACTIVE", "CLOSED", "EXPIRED"]), max_size=2).map(tuple),
    external_id=st.none() | names,
    created_from_ms=st.none() | st.integers(0, 300).map(lambda ms: Clock.now_ms + ms),
    created_to_ms=st.none() | st.integers(0, 300).map(lambda ms: Clock.now_ms + ms),
)
epoch_errors = st.sampled_from([0, 0, 0, 0, -1, 1])

mutations: st.SearchStrategy[Call] = st.one_of(
    st.builds(lambda new: lambda store, _: store.create_session(new), new_sessions),
    st.builds(
        lambda write, off: (
            lambda store, session: store.write_out(session.id, session.epoch + off, write)
        ),
        writes,
        epoch_errors,
    ),
    st.builds(
        lambda part, body: lambda store, session: store.append_in(session.id, body, part_id=part),
        names,
        st.text(max_size=5),
    ),
    st.builds(
        lambda run: lambda store, session: store.claim(session.id, run_id=run),
        names,
    ),
    st.builds(
        lambda off: lambda store, session: store.release(session.id, session.epoch + off),
        epoch_errors,
    ),
    st.builds(
        lambda change: lambda store, session: store.update_session(session.id, change),
        session_changes,
    ),
    st.builds(
        lambda reason: lambda store, session: store.close_session(session.id, reason=reason),
        st.none() | names,
    ),
)


async def _records(store: Store, session: Session, after: int, limit: int) -> list[Any]:
    """Return all records of `out` behind `after`; how they are batched is each store's matter."""
    found: list[Any] = []
    while batches := await store.read_out(session.id, after=Cursor(after), limit=limit):
        for batch in batches:
            found += [(n, batch.at_ms, line) for n, line in enumerate(batch.lines, batch.first)]
        after = batches[-1].last
    return found


async def _pages(store: Store, session: Session, limit: int) -> list[Any]:
    pages = [await store.read_transcript(session.id, limit=limit)]
    while pages[-1].next_before is not None:
        before = pages[-1].next_before
        pages.append(await store.read_transcript(session.id, limit=limit, before=before))
    return [page.messages for page in pages]


looks: st.SearchStrategy[Call] = st.one_of(
    st.builds(lambda query: lambda store, _: store.list_sessions(query), queries),
    st.builds(
        lambda query, way: (
            lambda store, session: store.list_sessions(replace(query, **{way: session.id}))
        ),
        queries,
        st.sampled_from(["after", "before"]),
    ),
    st.builds(
        lambda after, limit: lambda store, session: _records(store, session, after, limit),
        small,
        st.integers(1, 9),
    ),
    st.builds(
        lambda after, limit: (
            lambda store, session: store.read_in(session.id, after=Cursor(after), limit=limit)
        ),
        small,
        st.integers(1, 4),
    ),
    st.builds(
        lambda limit: lambda store, session: _pages(store, session, limit),
        st.integers(1, 3),
    ),
    st.just(lambda store, _: store.unfinished_sessions()),
)
steps = st.tuples(
    st.lists(st.tuples(st.integers(0, 3), mutations), max_size=6),
    st.lists(st.tuples(st.integers(0, 3), looks), max_size=3),
    st.integers(0, 100),
)


class Replay:
    """Makes calls to one store and says what came of them, in words that fit any store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.ids: list[str] = []

    async def begin(self) -> None:
        self.learn([await self.store.create_session(NewSession("t"))])

    async def step(
        self, mutations: Sequence[tuple[int, Call]], looks: Sequence[tuple[int, Call]], ms: int
    ) -> list[str]:
        """Make all mutations at once, then look; return what came of each."""
        sessions = [await self.store.session(session_id) for session_id in self.ids]
        results = await asyncio.gather(
            *(call(self.store, sessions[n % len(sessions)]) for n, call in mutations),
            return_exceptions=True,
        )
        self.learn(results)
        for n, look in looks:
            session = await self.store.session(self.ids[n % len(self.ids)])
            results += await asyncio.gather(look(self.store, session), return_exceptions=True)
        results += [await self.store.session(session_id) for session_id in self.ids]
        self.clock.now_ms += ms
        return [self.said(result) for result in results]

    def learn(self, results: Sequence[Any]) -> None:
        """Remember the sessions that were made."""
        for result in results:
            if isinstance(result, tuple) and result[1]:
                self.ids.append(result[0].id)

    def said(self, result: object) -> str:
        text = repr(result)
        for number, session_id in enumerate(self.ids):
            text = text.replace(session_id, f"session_{number}")
        return text


async def replay_both(folder: Path, script: Sequence[Any]) -> None:
    clock, other_clock = Clock(), Clock()
    durable = await open_sqlite(folder, clock=clock)
    try:
        one, other = Replay(durable, clock), Replay(MemoryStore(clock=other_clock), other_clock)
        await one.begin()
        await other.begin()
        for step in script:
            assert await one.step(*step) == await other.step(*step)
    finally:
        await durable.aclose()


@given(st.lists(steps, max_size=12))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_stores_agree_on_any_sequence_of_calls(script: Sequence[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(replay_both(Path(folder), script))
