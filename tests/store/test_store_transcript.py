"""The transcript: messages in order, changed together with the stream, read in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chatrun.errors import InvalidInput
from chatrun.store.base import (
    OutWrite,
    PutMessage,
    RemoveMessage,
    TranscriptChange,
    TranscriptPage,
    TruncateAfter,
)
from tests.store.kit import new_run, new_session

if TYPE_CHECKING:
    from chatrun.store.base import Session, Store


def put(name: str, text: str = "") -> PutMessage:
    return PutMessage(name, f"{name}{text}".encode())


async def change(store: Store, session: Session, *changes: TranscriptChange) -> str:
    """Make `changes` in one write; return the whole transcript."""
    await store.write_out(session.id, session.epoch, OutWrite(changes=changes))
    page = await store.read_transcript(session.id)
    assert page.next_before is None
    return b" ".join(page.messages).decode()


async def test_a_new_transcript_is_empty(store: Store) -> None:
    session = await new_session(store)

    assert await store.read_transcript(session.id) == TranscriptPage((), None)
    assert await store.read_transcript(session.id, limit=5) == TranscriptPage((), None)


async def test_messages_keep_the_order_in_which_they_were_first_put(store: Store) -> None:
    session = await new_run(store)

    assert await change(store, session, put("c"), put("a"), put("b")) == "c a b"
    assert await change(store, session, put("a", "2"), put("d")) == "c a2 b d"


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ((RemoveMessage("b"),), "a c d"),
        ((RemoveMessage("x"),), "a b c d"),
        ((RemoveMessage("b"), put("b", "2")), "a c d b2"),
        ((RemoveMessage("d"), put("e")), "a b c e"),
        ((put("b", "2"), RemoveMessage("b")), "a c d"),
        ((TruncateAfter("b"),), "a b"),
        ((TruncateAfter("d"),), "a b c d"),
        ((TruncateAfter("x"),), "a b c d"),
        ((TruncateAfter(None),), ""),
        ((TruncateAfter(None), put("e"), put("a", "2")), "e a2"),
        ((TruncateAfter("a"), put("c", "2"), put("b", "2")), "a c2 b2"),
        ((RemoveMessage("a"), TruncateAfter("a")), "b c d"),
        ((put("e"), TruncateAfter("c"), put("d", "2")), "a b c d2"),
    ],
)
async def test_changes_happen_one_after_another(
    store: Store, changes: tuple[TranscriptChange, ...], left: str
) -> None:
    session = await new_run(store)
    await change(store, session, put("a"), put("b"), put("c"), put("d"))

    assert await change(store, session, *changes) == left


async def test_transcripts_of_two_sessions_do_not_mix(store: Store) -> None:
    one, two = await new_run(store), await new_run(store)
    await change(store, one, put("a"), put("b"))
    await change(store, two, put("a", " of two"), put("c"))

    assert await change(store, one, RemoveMessage("c"), TruncateAfter("a")) == "a"
    assert await change(store, two) == "a of two c"


async def test_pages_go_back_from_the_end_to_the_first_message(store: Store) -> None:
    session = await new_run(store)
    await change(store, session, *(put(name) for name in "abcdefg"))
    await change(store, session, RemoveMessage("d"))

    pages = []
    before = None
    while True:
        page = await store.read_transcript(session.id, limit=2, before=before)
        pages.append(b"".join(page.messages).decode())
        before = page.next_before
        if before is None:
            break

    assert pages == ["fg", "ce", "ab"]


async def test_a_page_stays_where_it_was_while_the_chat_goes_on(store: Store) -> None:
    session = await new_run(store)
    await change(store, session, *(put(name) for name in "abcd"))
    first = await store.read_transcript(session.id, limit=2)
    await change(store, session, put("e"), put("b", "2"), RemoveMessage("d"))

    second = await store.read_transcript(session.id, limit=2, before=first.next_before)
    rest = await store.read_transcript(session.id, before=first.next_before)

    assert second == rest == TranscriptPage((b"a", b"b2"), None)


async def test_a_limit_that_is_not_reached_leaves_nothing_older(store: Store) -> None:
    session = await new_run(store)
    await change(store, session, put("a"), put("b"))

    for limit in (2, 3, None):
        page = await store.read_transcript(session.id, limit=limit)
        assert page == TranscriptPage((b"a", b"b"), None)


@pytest.mark.parametrize("before", ["", "x", "-1", "1.0", "²", "١", "1" * 19, "\ud800", "1\n"])
async def test_only_what_a_page_said_continues_it(store: Store, before: str) -> None:
    session = await new_run(store)
    await change(store, session, put("a"))

    with pytest.raises(InvalidInput):
        await store.read_transcript(session.id, before=before)


async def test_a_page_must_have_room_for_a_message(store: Store) -> None:
    session = await new_session(store)

    with pytest.raises(InvalidInput):
        await store.read_transcript(session.id, limit=0)


async def test_bodies_come_back_byte_for_byte(store: Store) -> None:
    session = await new_run(store)
    bodies = (b"", "ü\n\0,".encode(), b"x" * 1_000_000, b"\n")

    await store.write_out(
        session.id,
        session.epoch,
        OutWrite(changes=tuple(PutMessage(f"{n}", body) for n, body in enumerate(bodies))),
    )

    assert (await store.read_transcript(session.id)).messages == bodies


@pytest.mark.parametrize("change_type", [lambda name: PutMessage(name, b"{}"), RemoveMessage])
async def test_half_a_character_in_a_message_id_is_refused(store: Store, change_type: type) -> None:
    session = await new_run(store)

    with pytest.raises(InvalidInput):
        await store.write_out(session.id, session.epoch, OutWrite(changes=(change_type("\ud800"),)))
