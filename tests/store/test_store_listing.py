"""Listings: newest first, filtered, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatrun.errors import InvalidInput
from chatrun.store.base import NewSession, SessionPage, SessionQuery
from tests.store.kit import new_session

if TYPE_CHECKING:
    from chatrun.store.base import Session, Store
    from tests.store.kit import Clock


async def make(store: Store, count: int) -> list[Session]:
    """Return sessions of the same millisecond, newest first."""
    made = [await new_session(store, f"chat-{number}") for number in range(count)]
    return made[::-1]


async def test_an_empty_store_lists_nothing(store: Store) -> None:
    assert await store.list_sessions(SessionQuery()) == SessionPage((), False, False)


async def test_pages_follow_one_another_without_gap_or_overlap(store: Store) -> None:
    made = await make(store, 7)

    first = await store.list_sessions(SessionQuery(limit=3))
    second = await store.list_sessions(SessionQuery(limit=3, after=made[2].id))
    third = await store.list_sessions(SessionQuery(limit=3, after=made[5].id))
    back = await store.list_sessions(SessionQuery(limit=3, before=made[6].id))
    to_the_front = await store.list_sessions(SessionQuery(limit=3, before=made[3].id))

    assert first == SessionPage(tuple(made[:3]), has_older=True, has_newer=False)
    assert second == SessionPage(tuple(made[3:6]), has_older=True, has_newer=True)
    assert third == SessionPage((made[6],), has_older=False, has_newer=True)
    assert back == SessionPage(tuple(made[3:6]), has_older=True, has_newer=True)
    assert to_the_front == SessionPage(tuple(made[:3]), has_older=True, has_newer=False)


@pytest.mark.parametrize("count", [1, 2])
async def test_beyond_the_ends_there_is_nothing_but_the_way_back(store: Store, count: int) -> None:
    made = await make(store, count)

    behind = await store.list_sessions(SessionQuery(after=made[-1].id))
    in_front = await store.list_sessions(SessionQuery(before=made[0].id))

    assert behind == SessionPage((), has_older=False, has_newer=True)
    assert in_front == SessionPage((), has_older=True, has_newer=False)


async def test_a_clock_that_is_set_back_does_not_disturb_the_order(
    store: Store, clock: Clock
) -> None:
    old = await new_session(store, "old")
    clock.now_ms -= 86_400_000
    new = await new_session(store, "new")

    page = await store.list_sessions(SessionQuery())

    assert page.sessions == (new, old)


async def test_a_new_session_does_not_move_the_pages_behind_it(store: Store) -> None:
    made = await make(store, 4)
    await store.list_sessions(SessionQuery(limit=2))
    await new_session(store, "late")

    page = await store.list_sessions(SessionQuery(limit=2, after=made[1].id))

    assert page == SessionPage(tuple(made[2:]), has_older=False, has_newer=True)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, "e d c b a"),
        ({"types": ("x", "y")}, "b a"),
        ({"task_ids": ("one",)}, "c b a"),
        ({"task_ids": ("one", "two")}, "e d c b a"),
        ({"tags": ("red",)}, "c a"),
        ({"tags": ("red", "blue")}, "c b a"),
        ({"tags": ("re",)}, ""),
        ({"statuses": ("ACTIVE",)}, "e c b a"),
        ({"statuses": ("CLOSED",)}, "d"),
        ({"statuses": ("EXPIRED", "CLOSED")}, "d"),
        ({"external_id": "b"}, "b"),
        ({"external_id": "B"}, ""),
        ({"created_from_ms": 1_700_000_002_000}, "e d c"),
        ({"created_to_ms": 1_700_000_002_000}, "c b a"),
        ({"created_from_ms": -(10**30), "created_to_ms": 10**30}, "e d c b a"),
        ({"tags": ("red",), "types": ("x",), "task_ids": ("one",)}, "a"),
        ({"tags": ('") OR 1=1 --',), "types": ("'",)}, ""),
    ],
)
async def test_a_listing_passes_every_filter(
    store: Store, clock: Clock, filters: dict[str, Any], names: str
) -> None:
    later = clock.now_ms + 3_600_000
    for new in (
        NewSession("one", "a", type="x", tags=("red", "blue"), expires_at_ms=later),
        NewSession("one", "b", type="y", tags=("blue",)),
        NewSession("one", "c", tags=("red",)),
        NewSession("two", "d"),
        NewSession("two", "e", metadata={"tags": ["red"]}),
    ):
        await store.create_session(new)
        clock.now_ms += 1_000
    await store.close_session((await store.session("d")).id, reason=None)

    page = await store.list_sessions(SessionQuery(**filters))

    assert [session.external_id for session in page.sessions] == names.split()
    assert (page.has_older, page.has_newer) == (False, False)


async def test_an_expired_session_is_listed_as_that_from_the_moment_on(
    store: Store, clock: Clock
) -> None:
    moment = clock.now_ms + 1_000
    session, _ = await store.create_session(NewSession("t", "c", expires_at_ms=moment))

    async def found(*statuses: Any) -> bool:
        return bool((await store.list_sessions(SessionQuery(statuses=statuses))).sessions)

    clock.now_ms = moment - 1
    assert (await found("ACTIVE"), await found("EXPIRED")) == (True, False)
    clock.now_ms = moment
    assert (await found("ACTIVE"), await found("EXPIRED")) == (False, True)
    await store.close_session(session.id, reason=None)
    assert (await found("EXPIRED"), await found("CLOSED")) == (False, True)


async def test_pages_of_a_filtered_listing_know_only_what_passes(store: Store) -> None:
    for name, task in zip("abcdef", ("one", "two") * 3, strict=True):
        await store.create_session(NewSession(task, name))
    c = await store.session("c")

    older = await store.list_sessions(SessionQuery(limit=1, task_ids=("two",), after=c.id))
    newer = await store.list_sessions(SessionQuery(limit=1, task_ids=("two",), before=c.id))

    b, d = await store.session("b"), await store.session("d")
    assert older == SessionPage((b,), has_older=False, has_newer=True)
    assert newer == SessionPage((d,), has_older=True, has_newer=True)


@pytest.mark.parametrize(
    "query",
    [
        SessionQuery(limit=0),
        SessionQuery(limit=-1),
        SessionQuery(after="session_0"),
        SessionQuery(before="session_0"),
        SessionQuery(after=""),
        SessionQuery(after="chat-0"),
        SessionQuery(after="\ud800"),
        SessionQuery(tags=("\ud800",)),
        SessionQuery(external_id="\udfff"),
    ],
)
async def test_a_query_that_cannot_be_answered_is_refused(
    store: Store, query: SessionQuery
) -> None:
    await make(store, 1)

    with pytest.raises(InvalidInput):
        await store.list_sessions(query)


async def test_a_listing_goes_one_way_only(store: Store) -> None:
    (session,) = await make(store, 1)

    with pytest.raises(InvalidInput):
        await store.list_sessions(SessionQuery(after=session.id, before=session.id))
