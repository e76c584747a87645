from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.errors import InvalidInput, TooLarge
from chatrun.wire import sse
from chatrun.wire.records import Control, InRecord, OutBatch, control_line, data_line
from chatrun.wire.sse_reader import Event, EventReader, ServedRecord, read_batch

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\u2028\u0085\0: "))
JSON = st.recursive(st.none() | st.integers(-9, 9) | TEXT, st.lists, max_leaves=3)
CHUNKS = st.dictionaries(TEXT, JSON, max_size=4)
HEADERS = st.dictionaries(TEXT.filter(lambda name: name != "trigger-control"), TEXT)


def read(data: bytes) -> list[Event]:
    return EventReader().feed(data)


def line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def test_a_chunk_is_one_batch_event() -> None:
    chunk = {"type": "text-delta", "id": "t", "delta": 'say "hi"\n\u2028\u00e9 \\'}

    encoded = sse.encode_batch(OutBatch(7, 1712150400000, (data_line(chunk),)))

    lines = encoded.decode().split("\n")
    assert lines[0] == "id: 7"
    assert lines[1] == "event: batch"
    assert lines[3:] == ["", ""]
    (record,) = json.loads(lines[2].removeprefix("data: "))["records"]
    assert json.loads(record.pop("body")) == {"data": chunk, "id": "7"}
    assert record == {"seq_num": 7, "timestamp": 1712150400000, "headers": []}


def test_a_control_record_has_headers_and_an_empty_body() -> None:
    line = control_line("turn-complete", {"session-in-event-id": "3"})

    (event,) = read(sse.encode_batch(OutBatch(2, 5, (line,))))

    assert json.loads(event.data)["records"] == [
        {
            "seq_num": 2,
            "timestamp": 5,
            "body": "",
            "headers": [["trigger-control", "turn-complete"], ["session-in-event-id", "3"]],
        }
    ]


def test_only_a_turn_complete_hands_out_a_token() -> None:
    lines = (control_line("turn-start"), data_line({"type": "x"}), control_line("turn-complete"))
    batch = OutBatch(0, 5, lines)

    (event,) = read(sse.encode_batch(batch, token="secret"))

    assert [record.control for record in read_batch(event.data)] == [
        Control("turn-start", {}),
        None,
        Control("turn-complete", {"public-access-token": "secret"}),
    ]
    assert [sse.ends_turn(OutBatch(0, 5, (line,))) for line in lines] == [False, False, True]
    assert sse.ends_turn(batch)


@given(
    st.lists(CHUNKS.map(data_line) | st.builds(control_line, TEXT, HEADERS), min_size=1),
    st.integers(0, 2**53),
)
def test_every_batch_is_read_back(lines: list[bytes], first: int) -> None:
    (event,) = read(sse.encode_batch(OutBatch(first, 5, tuple(lines))))

    assert event == Event(event.data, "batch", str(first + len(lines) - 1))
    assert read_batch(event.data) == [
        ServedRecord(seq, 5, control=Control(*value))
        if isinstance(value, list)
        else ServedRecord(seq, 5, chunk=value)
        for seq, value in enumerate(map(orjson.loads, lines), first)
    ]


def test_inputs_are_raw_text_in_the_same_form() -> None:
    records = [InRecord(0, 5, "p0", '{"kind":"stop"}'), InRecord(1, 6, "p1", "junk \u2028\n")]

    (event,) = read(sse.encode_inputs(records))

    assert event.event_id == "1"
    found = json.loads(event.data)["records"]
    assert [json.loads(record.pop("body")) for record in found] == [
        {"data": '{"kind":"stop"}', "id": "p0"},
        {"data": "junk \u2028\n", "id": "p1"},
    ]
    assert found == [
        {"seq_num": 0, "timestamp": 5, "headers": []},
        {"seq_num": 1, "timestamp": 6, "headers": []},
    ]


def test_records_are_also_served_as_json() -> None:
    batches = [
        OutBatch(3, 5, (data_line({"type": "start"}), control_line("turn-complete", {"a": "b"}))),
        OutBatch(5, 6, (data_line({"type": "x"}),)),
    ]

    assert json.loads(sse.out_records_json(batches)) == {
        "records": [
            {"data": {"type": "start"}, "id": "3", "seqNum": 3, "headers": []},
            {
                "data": "",
                "id": "4",
                "seqNum": 4,
                "headers": [["trigger-control", "turn-complete"], ["a", "b"]],
            },
            {"data": {"type": "x"}, "id": "5", "seqNum": 5, "headers": []},
        ]
    }
    assert json.loads(sse.out_records_json([])) == {"records": []}
    assert json.loads(sse.in_records_json([InRecord(0, 5, "p", "raw")])) == {
        "records": [{"data": "raw", "id": "p", "seqNum": 0, "headers": []}]
    }


