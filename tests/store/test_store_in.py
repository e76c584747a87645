"""The in stream: numbered, once per part id."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chatrun.errors import InvalidInput
from chatrun.store.base import Appended
from chatrun.wire.ids import Cursor
from chatrun.wire.records import InRecord
from tests.store.kit import new_session

if TYPE_CHECKING:
    from chatrun.store.base import Store
    from tests.store.kit import Clock


async def test_records_are_numbered_from_0_in_each_session(store: Store, clock: Clock) -> None:
    one, two = await new_session(store), await new_session(store)

    assert await store.append_in(one.id, "a", part_id="p1") == Appended(0, is_new=True)
    clock.now_ms += 5
    assert await store.append_in(one.id, "b", part_id="p2") == Appended(1, is_new=True)
    assert await store.append_in(two.id, "c", part_id="p1") == Appended(0, is_new=True)

    now_ms = clock.now_ms
    assert await store.read_in(one.id) == [
        InRecord(0, now_ms - 5, "p1", "a"),
        InRecord(1, now_ms, "p2", "b"),
    ]
    assert (await store.session(one.id)).in_tail == 2


async def test_a_part_that_was_sent_before_keeps_its_number_and_its_body(store: Store) -> None:
    session = await new_session(store)
    await store.append_in(session.id, "first", part_id="p")
    await store.append_in(session.id, "other", part_id="q")

    again = await store.append_in(session.id, "changed", part_id="p")

    assert again == Appended(0, is_new=False)
    assert [record.body for record in await store.read_in(session.id)] == ["first", "other"]


async def test_a_part_sent_again_after_closing_still_has_its_number(store: Store) -> None:
    session = await new_session(store)
    await store.append_in(session.id, "hi", part_id="p")
    await store.close_session(session.id, reason=None)

    again = await store.append_in(session.id, "hi", part_id="p")

    assert again == Appended(0, is_new=False)


async def test_one_part_sent_many_times_at_once_is_one_record(store: Store) -> None:
    session = await new_session(store)

    results = await asyncio.gather(
        *(store.append_in(session.id, f"{n}", part_id="p") for n in range(50))
    )

    assert sorted(result.is_new for result in results) == [False] * 49 + [True]
    assert {result.seq for result in results} == {0}
    assert len(await store.read_in(session.id)) == 1


async def test_records_appended_at_once_have_numbers_without_gaps(store: Store) -> None:
    session = await new_session(store)

    results = await asyncio.gather(
        *(store.append_in(session.id, f"{n}", part_id=f"{n}") for n in range(100))
    )

    records = await store.read_in(session.id)
    assert sorted(result.seq for result in results) == list(range(100))
    assert [records[result.seq].body for result in results] == [f"{n}" for n in range(100)]


async def test_reading_starts_behind_the_cursor_and_ends_at_the_limit(store: Store) -> None:
    session = await new_session(store)
    for n in range(5):
        await store.append_in(session.id, f"{n}", part_id=f"{n}")

    async def read(after: int, limit: int = 256) -> list[int]:
        records = await store.read_in(session.id, after=Cursor(after), limit=limit)
        return [record.seq for record in records]

    assert await read(-1) == [0, 1, 2, 3, 4]
    assert await read(-7) == [0, 1, 2, 3, 4]
    assert await read(1, limit=2) == [2, 3]
    assert await read(4) == []
    assert await read(10**30) == []
    assert await read(-1, limit=10**30) == [0, 1, 2, 3, 4]
    with pytest.raises(InvalidInput):
        await read(-1, limit=0)


@pytest.mark.parametrize(
    "body",
    ["", "nul \0 inside", "line\nbreaks\r\n\u2028", "😀 ü \ufeff", '{"kind": 1', "x" * 2**20],
)
async def test_any_text_is_kept_as_it_is(store: Store, body: str) -> None:
    session = await new_session(store)

    await store.append_in(session.id, body, part_id="p\0\n'")

    (record,) = await store.read_in(session.id)
    assert (record.part_id, record.body) == ("p\0\n'", body)


async def test_half_a_character_is_refused_before_anything_is_stored(store: Store) -> None:
    session = await new_session(store)

    with pytest.raises(InvalidInput, match="position 3"):
        await store.append_in(session.id, "abc\ud800", part_id="p")

    assert await store.append_in(session.id, "abc", part_id="p") == Appended(0, is_new=True)
