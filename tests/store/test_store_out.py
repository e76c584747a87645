"""The out stream: one writer at a time, numbers without gaps, trimmed turn by turn."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chatrun.errors import Fenced, InvalidInput
from chatrun.store.base import OutWrite, PutMessage
from chatrun.wire.ids import Cursor
from chatrun.wire.records import OutBatch
from tests.store.kit import TURN_END, chunk, chunks, new_run, new_session, numbered, out_of, turn

if TYPE_CHECKING:
    from chatrun.store.base import Store
    from tests.store.kit import Clock

# --- the right to write ---------------------------------------------------------------------


async def test_a_claim_raises_the_epoch_and_gives_the_session_to_the_run(
    store: Store, clock: Clock
) -> None:
    session = await new_session(store)
    clock.now_ms += 5

    claimed = await store.claim(session.id, run_id="run_1")

    assert claimed == replace(session, run_id="run_1", epoch=1, updated_at_ms=clock.now_ms)
    assert await store.session(session.id) == claimed


async def test_a_released_run_becomes_the_previous_one(store: Store) -> None:
    session = await new_run(store, "run_1")

    await store.release(session.id, session.epoch)
    released = await store.session(session.id)
    again = await store.claim(session.id, run_id="run_2")

    assert released == replace(session, run_id=None, previous_run_id="run_1")
    assert again == replace(released, run_id="run_2", epoch=2)


async def test_a_run_that_was_replaced_becomes_the_previous_one(store: Store) -> None:
    session = await new_run(store, "run_1")

    again = await store.claim(session.id, run_id="run_2")
    once_more = await store.claim(session.id, run_id="run_2")

    assert again == replace(session, run_id="run_2", previous_run_id="run_1", epoch=2)
    assert once_more == replace(again, epoch=3)


@pytest.mark.parametrize("epoch", [0, 1, 3, -1])
async def test_a_release_with_another_epoch_changes_nothing(store: Store, epoch: int) -> None:
    session = await new_run(store, "run_1")
    claimed = await store.claim(session.id, run_id="run_2")

    await store.release(session.id, epoch)

    assert await store.session(session.id) == claimed


async def test_releasing_twice_changes_nothing(store: Store) -> None:
    session = await new_run(store, "run_1")
    await store.release(session.id, session.epoch)
    released = await store.session(session.id)

    await store.release(session.id, session.epoch)

    assert await store.session(session.id) == released


@pytest.mark.parametrize("epoch", [0, 1, 3])
async def test_a_write_with_another_epoch_is_refused_whole(store: Store, epoch: int) -> None:
    session = await new_run(store, "run_1")
    await store.write_out(session.id, session.epoch, chunks("a"))
    claimed = await store.claim(session.id, run_id="run_2")
    write = OutWrite((TURN_END,), (PutMessage("m", b"{}"),), 0, {"n": 1}, ends_turn=True)

    with pytest.raises(Fenced, match="epoch is 2"):
        await store.write_out(session.id, epoch, write)

    assert await store.session(session.id) == claimed
    assert await out_of(store, session.id) == numbered(chunk("a"))
    assert (await store.read_transcript(session.id)).messages == ()


async def test_of_two_runs_only_the_later_one_writes(store: Store) -> None:
    first = await new_run(store, "run_1")
    second = await store.claim(first.id, run_id="run_2")

    results = await asyncio.gather(
        *(
            store.write_out(first.id, session.epoch, chunks(f"{session.run_id} {n}"))
            for n in range(20)
            for session in (first, second)
        ),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [Fenced, OutBatch] * 20
    assert await out_of(store, first.id) == numbered(*(chunk(f"run_2 {n}") for n in range(20)))


# --- writing --------------------------------------------------------------------------------


async def test_a_write_tells_the_numbers_of_its_lines(store: Store, clock: Clock) -> None:
    session = await new_run(store)

    first = await store.write_out(session.id, session.epoch, chunks("a", "b"))
    clock.now_ms += 5
    second = await store.write_out(session.id, session.epoch, chunks("c"))

    assert first == OutBatch(0, clock.now_ms - 5, (chunk("a"), chunk("b")))
    assert second == OutBatch(2, clock.now_ms, (chunk("c"),))
    assert (first.last, second.last) == (1, 2)
    assert await store.read_out(session.id) == [first, second]
    assert (await store.session(session.id)).out_tail == 3


async def test_writes_take_effect_in_the_order_in_which_they_were_called(store: Store) -> None:
    session = await new_run(store)

    writes = [store.write_out(session.id, session.epoch, chunks(f"{n}")) for n in range(300)]
    batches = [await write for write in reversed(writes)]

    assert [batch.first for batch in batches] == list(range(299, -1, -1))
    assert await out_of(store, session.id) == numbered(*(chunk(f"{n}") for n in range(300)))


async def test_writes_to_many_sessions_at_once_do_not_mix(store: Store) -> None:
    sessions = [await new_run(store) for _ in range(30)]

    await asyncio.gather(
        *(
            store.write_out(session.id, session.epoch, chunks(f"{number}.{n}"))
            for n in range(20)
            for number, session in enumerate(sessions)
        )
    )

    for number, session in enumerate(sessions):
        expected = numbered(*(chunk(f"{number}.{n}") for n in range(20)))
        assert await out_of(store, session.id) == expected


async def test_a_refused_write_fails_alone(store: Store) -> None:
    session = await new_run(store)
    good, stale = session.epoch, session.epoch - 1

    writes = [
        store.write_out(session.id, epoch, chunks(f"{n}"))
        for n, epoch in enumerate([good, stale, good, stale, good])
    ]
    results = await asyncio.gather(*writes, return_exceptions=True)

    assert [type(result) for result in results] == [OutBatch, Fenced, OutBatch, Fenced, OutBatch]
    assert await out_of(store, session.id) == numbered(chunk("0"), chunk("2"), chunk("4"))


async def test_a_write_without_lines_changes_only_what_it_names(store: Store) -> None:
    session = await new_run(store)
    await store.write_out(session.id, session.epoch, chunks("a"))

    batch = await store.write_out(session.id, session.epoch, OutWrite(state={"n": [1]}))
    nothing = await store.write_out(session.id, session.epoch, OutWrite())

    assert (batch.first, batch.lines, nothing.first) == (1, (), 1)
    assert await store.session(session.id) == replace(session, out_tail=1, state={"n": [1]})


async def test_the_in_cursor_never_goes_back(store: Store) -> None:
    session = await new_run(store)
    for n in range(3):
        await store.append_in(session.id, "hi", part_id=f"{n}")

    cursors = []
    for cursor in (1, 0, None, -1, 2):
        await store.write_out(session.id, session.epoch, OutWrite(in_cursor=cursor))
        cursors.append((await store.session(session.id)).in_cursor)

    assert cursors == [1, 1, 1, 1, 2]


async def test_the_end_of_a_turn_does_all_its_parts_together(store: Store, clock: Clock) -> None:
    session = await new_run(store)
    await store.append_in(session.id, "hi", part_id="p")
    clock.now_ms += 5
    message = PutMessage("m", b'{"id":"m"}')

    await store.write_out(
        session.id,
        session.epoch,
        OutWrite((chunk("a"), TURN_END), (message,), 0, {"n": 1}, ends_turn=True),
    )

    assert await store.session(session.id) == replace(
        session,
        in_tail=1,
        in_cursor=0,
        out_tail=2,
        turn_end=1,
        state={"n": 1},
        updated_at_ms=clock.now_ms,
    )
    assert (await store.read_transcript(session.id)).messages == (message.body,)


async def test_what_waited_for_a_claim_is_fenced_by_it(store: Store) -> None:
    session = await new_run(store, "run_1")

    early = store.write_out(session.id, session.epoch, chunks("early"))
    claiming = asyncio.ensure_future(store.claim(session.id, run_id="run_2"))
    await asyncio.sleep(0)  # it has been called now
    late = store.write_out(session.id, session.epoch, chunks("late"))

    assert (await early).first == 0
    assert (await claiming).out_tail == 1
    with pytest.raises(Fenced):
        await late
    assert await out_of(store, session.id) == numbered(chunk("early"))


# --- reading and trimming -------------------------------------------------------------------


async def test_a_stream_nobody_has_written_to_reads_as_empty(store: Store) -> None:
    session = await new_session(store)

    assert await store.read_out(session.id) == []
    assert await store.read_out(session.id, after=Cursor(7)) == []


async def test_reading_from_any_cursor_gives_exactly_what_follows_it(store: Store) -> None:
    session = await new_run(store)
    for size in (1, 3, 2, 4):
        tail = (await store.session(session.id)).out_tail
        texts = (f"{n}" for n in range(tail, tail + size))
        await store.write_out(session.id, session.epoch, chunks(*texts))
    everything = numbered(*(chunk(f"{n}") for n in range(10)))

    for after in range(-1, 10):
        assert await out_of(store, session.id, after=after) == everything[after + 1 :]
    assert await store.read_out(session.id, after=Cursor(10**30)) == []
    assert await out_of(store, session.id, after=-(10**30)) == everything


@pytest.mark.parametrize(
    ("after", "limit", "firsts"),
    [
        (-1, 1024, [0, 1, 4]),
        (-1, 1, [0]),
        (-1, 4, [0, 1]),
        (-1, 5, [0, 1]),
        (0, 1, [1]),  # the first batch comes whole, whatever the limit
        (1, 2, [2]),
        (1, 4, [2, 4]),
        (3, 10**30, [4]),
    ],
)
async def test_a_limit_is_kept_in_whole_batches(
    store: Store, after: int, limit: int, firsts: list[int]
) -> None:
    session = await new_run(store)
    for write in (chunks("0"), chunks("1", "2", "3"), chunks("4", "5")):
        await store.write_out(session.id, session.epoch, write)

    batches = await store.read_out(session.id, after=Cursor(after), limit=limit)

    assert [batch.first for batch in batches] == firsts


async def test_a_limit_must_let_something_through(store: Store) -> None:
    session = await new_session(store)

    with pytest.raises(InvalidInput):
        await store.read_out(session.id, limit=0)


async def test_the_first_turn_is_kept_until_the_second_has_ended(store: Store) -> None:
    session = await new_run(store)
    await store.write_out(session.id, session.epoch, chunks("a"))
    await store.write_out(session.id, session.epoch, turn("b"))
    await store.write_out(session.id, session.epoch, chunks("c"))

    kept = await store.session(session.id)
    assert (kept.out_base, kept.turn_end) == (0, 2)
    assert await out_of(store, session.id) == numbered(chunk("a"), chunk("b"), TURN_END, chunk("c"))


async def test_a_turn_that_ends_leaves_nothing_before_the_turn_complete_before_it(
    store: Store,
) -> None:
    session = await new_run(store)
    await store.write_out(session.id, session.epoch, turn("a", "b"))
    await store.write_out(session.id, session.epoch, chunks("c"))
    await store.write_out(session.id, session.epoch, turn("d"))

    kept = await store.session(session.id)
    assert (kept.out_base, kept.out_tail, kept.turn_end) == (2, 6, 5)
    left = numbered(TURN_END, chunk("c"), chunk("d"), TURN_END, first=2)
    assert await out_of(store, session.id) == left
    assert await out_of(store, session.id, after=0) == left
    assert await out_of(store, session.id, after=3) == left[2:]


async def test_numbers_go_on_through_a_hundred_trims(store: Store) -> None:
    session = await new_run(store)

    for n in range(100):
        written = await store.write_out(session.id, session.epoch, turn(f"{n}"))
        assert written.first == 2 * n

    kept = await store.session(session.id)
    assert (kept.out_base, kept.out_tail, kept.turn_end) == (197, 200, 199)
    assert await out_of(store, session.id) == numbered(TURN_END, chunk("99"), TURN_END, first=197)


async def test_turns_that_end_in_one_go_are_trimmed_like_others(store: Store) -> None:
    session = await new_run(store)

    await asyncio.gather(
        *(store.write_out(session.id, session.epoch, turn(f"{n}")) for n in range(10))
    )

    assert await out_of(store, session.id) == numbered(TURN_END, chunk("9"), TURN_END, first=17)


async def test_a_trim_leaves_other_sessions_alone(store: Store) -> None:
    one, two = await new_run(store), await new_run(store)
    await store.write_out(two.id, two.epoch, chunks("a", "b"))

    for n in range(3):
        await store.write_out(one.id, one.epoch, turn(f"{n}"))

    assert await out_of(store, two.id) == numbered(chunk("a"), chunk("b"))


async def test_lines_come_back_byte_for_byte(store: Store) -> None:
    session = await new_run(store)
    lines = (b"{}", b"", b'"\\n"', "\u2028 ü 😀\r\0".encode(), b"[" * 100_000, b"1 2 3")

    await store.write_out(session.id, session.epoch, OutWrite(lines))

    assert await out_of(store, session.id) == numbered(*lines)


async def test_a_run_goes_on_where_the_one_before_it_stopped(store: Store) -> None:
    first = await new_run(store, "run_1")
    await store.write_out(first.id, first.epoch, chunks("half an ans"))
    second = await store.claim(first.id, run_id="run_2")

    batch = await store.write_out(second.id, second.epoch, turn("wer"))

    assert (second.out_tail, batch.first) == (1, 1)
    assert (await store.session(first.id)).turn_end == 2