@given(CHUNKS)
def test_a_chunk_is_an_event_of_its_own_for_the_ai_sdk(chunk: dict[str, Any]) -> None:
    (event,) = read(sse.encode_chunk(data_line(chunk)))

    assert event.event == "message"
    assert json.loads(event.data) == chunk


def test_the_small_events_are_what_they_should_be() -> None:
    stream = sse.encode_ping(5) + sse.COMMENT + sse.encode_error("no\nway") + sse.DONE

    assert read(stream) == [
        Event('{"timestamp":5}', "ping"),
        Event("no\nway", "error"),
        Event("[DONE]"),
    ]


@given(TEXT, TEXT, TEXT)
def test_no_text_can_forge_a_field_or_an_event(data: str, event: str, event_id: str) -> None:
    framed = sse.frame(data, event=event, event_id=event_id)

    (found,) = read(framed)

    assert found.data == line_feeds(data)
    assert found.event == (line_feeds(event).replace("\n", " ") or "message")
    assert found.event_id == ("" if "\0" in event_id else line_feeds(event_id).replace("\n", " "))


@given(st.lists(TEXT), st.sampled_from(["\n", "\r", "\r\n"]), st.data())
def test_a_stream_is_read_the_same_however_it_is_cut(
    texts: list[str], ending: str, data: st.DataObject
) -> None:
    stream = b"".join(sse.frame(text, event="e", event_id="1") for text in texts)
    stream = stream.replace(b"\n", ending.encode())
    cuts = data.draw(st.lists(st.integers(0, len(stream))).map(sorted))

    reader = EventReader()
    found = [
        event
        for start, end in pairwise([0, *cuts, len(stream)])
        for event in reader.feed(stream[start:end])
    ]

    assert found == [Event(line_feeds(text), "e", "1") for text in texts]


def test_an_event_comes_with_the_very_byte_that_ends_it() -> None:
    for ending in (b"\n", b"\r", b"\r\n"):
        reader = EventReader()
        assert reader.feed(b"data: x" + ending) == []
        assert reader.feed(ending[:1]) == [Event("x")]
        assert reader.feed(ending[1:] + b"data: y" + ending) == []
        assert reader.feed(ending) == [Event("y")]


def test_the_rest_of_the_standard_is_kept() -> None:
    stream = (
        b"\xef\xbb\xbfdata:no space\n\n"
        b"event: lost with no data\nid: 4\n\n"
        b": a comment\nretry: 5\nunknown: x\ndata\ndata:  two\n\n"
        b"id: \x00\ndata: \xff\n\n"
        b"id\ndata: y\n\n"
        b"data: unfinished\n"
    )

    assert read(stream) == [
        Event("no space"),
        Event("\n two", "message", "4"),
        Event("\ufffd", "message", "4"),
        Event("y"),
    ]


def test_an_endless_event_is_given_up() -> None:
    for piece in (b"x" * 40, b"data: x\n" * 15, b"data\n" * 40):
        reader = EventReader(limit_bytes=100)
        with pytest.raises(TooLarge):
            for _ in range(4):
                reader.feed(piece)

    reader = EventReader(limit_bytes=100)
    for _ in range(10):
        assert reader.feed(b"data: " + b"x" * 90 + b"\n\n") == [Event("x" * 90)]


@pytest.mark.parametrize(
    "data",
    ["", "{", "[]", "{}", '{"records":{}}', '{"records":[7]}', '{"records":[{"seq_num":1}]}']
    + ['{"records":[{"seq_num":"1","body":""}]}', '{"records":[{"seq_num":1,"body":"{"}]}'],
)
def test_a_batch_of_another_form_is_an_error(data: str) -> None:
    with pytest.raises(InvalidInput, match="the server sent"):
        read_batch(data)


def test_records_that_say_nothing_are_only_a_number() -> None:
    trim = {"seq_num": 4, "timestamp": 1, "body": "AAA=", "headers": [["", "trim"]]}
    odd = {"seq_num": 5, "body": '{"data":"text","id":"x"}', "headers": []}
    broken = {"seq_num": 6, "body": "", "headers": [["trigger-control"], 7]}

    records = read_batch(json.dumps({"records": [trim, odd, broken]}))

    assert records == [ServedRecord(4, 1), ServedRecord(5, 0), ServedRecord(6, 0)]
