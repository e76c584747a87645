"""Server-sent events, torn anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.models.events import EventParser

STREAM = (
    b": a comment\n\n"
    b'event: first\ndata: {"n": 1}\n\n'
    b"id: 7\nretry: 10\n\n"
    b'data:{"text": "w\xc3\xb6rld \xf0\x9f\x91\x8b"}\n\n\n'
    b"data: two\ndata: lines\n\n"
    b"data\n\n"
    b"data: [DONE]\n\n"
)
EVENTS = [
    b'{"n": 1}',
    b'{"text": "w\xc3\xb6rld \xf0\x9f\x91\x8b"}',
    b"two\nlines",
    b"[DONE]",
]


def parsed(*pieces: bytes) -> list[bytes]:
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [*events, *parser.finish()]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@given(cuts=st.lists(st.integers(0, len(STREAM) + 20), max_size=40))
def test_events_come_out_alike_wherever_the_stream_is_torn(
    line_end: bytes, cuts: list[int]
) -> None:
    stream = STREAM.replace(b"\n", line_end)
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[start:end] for start, end in zip(places, places[1:], strict=False)]

    assert parsed(*pieces) == EVENTS


def test_events_come_out_of_single_bytes() -> None:
    for line_end in (b"\n", b"\r\n", b"\r"):
        stream = STREAM.replace(b"\n", line_end)
        assert parsed(*(bytes([byte]) for byte in stream)) == EVENTS


def test_a_byte_order_mark_is_passed_over() -> None:
    stream = b"\xef\xbb\xbfdata: 1\n\n"

    assert parsed(stream) == [b"1"]
    assert parsed(*(bytes([byte]) for byte in stream)) == [b"1"]


def test_an_event_comes_out_as_soon_as_its_blank_line_is_there() -> None:
    parser = EventParser()

    assert parser.feed(b"data: 1\n") == []
    assert parser.feed(b"\ndata: 2") == [b"1"]
    assert parser.feed(b"") == []
    assert parser.feed(b"\r") == []
    assert parser.feed(b"\n\r\n") == [b"2"]


def test_a_last_event_without_its_blank_line_is_not_lost() -> None:
    assert parsed(b"data: 1\n\ndata: 2") == [b"1", b"2"]
    assert parsed(b"data: 1\n\n: comment") == [b"1"]


def test_a_megabyte_in_small_pieces_takes_no_more_than_its_length() -> None:
    big = b"x" * 1_000_000
    pieces = [big[start : start + 100] for start in range(0, len(big), 100)]

    assert parsed(b"data: ", *pieces, b"\n\n") == [big]
