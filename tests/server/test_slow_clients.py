"""Clients that are slow, greedy or broken cost nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
import zlib
from typing import TYPE_CHECKING

import aiohttp
import pytest

from chatrun import Turn, chat
from tests.support.http import SECRET, Http, bearer, ends_turn, message_record, served, user_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

APPEND = "/realtime/v1/sessions/c/in/append"
OUT = "/realtime/v1/sessions/c/out"
HEAD = (
    f"POST {APPEND} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    f"Authorization: Bearer {SECRET}\r\n"
).encode()
FLOOD_CHUNKS = 400
FLOOD = "x" * 100_000


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        for _ in range(FLOOD_CHUNKS):
            yield FLOOD

    async with served(my_chat, head_limit_s=0.3, body_limit_s=0.3, slow_reader_s=0.3) as http:
        await http.create()
        yield http


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def closed_after(reader: asyncio.StreamReader) -> tuple[float, bytes]:
    """Return how long it takes until the server closes, and what it said before."""
    begun = time.monotonic()
    async with asyncio.timeout(10):
        said = await reader.read()
    return time.monotonic() - begun, said


@pytest.mark.parametrize("head", [b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Half: "])
async def test_half_a_head_is_waited_for_only_so_long(http: Http, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
    writer.write(head)

    took_s, said = await closed_after(reader)

    writer.close()
    assert (0.2 < took_s < 3, said) == (True, b"")


async def test_a_head_that_trickles_in_does_not_buy_time(http: Http) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
    closing = asyncio.create_task(closed_after(reader))
    for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n":
        if closing.done():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(0.03)

    took_s, said = await closing
    writer.close()
    assert (0.2 < took_s < 1, said) == (True, b"")


async def test_a_connection_between_two_requests_may_rest(http: Http) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    for pause_s in (0, 0.5):
        await asyncio.sleep(pause_s)
        writer.write(request)
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_half_a_body_is_waited_for_only_so_long(http: Http) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
    writer.write(HEAD + b'Content-Length: 100\r\n\r\n{"kind"')

    took_s, said = await closed_after(reader)

    writer.close()
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"Access-Control-Allow-Origin: *" in said
    assert 0.2 < took_s < 5
    assert (await http.live.store.session("c")).in_tail == 0


async def test_a_body_that_ends_too_early_is_no_record(http: Http) -> None:
    for end in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
        writer.write(HEAD + end)
        writer.write_eof()
        await closed_after(reader)
        writer.close()

    assert (await http.live.store.session("c")).in_tail == 0
    assert (await http.call("GET", "/healthz")).status == 200


async def test_a_compressed_body_is_refused_unopened(http: Http) -> None:
    bomb = zlib.compress(b"x" * (64 * 1024 * 1024))
    for encoding in ("deflate", "gzip", "br", "identity, gzip"):
        headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
        got = await http.call("POST", APPEND, data=bomb, headers=headers, compress=None)
        assert (got.status, got.headers["Access-Control-Allow-Origin"]) == (415, "*")

    assert (await http.live.store.session("c")).in_tail == 0


BROKEN = {
    "a long line": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "two lengths": HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a wrong length": HEAD + b"Content-Length: -1\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("request_", BROKEN.values(), ids=BROKEN)
async def test_what_is_no_http_is_refused(http: Http, request_: bytes) -> None:
    answer = await http.raw(request_)

    assert answer.split(b" ", 2)[1] == b"400"
    assert (await http.call("GET", "/healthz")).status == 200


async def flooded(http: Http, request: bytes) -> socket.socket:
    """Return the socket of a client that asks for a flood and never reads it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", http.port))
    await loop.sock_sendall(sock, request)
    return sock


