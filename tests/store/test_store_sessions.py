"""Sessions: made once, found by both ids, changed, closed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chatrun.errors import InvalidInput, SessionClosed, SessionExpired, SessionNotFound
from chatrun.store.base import NewSession, OutWrite, Session, SessionChange
from tests.store.kit import chunks, new_run, new_session, turn

if TYPE_CHECKING:
    from chatrun.store.base import Store
    from tests.store.kit import Clock

HALF = "\ud83d"  # the first half of a character outside the basic plane


async def test_a_new_session_is_as_it_was_asked_for(store: Store, clock: Clock) -> None:
    new = NewSession(
        task_id="my-chat",
        external_id="chat-1",
        type="chat.agent",
        trigger_config={"basePayload": {"chatId": "chat-1", "n": [1, None, "ü"]}},
        tags=("b", "a"),
        metadata={"user": "u1"},
        expires_at_ms=clock.now_ms + 1,
    )

    session, is_new = await store.create_session(new)

    assert is_new
    assert session.id.startswith("session_")
    assert session == Session(
        id=session.id,
        external_id="chat-1",
        type="chat.agent",
        task_id="my-chat",
        trigger_config={"basePayload": {"chatId": "chat-1", "n": [1, None, "ü"]}},
        tags=("b", "a"),
        metadata={"user": "u1"},
        created_at_ms=clock.now_ms,
        updated_at_ms=clock.now_ms,
        closed_at_ms=None,
        closed_reason=None,
        expires_at_ms=clock.now_ms + 1,
        run_id=None,
        previous_run_id=None,
        epoch=0,
        in_tail=0,
        in_cursor=-1,
        out_tail=0,
        out_base=0,
        turn_end=-1,
        state={},
    )
    assert await store.session(session.id) == session
    assert await store.session("chat-1") == session


async def test_without_an_external_id_each_session_is_new(store: Store) -> None:
    new = NewSession("my-chat")

    (one, one_is_new), (two, two_is_new) = [await store.create_session(new) for _ in range(2)]

    assert one_is_new
    assert two_is_new
    assert one.id != two.id
    assert one.key == one.id
    assert one.metadata is None


async def test_an_existing_session_only_gets_the_new_trigger_config(
    store: Store, clock: Clock
) -> None:
    first, _ = await store.create_session(
        NewSession("my-chat", "c", trigger_config={"v": 1}, tags=("a",), metadata={"m": 1})
    )
    clock.now_ms += 5

    second, is_new = await store.create_session(
        NewSession("other", "c", "other.type", {"v": 2}, ("b",), {"m": 2}, clock.now_ms + 1)
    )

    assert not is_new
    assert second == replace(first, trigger_config={"v": 2}, updated_at_ms=clock.now_ms)
    assert await store.session("c") == second


async def test_concurrent_creations_with_one_external_id_make_one_session(store: Store) -> None:
    made = await asyncio.gather(*(store.create_session(NewSession("t", "c")) for _ in range(20)))

    assert len({session.id for session, _ in made}) == 1
    assert [is_new for _, is_new in made].count(True) == 1


async def test_what_the_caller_does_to_its_dict_later_changes_nothing(store: Store) -> None:
    config: dict[str, object] = {"v": 1}
    session, _ = await store.create_session(NewSession("t", trigger_config=config))

    config["v"] = 2

    assert (await store.session(session.id)).trigger_config == {"v": 1}


@pytest.mark.parametrize("ref", ["", "nobody", "session_0", HALF, "nul\0", "' OR 1=1 --"])
async def test_an_unknown_session_is_not_found(store: Store, ref: str) -> None:
    await new_session(store, "chat-1")

    with pytest.raises(SessionNotFound):
        await store.session(ref)


async def test_every_method_that_takes_an_id_says_when_there_is_no_such_session(
    store: Store,
) -> None:
    await new_session(store, "chat-1")

    for session_id in ("chat-1", "session_0", HALF):  # an external id is none of them
        for call in (
            store.update_session(session_id, SessionChange()),
            store.close_session(session_id, reason=None),
            store.append_in(session_id, "hi", part_id="p"),
            store.read_in(session_id),
            store.claim(session_id, run_id="run_1"),
            store.release(session_id, 1),
            store.write_out(session_id, 1, chunks("hi")),
            store.read_out(session_id),
            store.read_transcript(session_id),
        ):
            with pytest.raises(SessionNotFound):
                await call


async def test_a_change_replaces_what_it_names_and_keeps_the_rest(
    store: Store, clock: Clock
) -> None:
    session, _ = await store.create_session(
        NewSession("t", trigger_config={"v": 1}, tags=("a",), metadata={"m": 1})
    )
    clock.now_ms += 5

    tagged = await store.update_session(session.id, SessionChange(tags=("b", "c")))
    configured = await store.update_session(session.id, SessionChange(trigger_config={"v": 2}))
    described = await store.update_session(
        session.id, SessionChange(set_metadata=True, metadata={"m": 2})
    )
    cleared = await store.update_session(
        session.id, SessionChange(tags=(), set_metadata=True, metadata=None)
    )

    assert tagged == replace(session, tags=("b", "c"), updated_at_ms=clock.now_ms)
    assert configured == replace(tagged, trigger_config={"v": 2})
    assert described == replace(configured, metadata={"m": 2})
    assert cleared == replace(described, metadata=None, tags=())
    assert await store.session(session.id) == cleared


async def test_metadata_stays_when_it_is_not_to_be_set(store: Store) -> None:
    session, _ = await store.create_session(NewSession("t", metadata={"m": 1}))

    changed = await store.update_session(session.id, SessionChange(metadata={"m": 2}))

    assert changed.metadata == {"m": 1}


async def test_the_first_reason_for_closing_stays(store: Store, clock: Clock) -> None:
    session = await new_session(store, "c")
    clock.now_ms += 5

    closed = await store.close_session(session.id, reason="done")
    clock.now_ms += 5
    again = await store.close_session(session.id, reason="other")

    closed_at = clock.now_ms - 5
    assert closed == replace(
        session, closed_at_ms=closed_at, closed_reason="done", updated_at_ms=closed_at
    )
    assert again == closed
    assert closed.status(clock.now_ms) == "CLOSED"


async def test_a_session_may_be_closed_without_a_reason(store: Store) -> None:
    session = await new_session(store, "c")
    await store.close_session(session.id, reason=None)

    with pytest.raises(SessionClosed) as refused:
        await store.create_session(NewSession("t", "c"))

    assert refused.value.reason is None


async def test_a_closed_session_takes_no_records_and_is_not_made_again(store: Store) -> None:
    session = await new_session(store, "c")
    await store.close_session(session.id, reason="done")

    with pytest.raises(SessionClosed) as refused:
        await store.append_in(session.id, "hi", part_id="p")
    assert refused.value.reason == "done"
    with pytest.raises(SessionClosed):
        await store.create_session(NewSession("t", "c"))
    assert await store.read_in(session.id) == []


async def test_an_expired_session_takes_no_records_and_is_not_made_again(
    store: Store, clock: Clock
) -> None:
    session, _ = await store.create_session(
        NewSession("t", "c", expires_at_ms=clock.now_ms + 1_000)
    )
    await store.append_in(session.id, "in time", part_id="p1")
    clock.now_ms += 1_000

    with pytest.raises(SessionExpired):
        await store.append_in(session.id, "too late", part_id="p2")
    with pytest.raises(SessionExpired):
        await store.create_session(NewSession("t", "c"))
    assert [record.body for record in await store.read_in(session.id)] == ["in time"]
    assert (await store.session("c")).status(clock.now_ms) == "EXPIRED"


async def test_a_closed_session_still_lets_its_run_finish(store: Store) -> None:
    session = await new_run(store)
    await store.write_out(session.id, session.epoch, chunks("a"))
    await store.close_session(session.id, reason=None)

    await store.write_out(session.id, session.epoch, turn("b"))

    assert (await store.session(session.id)).turn_end == 2


async def test_updated_at_tells_the_last_write_but_chunks(store: Store, clock: Clock) -> None:
    session = await new_run(store)
    seen = [clock.now_ms]

    async def touched() -> bool:
        seen.append((await store.session(session.id)).updated_at_ms)
        assert seen[-1] in (seen[-2], clock.now_ms)
        return seen[-1] == clock.now_ms

    clock.now_ms += 1
    await store.write_out(session.id, session.epoch, chunks("a"))
    assert not await touched()
    await store.append_in(session.id, "hi", part_id="p")
    assert await touched()
    clock.now_ms += 1
    await store.write_out(session.id, session.epoch, OutWrite(state={"n": 1}))
    assert await touched()
    clock.now_ms += 1
    await store.write_out(session.id, session.epoch, turn())
    assert await touched()
    clock.now_ms += 1
    await store.release(session.id, session.epoch)
    assert await touched()


@pytest.mark.parametrize(
    "new",
    [
        NewSession(HALF),
        NewSession("t", HALF),
        NewSession("t", type=HALF),
        NewSession("t", tags=("ok", HALF)),
        NewSession("t", trigger_config={"a": HALF}),
        NewSession("t", metadata={"a": object()}),
    ],
)
async def test_what_cannot_be_kept_makes_no_session(store: Store, new: NewSession) -> None:
    with pytest.raises(InvalidInput):
        await store.create_session(new)

    assert await store.unfinished_sessions() == []


async def test_half_a_character_is_refused_wherever_text_is_taken(store: Store) -> None:
    session = await new_run(store)

    for call in (
        store.update_session(session.id, SessionChange(tags=(HALF,))),
        store.close_session(session.id, reason=HALF),
        store.append_in(session.id, HALF, part_id="p"),
        store.append_in(session.id, "hi", part_id=HALF),
        store.claim(session.id, run_id=HALF),
        store.write_out(session.id, session.epoch, OutWrite(state={"a": HALF})),
    ):
        with pytest.raises(InvalidInput):
            await call

    assert await store.session(session.id) == session


async def test_unfinished_sessions_are_those_a_crash_may_have_left(store: Store) -> None:
    idle = await new_session(store)
    unread = await new_session(store)
    await store.append_in(unread.id, "hi", part_id="p")
    held = await new_run(store)
    streaming = await new_run(store)
    await store.write_out(streaming.id, streaming.epoch, chunks("a"))
    await store.release(streaming.id, streaming.epoch)
    answered = await new_run(store)
    await store.append_in(answered.id, "hi", part_id="p")
    await store.write_out(answered.id, answered.epoch, turn("a"))
    await store.write_out(answered.id, answered.epoch, OutWrite(in_cursor=0))
    await store.release(answered.id, answered.epoch)
    await store.close_session(unread.id, reason=None)

    assert await store.unfinished_sessions() == [unread.id, held.id, streaming.id]
    assert (await store.session(idle.id)).out_tail == 0


async def test_a_session_is_unfinished_again_when_it_goes_on_after_a_turn(store: Store) -> None:
    session = await new_run(store)
    await store.write_out(session.id, session.epoch, turn("a"))
    await store.release(session.id, session.epoch)
    assert await store.unfinished_sessions() == []

    again = await store.claim(session.id, run_id="run_2")
    await store.write_out(session.id, again.epoch, chunks("b"))
    await store.release(session.id, again.epoch)

    assert await store.unfinished_sessions() == [session.id]
