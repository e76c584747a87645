"""Every record exactly once, whatever the connection does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.client.timing import Timing
from chatrun.client.transport import Transport
from chatrun.errors import LinkBroken, SessionNotFound, TokenInvalid
from tests.client.scripted import Connection, ScriptedServer, chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

QUICK = Timing(first_wait_s=0.001, longest_wait_s=0.002, away_s=0.1, stall_s=0.1)
RECORDS = [chunk(seq, delta=str(seq)) for seq in range(6)]


@asynccontextmanager
async def connected(server: ScriptedServer, timing: Timing = QUICK) -> AsyncIterator[Transport]:
    async with Transport(server.url, secret="s", timing=timing) as transport:
        yield transport


async def seqs(transport: Transport, *, count: int, after: int = -1) -> list[int]:
    follower = transport.follow("c", after=after)
    try:
        return [(await anext(follower)).seq for _ in range(count)]
    finally:
        follower.close()


async def test_records_come_in_order_behind_the_cursor(server: ScriptedServer) -> None:
    server.connections.append(Connection(RECORDS, stays=True))

    async with connected(server) as transport:
        assert await seqs(transport, count=4, after=1) == [2, 3, 4, 5]

    assert server.opened[0]["last-event-id"] == "1"
    assert server.opened[0]["timeout-seconds"] == "120"
    assert server.opened[0]["authorization"] == "Bearer s"


@pytest.mark.parametrize("cut", range(1, 6))
@pytest.mark.parametrize("breaks", [True, False], ids=["cut off", "ended"])
async def test_a_stream_that_breaks_anywhere_goes_on_behind_the_last_record(
    server: ScriptedServer, cut: int, breaks: bool
) -> None:
    server.connections += [
        Connection(RECORDS[:cut], breaks=breaks),
        Connection(RECORDS, stays=True),
    ]

    async with connected(server) as transport:
        assert await seqs(transport, count=6) == [0, 1, 2, 3, 4, 5]

    assert server.opened[1]["last-event-id"] == str(cut - 1)


async def test_a_server_that_replays_too_much_causes_no_duplicates(server: ScriptedServer) -> None:
    replayed = Connection(RECORDS[:3] + RECORDS[:3] + RECORDS, stays=True)
    server.connections += [replayed]

    async with connected(server) as transport:
        assert await seqs(transport, count=6) == [0, 1, 2, 3, 4, 5]


async def test_a_silent_stream_is_opened_anew(server: ScriptedServer) -> None:
    server.connections += [Connection(RECORDS[:1], stays=True), Connection(RECORDS, stays=True)]

    async with connected(server) as transport:
        assert await seqs(transport, count=2) == [0, 1]

    assert len(server.opened) == 2


async def test_five_ends_in_a_row_without_a_record_are_borne_and_the_sixth_is_not(
    server: ScriptedServer,
) -> None:
    server.connections.append(Connection([]))

    async with connected(server) as transport:
        with pytest.raises(LinkBroken, match="broke off 6 times in a row without a record"):
            await seqs(transport, count=1)

    assert len(server.opened) == 6


async def test_a_record_makes_up_for_earlier_ends(server: ScriptedServer) -> None:
    for last in range(1, 4):
        server.connections += [Connection([])] * 4 + [Connection(RECORDS[:last])]
    server.connections.append(Connection(RECORDS, stays=True))

    async with connected(server) as transport:
        assert await seqs(transport, count=6) == [0, 1, 2, 3, 4, 5]


async def test_an_overloaded_server_is_tried_again(server: ScriptedServer) -> None:
    server.connections += [Connection(status=503)] * 3 + [Connection(RECORDS, stays=True)]

    async with connected(server) as transport:
        assert await seqs(transport, count=1) == [0]

    assert len(server.opened) == 4


@pytest.mark.parametrize(("status", "error"), [(404, SessionNotFound), (401, TokenInvalid)])
async def test_a_refusal_is_not_tried_again(
    server: ScriptedServer, status: int, error: type[Exception]
) -> None:
    server.connections.append(Connection(status=status))

    async with connected(server) as transport:
        with pytest.raises(error):
            await seqs(transport, count=1)

    assert len(server.opened) == 1


async def test_a_settled_stream_ends_behind_what_is_left(server: ScriptedServer) -> None:
    server.connections.append(Connection(RECORDS[:2], settled=True))

    async with connected(server) as transport:
        follower = transport.follow("c", peek=True)
        await follower.open()
        found = [record.seq async for record in follower]

    assert follower.settled
    assert found == [0, 1]
    assert server.opened[0]["x-peek-settled"] == "1"


async def test_a_record_put_back_comes_again(server: ScriptedServer) -> None:
    server.connections.append(Connection(RECORDS, stays=True))

    async with connected(server) as transport:
        follower = transport.follow("c")
        first = await anext(follower)
        follower.put_back(first)
        assert follower.cursor == -1
        assert await anext(follower) is first
        assert (await anext(follower)).seq == 1
        follower.close()


async def test_the_callers_own_slowness_is_not_the_servers_silence(server: ScriptedServer) -> None:
    server.connections.append(Connection(RECORDS, stays=True))

    async with connected(server, Timing(stall_s=0.05)) as transport:
        follower = transport.follow("c")
        for _ in RECORDS:
            await anext(follower)
            await asyncio.sleep(0.06)
        follower.close()

    assert len(server.opened) == 1


@given(st.integers(1, 40), st.floats(0, 1))
def test_waits_grow_to_a_limit_and_are_never_less_than_half(tries: int, chance: float) -> None:
    wait_s = Timing().wait_s(tries, chance=lambda: chance)

    longest = min(0.1 * 2 ** (tries - 1), 5.0)
    assert longest / 2 <= wait_s <= longest
