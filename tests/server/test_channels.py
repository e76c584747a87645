from __future__ import annotations

import asyncio
import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import Turn, chat
from chatrun.store.base import NewSession
from chatrun.store.memory import MemoryStore
from chatrun.wire.sse_reader import Event, ServedRecord, read_batch
from chatrun.wire.tokens import Grant, verify
from tests.support.http import (
    SECRET,
    Http,
    chat_token,
    ends_turn,
    message_record,
    served,
    task_token,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatrun.store.base import Appended

IN = "/realtime/v1/sessions/c/in"
OUT = "/realtime/v1/sessions/c/out"


class Gate:
    """What the task of these tests waits for in mid-answer."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def http(gate: Gate) -> AsyncIterator[Http]:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        yield "one "
        await gate.opened.wait()
        yield "two"

    async with served(my_chat, heartbeat_s=0.05, task_tokens_open_sessions=True) as http:
        await http.create()
        yield http


def kind(record: ServedRecord) -> str:
    """Return what a record is, in a word."""
    if record.control is not None:
        return record.control.subtype
    return str(record.chunk["type"]) if record.chunk is not None else "nothing"


def is_delta(record: ServedRecord) -> bool:
    return kind(record) == "text-delta"


# --- append -------------------------------------------------------------------------------------


async def append(http: Http, data: str | bytes, **headers: str) -> tuple[int, Any]:
    sent = {"Content-Type": "application/json", **headers}
    body = io.BytesIO(data.encode() if isinstance(data, str) else data)
    got = await http.call("POST", f"{IN}/append", data=body, headers=sent)
    return got.status, got.json


async def test_records_are_numbered_from_zero_and_kept_as_they_came(http: Http) -> None:
    bodies = [
        '{"kind": "stop"}',
        "junk",
        '{"deep":' + "[" * 60 + "]" * 60 + "}",
        "[1e400",
        '"\u2028"',
    ]

    for number, body in enumerate(bodies):
        assert await append(http, body) == (200, {"ok": True, "seq": number})

    records = (await http.call("GET", f"{IN}/records")).json["records"]
    assert [(record["seqNum"], record["data"]) for record in records] == list(enumerate(bodies))


async def test_the_same_part_id_is_one_record_with_one_number(http: Http) -> None:
    await append(http, '{"kind":"stop"}')

    answers = await asyncio.gather(
        *(append(http, '{"kind":"stop","message":"x"}', **{"X-Part-Id": "p"}) for _ in range(5))
    )
    other = await append(http, '{"kind":"stop","message":"y"}', **{"X-Part-Id": "p"})

    assert answers == [(200, {"ok": True, "seq": 1})] * 5
    assert other == (409, {"error": "this X-Part-Id was used for another record"})
    records = (await http.call("GET", f"{IN}/records")).json["records"]
    assert [record["seqNum"] for record in records] == [0, 1]
    assert records[1]["id"] == "p"


POISON = [
    b"",
    b"\xff",
    b'{"a":"\x00"}',
    b'{"a":"\\ud800"}',
    b'{"a":1,"a":2}',
    b'{"a":NaN}',
    b'{"a":' + b"9" * 5000 + b"}",
    b"[" * 65 + b"]" * 65,
    b"[" * 100_000 + b"]" * 100_000,
]


@pytest.mark.parametrize("body", POISON, ids=lambda body: repr(body[:16]))
async def test_what_would_poison_a_store_or_a_client_is_refused(http: Http, body: bytes) -> None:
    status, answer = await append(http, body)

    assert (status, set(answer)) == (400, {"error"})
    assert (await http.live.store.session("c")).in_tail == 0


@pytest.mark.parametrize("part_id", ["a b", "x" * 257, ""])
async def test_a_part_id_is_short_and_visible(http: Http, part_id: str) -> None:
    status, _ = await append(http, '{"kind":"stop"}', **{"X-Part-Id": part_id})

    assert status == 400


async def test_a_record_may_have_a_mebibyte_and_no_more(http: Http) -> None:
    mebibyte = '"' + "x" * (1024 * 1024 - 2) + '"'

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b"x" * 65536

    assert (await append(http, mebibyte))[0] == 200
    refused = await append(http, mebibyte + " ")
    headers = {"Content-Type": "application/json"}
    unannounced = await http.call("POST", f"{IN}/append", data=pieces(), headers=headers)

    assert refused == (413, {"ok": False, "error": "Request body too large"})
    assert (unannounced.status, unannounced.headers["Access-Control-Allow-Origin"]) == (413, "*")
    assert (await http.live.store.session("c")).in_tail == 1


async def test_who_may_not_is_told_so_only_behind_the_size(http: Http) -> None:
    headers = {"Content-Type": "application/json"}

    async def status(token: str | None, size: int) -> int:
        path, body = f"{IN}/append", io.BytesIO(b"x" * size)
        return (await http.call("POST", path, token=token, data=body, headers=headers)).status

    big = 1024 * 1024 + 1
    assert await status(None, big) == 401
    assert await status(chat_token("another"), big) == 413
    assert await status(chat_token("another"), 1) == 403


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_taken(http: Http, content_type: str) -> None:
    status, _ = await append(http, '{"kind":"stop"}', **{"Content-Type": content_type})

    assert status == 415
    assert (await http.live.store.session("c")).in_tail == 0


async def test_no_client_can_pass_for_a_webhook(http: Http) -> None:
    record = message_record("hi")
    record["payload"] |= {"actionSource": "webhook", "kept": "\u00e9"}

    await append(http, json.dumps(record))

    (kept,) = (await http.call("GET", f"{IN}/records")).json["records"]
    del record["payload"]["actionSource"]
    assert json.loads(kept["data"]) == record


class SlowStore(MemoryStore):
    """A store whose appends take a while, as on a disk."""

    async def append_in(self, session_id: str, body: str, *, part_id: str) -> Appended:
        appended = await super().append_in(session_id, body, part_id=part_id)
        await asyncio.sleep(0.01)
        return appended


async def test_what_a_client_says_that_leaves_meanwhile_is_answered() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> str:
        return "fine"

    async def leave(http: Http, chat_id: str, after_s: float) -> None:
        path = f"/realtime/v1/sessions/{chat_id}/in/append"
        body = json.dumps(message_record("hi", chat=chat_id))
        _, writer = await asyncio.open_connection("127.0.0.1", http.port)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {SECRET}\r\n"
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(f"{head}{length}{body}".encode())
        await asyncio.sleep(after_s)
        writer.transport.abort()

    async with served(my_chat, store=SlowStore()) as http:
        chats = [f"c{number}" for number in range(10)]
        for chat_id in chats:
            await http.live.store.create_session(NewSession("my-chat", external_id=chat_id))
        await asyncio.gather(
            *(leave(http, chat_id, number * 0.002) for number, chat_id in enumerate(chats))
        )
        for chat_id in chats:
            async with asyncio.timeout(10):
                while (session := await http.live.store.session(chat_id)).turn_end < 0:
                    if session.in_tail == 0:
                        break  # it left before it had said it
                    await asyncio.sleep(0.01)


# --- out ----------------------------------------------------------------------------------------


async def test_an_answer_is_streamed_as_it_is_produced(http: Http, gate: Gate) -> None:
    async with http.open("GET", OUT) as stream:
        seq = await http.say("hi")
        before = await stream.records(is_delta)
        gate.opened.set()
        after = await stream.records(ends_turn)

    records = before + after
    assert stream.headers["X-Stream-Version"] == "v2"
    assert stream.headers["Content-Type"] == "text/event-stream"
    assert stream.headers["Cache-Control"] == "no-cache"
    assert "X-Session-Settled" not in stream.headers
    assert [record.seq for record in records] == list(range(len(records)))
    assert [kind(record) for record in records] == [
        "turn-start",
        "start",
        "start-step",
        "text-start",
        "text-delta",
        "text-delta",
        "text-end",
        "finish-step",
        "finish",
        "turn-complete",
    ]
    control = records[-1].control
    assert control is not None
    assert control.headers["session-in-event-id"] == str(seq)


async def test_a_reader_resumes_at_every_record_without_gap_or_repetition(
    http: Http, gate: Gate
) -> None:
    gate.opened.set()
    await http.say("hi")
    async with http.open("GET", OUT) as stream:
        everything = await stream.records(ends_turn)

    for record in everything[:-1]:
        async with http.open("GET", OUT, headers={"Last-Event-ID": str(record.seq)}) as stream:
            rest = await stream.records(ends_turn)
        assert [r.seq for r in rest] == [r.seq for r in everything[record.seq + 1 :]]


@pytest.mark.parametrize("cursor", ["", "-1", "x", "1.5", "0x1", "9" * 5000, "\u0663"])
async def test_what_is_no_number_begins_at_the_beginning(
    http: Http, gate: Gate, cursor: str
) -> None:
    gate.opened.set()
    await http.say("hi")

    async with http.open("GET", OUT, headers={"Last-Event-ID": cursor}) as stream:
        records = await stream.records(ends_turn)

    assert records[0].seq == 0


async def test_a_cursor_of_another_servers_life_gets_what_comes_next(
    http: Http, gate: Gate
) -> None:
    gate.opened.set()
    async with http.open("GET", OUT, headers={"Last-Event-ID": "4711"}) as stream:
        await http.say("hi")
        records = await stream.records(ends_turn)

    assert records[0].seq == 0


async def test_the_latest_is_behind_all_that_there_is(http: Http, gate: Gate) -> None:
    gate.opened.set()
    await http.say("hi")
    async with http.open("GET", OUT) as stream:
        last = (await stream.records(ends_turn))[-1].seq

    async with http.open("GET", OUT, headers={"X-Trigger-Stream-Start": "latest"}) as stream:
        await http.say("again", message_id="u2")
        records = await stream.records(ends_turn)

    assert records[0].seq == last + 1


async def test_only_who_may_write_is_handed_a_token(http: Http, gate: Gate) -> None:
    gate.opened.set()
    await http.say("hi")

    handed: dict[str, str | None] = {}
    for name, token in {
        "secret": SECRET,
        "writer": chat_token(),
        "task": task_token(),
        "reader": chat_token(read_only=True),
    }.items():
        async with http.open("GET", OUT, token=token) as stream:
            control = (await stream.records(ends_turn))[-1].control
        assert control is not None
        handed[name] = control.headers.get("public-access-token")

    assert handed.pop("reader") is None
    for fresh in handed.values():
        assert fresh is not None
        assert verify(fresh, SECRET) == Grant(scopes=("read:sessions:c", "write:sessions:c"))


async def test_a_silent_stream_shows_that_it_is_alive(http: Http) -> None:
    async with http.open("GET", OUT) as stream:
        pings = [await stream.event() for _ in range(3)]

    for ping in pings:
        assert ping is not None
        assert ping.event == "ping"
        assert abs(json.loads(ping.data)["timestamp"] - time.time() * 1000) < 10_000


async def test_a_window_without_a_record_ends_in_order(http: Http) -> None:
    begun = time.monotonic()
    async with http.open("GET", OUT, headers={"Timeout-Seconds": "1"}) as stream:
        *pings, done = await stream.events()

    assert done == Event("[DONE]")
    assert {ping.event for ping in pings} == {"ping"}
    assert 0.9 < time.monotonic() - begun < 5


@pytest.mark.parametrize("seconds", ["0", "601", "-1", "", "1.5", "x", "9" * 5000])
async def test_a_window_has_a_number_of_seconds(http: Http, seconds: str) -> None:
    for path in (OUT, IN):
        got = await http.call("GET", path, headers={"Timeout-Seconds": seconds})
        assert (got.status, got.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")


async def test_a_peek_at_a_settled_session_ends_at_once_with_the_rest(
    http: Http, gate: Gate
) -> None:
    gate.opened.set()
    await http.say("hi")
    async with http.open("GET", OUT) as stream:
        last = (await stream.records(ends_turn))[-1].seq

    peek = {"X-Peek-Settled": "1"}
    async with http.open("GET", OUT, headers={**peek, "Last-Event-ID": str(last)}) as stream:
        assert stream.headers["X-Session-Settled"] == "true"
        assert await stream.events() == [Event("[DONE]", event_id="")]
    async with http.open("GET", OUT, headers={**peek, "Last-Event-ID": "1"}) as stream:
        *batches, done = await stream.events()
    assert done.data == "[DONE]"
    found = [record.seq for batch in batches for record in read_batch(batch.data)]
    assert found == list(range(2, last + 1))


async def test_a_peek_while_a_turn_runs_follows_it(http: Http, gate: Gate) -> None:
    peek = {"X-Peek-Settled": "1"}
    async with http.open("GET", OUT, headers=peek) as stream:
        assert "X-Session-Settled" not in stream.headers  # nothing was ever said: it may come
        await http.say("hi")
        await stream.records(is_delta)

        async with http.open("GET", OUT, headers=peek) as second:
            assert "X-Session-Settled" not in second.headers
            gate.opened.set()
            await second.records(ends_turn)


async def test_leaving_a_stream_does_not_stop_the_turn(http: Http, gate: Gate) -> None:
    async with http.open("GET", OUT) as stream:
        await http.say("hi")
        await stream.records(is_delta)
    gate.opened.set()

    async with http.open("GET", OUT) as stream:
        control = (await stream.records(ends_turn))[-1].control
    assert control is not None
    assert control.headers["turn-outcome"] == "finished"


async def test_closing_a_session_ends_its_turn_and_tells_its_readers(http: Http) -> None:
    async with http.open("GET", OUT) as stream:
        await http.say("hi")
        await stream.records(is_delta)
        await http.call("POST", "/api/v1/sessions/c/close", json={"reason": "done"})
        records = await stream.records(lambda record: kind(record) == "session-closed")

    assert "turn-complete" in map(kind, records)
    assert records[-1].control is not None
    assert records[-1].control.headers == {"session-closed-reason": "done"}
    async with http.open("GET", OUT, headers={"X-Peek-Settled": "1"}) as stream:
        assert stream.headers["X-Session-Settled"] == "true"


async def test_what_is_on_out_now_is_also_there_as_json(http: Http, gate: Gate) -> None:
    gate.opened.set()
    await http.say("hi")
    async with http.open("GET", OUT, token=chat_token()) as stream:
        streamed = await stream.records(ends_turn)

    records = (await http.call("GET", f"{OUT}/records")).json["records"]
    rest = (await http.call("GET", f"{OUT}/records?afterEventId=3")).json["records"]

    assert [record["seqNum"] for record in records] == [record.seq for record in streamed]
    assert [record["data"] for record in records if record["data"]] == [
        record.chunk for record in streamed if record.chunk
    ]
    assert records[-1]["headers"] == [
        ["trigger-control", "turn-complete"],
        ["session-in-event-id", "0"],
        ["turn-outcome", "finished"],
    ]
    assert rest == records[4:]


async def test_the_secret_appends_to_out_beside_the_run(http: Http) -> None:
    async with http.open("GET", OUT) as stream:
        got = await http.call("POST", f"{OUT}/append", json={"type": "data-note", "data": 1})
        (record,) = await stream.records(lambda record: True)

    assert (got.status, got.json) == (200, {"ok": True, "seq": 0})
    assert (record.seq, record.chunk) == (0, {"type": "data-note", "data": 1})
    refused = await http.call("POST", f"{OUT}/append", json=["no object"])
    assert refused.status == 400
    begun = await http.call("PUT", OUT)
    assert (begun.status, begun.json) == (202, {"version": "v2"})


async def test_a_store_that_fails_makes_the_reader_come_back(http: Http) -> None:
    async with http.open("GET", OUT) as stream:
        await stream.event()
        await http.live.store.aclose()
        events = await stream.events()

    assert events[-1] == Event("The server cannot do this now; try again", "error")
    got = await http.call("GET", OUT)
    assert (got.status, got.headers["Retry-After"]) == (503, "1")


# --- in as a stream -----------------------------------------------------------------------------


async def test_in_can_be_followed_too(http: Http) -> None:
    await append(http, '{"kind":"stop"}')

    async with http.open("GET", IN, headers={"Timeout-Seconds": "1"}) as stream:
        first = await stream.event()
        await append(http, "second")
        rest = [event for event in await stream.events() if event.event != "ping"]
    async with http.open(
        "GET", IN, headers={"Last-Event-ID": "0", "Timeout-Seconds": "1"}
    ) as stream:
        resumed = await stream.event()

    assert first is not None
    assert json.loads(json.loads(first.data)["records"][0]["body"])["data"] == '{"kind":"stop"}'
    assert rest == [resumed, Event("[DONE]", event_id="1")]
    assert resumed is not None
    (record,) = json.loads(resumed.data)["records"]
    assert (record["seq_num"], json.loads(record["body"])["data"]) == (1, "second")
