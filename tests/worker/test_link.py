"""Frames survive any split, and messages survive both links."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.errors import LinkBroken
from chatrun.store.base import OutWrite, PutMessage, RemoveMessage, TruncateAfter
from chatrun.wire.records import InRecord
from chatrun.worker.link import FrameReader, encode_frame, memory_links, open_socket_link
from chatrun.worker.protocol import (
    Acknowledge,
    BrokenFile,
    Committed,
    Configure,
    Deliver,
    Leave,
    Message,
    Ping,
    Pong,
    Ready,
    Report,
    RunEnded,
    RunLost,
    StartRun,
    TaskInfo,
    Write,
    from_frame,
    to_frame,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORDS = (InRecord(3, 1, "p", "höre\u2028\n"), InRecord(4, 2, "q", ""))

MESSAGES: list[Message] = [
    Configure("/x", ("a/*",), ("b",), show_errors=True, dotenv="/x/.env"),
    StartRun(1, "r", "s", "c", "t", None, False, -1, {"stops": 2}, (b'{"id":"m"}',), RECORDS),
    Deliver(1, RECORDS),
    Leave(),
    Leave(7, stop=True),
    Acknowledge(1, 65536),
    Committed(1, 99),
    RunLost(1, "fenced", "gone"),
    Ping(1),
    Pong(1),
    Ready(
        42,
        (TaskInfo("t", "t.py", 3, "Does.", "keep"),),
        (BrokenFile("x.py", None, "m"),),
        ("t.py", "u.py"),
    ),
    Write(1, OutWrite(lines=(b'{"type":"start"}',))),
    Write(1, OutWrite(lines=(b"{}", b"[1]"))),
    Write(1, OutWrite(in_cursor=4), waits=True),
    Write(
        1,
        OutWrite(
            lines=(b"{}",),
            changes=(
                TruncateAfter(None),
                PutMessage("m", b'{"id":"m"}'),
                RemoveMessage("n"),
                PutMessage("o", b"{}"),
                TruncateAfter("o"),
            ),
            in_cursor=0,
            state={"stops": 1},
            ends_turn=True,
        ),
        waits=True,
    ),
    RunEnded(1, "idle"),
    RunEnded(1, "failed", "ValueError: x"),
    Report({"event": "turn-started"}),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_reads_back_as_it_was(message: Message) -> None:
    header, body = to_frame(message)
    (frame,) = FrameReader().feed(encode_frame(header, body))

    assert from_frame(*frame) == message


@given(
    st.lists(st.tuples(st.dictionaries(st.text(max_size=3), st.integers(0, 9)), st.binary())),
    st.lists(st.integers(1, 40), min_size=1),
)
def test_frames_come_out_whole_wherever_the_bytes_are_split(
    frames: list[tuple[dict[str, int], bytes]], cuts: list[int]
) -> None:
    stream = b"".join(encode_frame(*frame) for frame in frames)
    reader, found, at, turn = FrameReader(), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        found += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1

    assert found == frames


def test_bytes_that_are_no_frame_are_refused() -> None:
    with pytest.raises(LinkBroken):
        FrameReader().feed(b"GET / HTTP/1.1\r\n\r\n")


async def test_a_socket_link_carries_messages_both_ways_and_tells_of_its_end() -> None:
    left_sock, right_sock = socket.socketpair()
    for sock in (left_sock, right_sock):
        sock.setblocking(False)
    got: asyncio.Queue[tuple[str, Mapping[str, Any], bytes]] = asyncio.Queue()
    closed = [asyncio.Event(), asyncio.Event()]
    left = await open_socket_link(
        left_sock, lambda h, b: got.put_nowait(("left", h, b)), closed[0].set
    )
    right = await open_socket_link(
        right_sock, lambda h, b: got.put_nowait(("right", h, b)), closed[1].set
    )

    left.send({"t": "a"}, b"x" * 300_000)
    right.send({"t": "b"})
    async with asyncio.timeout(5):
        seen = sorted([await got.get(), await got.get()], key=lambda item: item[0])
        left.close()
        await asyncio.gather(*(event.wait() for event in closed))
    left.send({"t": "too late"})

    assert seen == [("left", {"t": "b"}, b""), ("right", {"t": "a"}, b"x" * 300_000)]


async def test_a_memory_link_carries_messages_and_closes_both_ends() -> None:
    got: list[object] = []
    closed = [asyncio.Event(), asyncio.Event()]
    left, right = memory_links()
    left.listen(lambda h, b: got.append(("left", h, b)), closed[0].set)
    right.listen(lambda h, b: got.append(("right", h, b)), closed[1].set)

    left.send({"t": "a"}, b"x")
    left.close()
    left.close()
    async with asyncio.timeout(5):
        await asyncio.gather(*(event.wait() for event in closed))

    assert got == [("right", {"t": "a"}, b"x")]
