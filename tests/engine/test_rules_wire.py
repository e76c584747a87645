"""The rules of appends, cursors and streams, over HTTP (rules 6 and 19 to 25)."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import ChatTask, Turn, chat
from chatrun.messages.types import message_text
from chatrun.wire.inputs import Stop, parse_input
from tests.support.http import Http, ends_turn, message_record, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatrun.wire.sse_reader import ServedRecord

APPEND = "/realtime/v1/sessions/c/in/append"
OUT = "/realtime/v1/sessions/c/out"


class Gated:
    """A task that says each word of its message as it is let."""

    def __init__(self) -> None:
        self.words = asyncio.Semaphore(0)
        self.answered: list[str] = []

        @chat.task("my-chat")
        async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
            self.answered.append(turn.text)
            for word in turn.text.split():
                await self.words.acquire()
                yield f"{word} "

        self.task: ChatTask[Any] = my_chat
        my_chat.on_action(lambda event: event.turn.history.slice(0, -2))

    def let(self, words: int) -> None:
        for _ in range(words):
            self.words.release()


@pytest.fixture
def gated() -> Gated:
    return Gated()


@pytest.fixture
async def http(gated: Gated) -> AsyncIterator[Http]:
    async with served(gated.task) as http:
        await http.create()
        yield http


def text_of(records: list[ServedRecord]) -> str:
    """Return the text that records stream."""
    chunks = [record.chunk for record in records if record.chunk is not None]
    return "".join(str(c["delta"]) for c in chunks if c["type"] == "text-delta")


def completes(seq: int) -> Any:
    """Return the test for the record that completes the turn of `in` record `seq`."""
    return lambda record: ends_turn(record) and _cursor(record) >= seq


def _cursor(record: ServedRecord) -> int:
    assert record.control is not None
    return int(record.control.headers["session-in-event-id"])


async def settled(http: Http) -> None:
    """Wait until nothing more comes by itself."""
    session = await http.live.store.session((await http.create()).json["id"])
    while not await http.live.is_settled(session.id):
        await asyncio.sleep(0)


async def test_rule_06_an_append_that_is_repeated_is_one_record_and_one_turn(
    http: Http, gated: Gated
) -> None:
    headers = {"X-Part-Id": "one-send"}
    record = message_record("hi")
    gated.let(2)
    answers = await asyncio.gather(
        *(http.call("POST", APPEND, json=record, headers=headers) for _ in range(5))
    )
    await settled(http)
    again = await http.call("POST", APPEND, json=record, headers=headers)
    await settled(http)

    assert {answer.body for answer in (*answers, again)} == {b'{"ok":true,"seq":0}'}
    assert gated.answered == ["hi"]


async def test_rule_19_a_turn_says_that_it_consumed_its_message_and_not_those_that_wait(
    http: Http, gated: Gated
) -> None:
    async with http.open("GET", OUT) as stream:
        numbers = [await http.say(text, message_id=text) for text in ("a", "b", "c")]
        gated.let(3)
        records = [record for _ in numbers for record in await stream.records(until=ends_turn)]

    assert [_cursor(record) for record in records if ends_turn(record)] == numbers == [0, 1, 2]


async def test_rule_20_an_undo_and_a_send_behind_it_end_in_turns_of_their_own(
    http: Http, gated: Gated
) -> None:
    gated.let(5)
    await http.say("first", message_id="first")
    await http.say("second", message_id="second")
    payload = {"trigger": "action", "chatId": "c", "action": {"type": "undo"}}
    undo = await http.call("POST", APPEND, json={"kind": "message", "payload": payload})
    sent = await http.say("third one", message_id="third")
    async with http.open("GET", OUT) as stream:
        undone = await stream.records(until=completes(undo.json["seq"]))
        answer = await stream.records(until=completes(sent))
    transcript = await http.call("GET", "/api/v1/sessions/c/transcript?limit=9")

    assert _cursor(undone[-1]) == undo.json["seq"] == 2
    assert (text_of(answer), _cursor(answer[-1])) == ("third one ", 3)
    kept = [message_text(message) for message in transcript.json["messages"]]
    assert kept == ["first", "first ", "third one", "third one "]


async def test_rule_21_out_holds_the_turn_before_the_last_and_no_more(
    http: Http, gated: Gated
) -> None:
    ends: list[int] = []
    sizes: list[int] = []
    async with http.open("GET", OUT) as stream:
        for number in range(4):
            gated.let(2)
            await http.say(f"turn {number}", message_id=f"m{number}")
            ends.append((await stream.records(until=ends_turn))[-1].seq)
            now = await http.call("GET", f"{OUT}/records")
            sizes.append(len(now.json["records"]))
    headers = {"Last-Event-ID": str(ends[2])}
    async with http.open("GET", OUT, headers=headers) as stream:
        replayed = await stream.records(until=ends_turn)

    assert text_of(replayed) == "turn 3 "
    assert [record.seq for record in replayed] == list(range(ends[2] + 1, ends[3] + 1))
    assert sizes[1:] == [sizes[1]] * 3


async def test_rule_22_a_peek_ends_at_once_where_nothing_runs_and_follows_where_a_turn_does(
    http: Http, gated: Gated
) -> None:
    peek = {"X-Peek-Settled": "1"}
    gated.let(1)
    await http.say("a b", message_id="m")
    async with http.open("GET", OUT, headers=peek) as running:
        gated.let(1)
        followed = await running.records(until=ends_turn)
    async with asyncio.timeout(5), http.open("GET", OUT, headers=peek) as rest:
        events = await rest.events()

    assert "X-Session-Settled" not in running.headers
    assert text_of(followed) == "a b "
    assert rest.headers["X-Session-Settled"] == "true"
    assert events[-1].data == "[DONE]"


async def test_rule_23_a_reader_that_comes_back_gets_what_is_behind_its_cursor_once(
    http: Http, gated: Gated
) -> None:
    seen: list[ServedRecord] = []
    await http.say("a b c d", message_id="m")
    while not (seen and ends_turn(seen[-1])):
        gated.let(1)
        headers = {"Last-Event-ID": str(seen[-1].seq)} if seen else {}
        async with http.open("GET", OUT, headers=headers) as stream:
            seen += await stream.records(until=lambda record: True)

    assert [record.seq for record in seen] == list(range(len(seen)))
    assert text_of(seen) == "a b c d "


async def test_rule_23_a_transcript_and_its_cursor_are_of_one_moment(
    http: Http, gated: Gated
) -> None:
    gated.let(3)
    for text in ("a", "b"):
        await http.say(text, message_id=text)
    await settled(http)
    page = (await http.call("GET", "/api/v1/sessions/c/transcript?limit=9")).json
    sent = await http.say("c", message_id="c")
    headers = {"Last-Event-ID": page["cursors"]["lastOutEventId"]}
    async with http.open("GET", OUT, headers=headers) as stream:
        answer = await stream.records(until=completes(sent))

    assert [message_text(m) for m in page["messages"]] == ["a", "a ", "b", "b "]
    assert text_of(answer) == "c "


async def test_rule_24_the_end_of_a_window_in_mid_turn_is_not_the_end_of_the_turn(
    http: Http, gated: Gated
) -> None:
    gated.let(1)
    await http.say("a b", message_id="m")
    async with http.open("GET", OUT, headers={"Timeout-Seconds": "1"}) as stream:
        events = [event for event in await stream.events() if event.event == "batch"]
    last = json.loads(events[-1].data)["records"][-1]["seq_num"]
    gated.let(1)
    async with http.open("GET", OUT, headers={"Last-Event-ID": str(last)}) as stream:
        rest = await stream.records(until=ends_turn)

    assert all('"turn-complete"' not in event.data for event in events)
    assert text_of(rest) == "b "


async def test_rule_25_a_reader_that_leaves_stops_nothing(http: Http, gated: Gated) -> None:
    await http.say("a b", message_id="m")
    async with http.open("GET", OUT) as stream:
        gated.let(1)
        await stream.records(until=lambda r: r.chunk is not None and "delta" in r.chunk)
    gated.let(1)
    await settled(http)
    session_id = (await http.create()).json["id"]
    records = await http.live.store.read_in(session_id)
    page = (await http.call("GET", "/api/v1/sessions/c/transcript?limit=9")).json

    assert not any(isinstance(parse_input(record.body), Stop) for record in records)
    assert [message_text(m) for m in page["messages"]] == ["a b", "a b "]
