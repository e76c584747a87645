"""Stores that last: what was said is there again when they are opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chatrun.errors import Fenced
from chatrun.store.base import Appended, NewSession, OutWrite, PutMessage, SessionQuery
from tests.store.kit import TURN_END, chunk, chunks, new_run, numbered, out_of, turn

if TYPE_CHECKING:
    from tests.store.kit import Backend


async def test_everything_is_there_again(durable: Backend) -> None:
    store = await durable.open()
    session = await new_run(store)
    await store.append_in(session.id, "hi", part_id="p")
    await store.write_out(session.id, session.epoch, turn("a"))
    await store.write_out(session.id, session.epoch, turn("b"))
    await store.write_out(
        session.id,
        session.epoch,
        OutWrite((chunk("c"),), (PutMessage("m", b"{}"),), 0, {"n": 1}),
    )
    before = await store.session(session.id)
    await store.aclose()

    store = await durable.open()

    assert await store.session(session.id) == before
    assert (await store.list_sessions(SessionQuery())).sessions == (before,)
    assert await store.unfinished_sessions() == [session.id]
    assert [record.body for record in await store.read_in(session.id)] == ["hi"]
    assert await out_of(store, session.id) == numbered(
        TURN_END, chunk("b"), TURN_END, chunk("c"), first=1
    )
    assert (await store.read_transcript(session.id)).messages == (b"{}",)
    await store.aclose()


async def test_numbers_epochs_and_part_ids_go_on(durable: Backend) -> None:
    store = await durable.open()
    session = await new_run(store)
    await store.append_in(session.id, "hi", part_id="p")
    await store.write_out(session.id, session.epoch, chunks("a"))
    await store.aclose()

    store = await durable.open()

    assert await store.append_in(session.id, "hi", part_id="p") == Appended(0, is_new=False)
    assert await store.append_in(session.id, "ho", part_id="q") == Appended(1, is_new=True)
    again = await store.claim(session.id, run_id="run_2")
    assert (again.epoch, again.previous_run_id) == (2, "run_1")
    with pytest.raises(Fenced):
        await store.write_out(session.id, session.epoch, chunks("b"))
    assert (await store.write_out(session.id, again.epoch, turn("b"))).first == 1
    await store.aclose()


async def test_new_sessions_are_listed_before_those_of_earlier_days(durable: Backend) -> None:
    names = []
    for day in range(3):
        store = await durable.open()
        await store.create_session(NewSession("t", f"day {day}"))
        page = await store.list_sessions(SessionQuery())
        names.append([session.external_id for session in page.sessions])
        await store.aclose()

    assert names == [["day 0"], ["day 1", "day 0"], ["day 2", "day 1", "day 0"]]