async def test_a_reader_that_never_reads_is_disconnected_and_the_turn_goes_on(
    http: Http,
) -> None:
    head = HEAD.replace(b"POST", b"GET").replace(APPEND.encode(), OUT.encode())
    with await flooded(http, head + b"\r\n"):
        await until(lambda: bool(http.site.streams))
        await http.call("POST", APPEND, json=message_record("hi"))
        await until(lambda: not http.site.streams)

    async with http.open("GET", OUT) as stream:
        records = await stream.records(ends_turn)
    deltas = [r.chunk["delta"] for r in records if r.chunk and r.chunk["type"] == "text-delta"]
    assert deltas == [FLOOD] * FLOOD_CHUNKS


async def test_an_ordinary_answer_that_nobody_reads_is_given_up_too(http: Http) -> None:
    post = {"id": "c", "messages": [user_message("hi")]}
    assert (await http.call("POST", "/api/text/my-chat", json=post)).status == 200
    head = HEAD.replace(b"POST", b"GET").replace(APPEND.encode(), f"{OUT}/records".encode())

    with await flooded(http, head + b"\r\n") as sock:
        await asyncio.sleep(1)  # three times as long as it may
        sock.setblocking(True)
        sock.settimeout(5)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := await asyncio.to_thread(sock.recv, 1 << 20):
                taken += len(piece)

    assert taken < FLOOD_CHUNKS * len(FLOOD) / 2


async def test_a_reader_that_is_slow_but_reads_gets_everything(http: Http) -> None:
    post = {"id": "c", "messages": [user_message("hi")]}
    assert (await http.call("POST", "/api/text/my-chat", json=post)).status == 200
    whole = (await http.call("GET", f"{OUT}/records")).body
    head = HEAD.replace(b"POST", b"GET").replace(APPEND.encode(), f"{OUT}/records".encode())

    reader, writer = await asyncio.open_connection("127.0.0.1", http.port, limit=4 << 20)
    writer.write(head + b"Connection: close\r\n\r\n")
    taken = b""
    while piece := await reader.read(4 << 20):
        taken += piece
        await asyncio.sleep(0.1)
    writer.close()

    assert taken.endswith(whole)


async def test_where_leaving_stops_the_turn_never_reading_does_too() -> None:
    stopped = asyncio.Event()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        try:
            while True:
                yield FLOOD
                await asyncio.sleep(0.01)
        finally:
            stopped.set()

    async with served(my_chat, slow_reader_s=0.3) as http:
        body = json.dumps({"id": "c", "messages": [user_message("hi")]}).encode()
        head = HEAD.replace(APPEND.encode(), b"/api/chat/my-chat")
        with await flooded(http, head + b"Content-Length: %d\r\n\r\n" % len(body) + body):
            async with asyncio.timeout(10):
                await stopped.wait()


async def test_others_are_served_while_attackers_hold_on(http: Http) -> None:
    attackers = [await asyncio.open_connection("127.0.0.1", http.port) for _ in range(50)]
    for number, (_, writer) in enumerate(attackers):
        writer.write(
            HEAD + b"Content-Length: 100\r\n\r\n{" if number % 2 else b"GET / HTTP/1.1\r\n"
        )

    statuses = [(await http.call("GET", "/healthz")).status for _ in range(20)]

    for _, writer in attackers:
        writer.close()
    assert statuses == [200] * 20


async def test_a_client_that_is_gone_leaves_nothing_behind(http: Http) -> None:
    for _ in range(5):
        async with http.open("GET", OUT) as stream:
            assert stream.status == 200
            assert len(http.site.streams) == 1
        await until(lambda: not http.site.streams)


async def test_a_quick_start_of_many_readers_serves_them_all(http: Http) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        url = f"{http.url}{OUT}"
        readers = await asyncio.gather(
            *(session.get(url, headers=bearer(SECRET)) for _ in range(100))
        )
        assert len(http.site.streams) == 100
        post = {"id": "c", "messages": [user_message("hi")]}
        assert (await http.call("POST", "/api/text/my-chat", json=post)).status == 200
        for reader in readers:
            reader.close()
    await until(lambda: not http.site.streams)
