"""Which records answer what was sent."""

from __future__ import annotations

from typing import Any

import pytest

from chatrun.client.turn_reader import TurnReader, taken_up
from chatrun.wire.records import Control
from chatrun.wire.sse_reader import ServedRecord


def delta(text: str) -> ServedRecord:
    return ServedRecord(0, 0, chunk={"type": "text-delta", "id": "t", "delta": text})


def start(number: int) -> ServedRecord:
    return ServedRecord(0, 0, control=Control("turn-start", {"session-in-event-id": str(number)}))


def complete(number: int | None = None, **headers: str) -> ServedRecord:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if number is not None:
        named["session-in-event-id"] = str(number)
    return ServedRecord(0, 0, control=Control("turn-complete", named))


def read(reader: TurnReader, *records: ServedRecord) -> str:
    """Feed records and return the text that the reader takes for its answer, up to its end."""
    found = ""
    for record in records:
        if reader.is_over:
            break
        if reader.take(record):
            assert record.chunk is not None
            found += str(record.chunk["delta"])
    return found


def test_an_earlier_turns_end_does_not_end_the_answer() -> None:
    reader = TurnReader(seq=5)

    said = read(reader, complete(4), start(5), delta("a"), complete(5, turn_outcome="finished"))

    assert said == "a"
    assert reader.is_over
    assert reader.outcome == "finished"


def test_an_earlier_turn_that_is_still_to_come_is_passed_over() -> None:
    reader = TurnReader(seq=5)

    said = read(reader, start(4), delta("x"), complete(4), start(5), delta("a"), complete(5))

    assert said == "a"


def test_the_rest_of_a_turn_that_was_being_read_is_passed_over() -> None:
    reader = TurnReader(seq=5, inside=True)

    assert read(reader, delta("x"), complete(4), delta("a"), complete(5)) == "a"


def test_a_server_that_marks_no_starts_is_read_from_where_the_reader_stood() -> None:
    assert read(TurnReader(seq=5), delta("a"), complete(5)) == "a"


def test_a_later_cursor_ends_the_answer_too() -> None:
    assert read(TurnReader(seq=5), start(5), delta("a"), complete(7), delta("x")) == "a"


def test_an_end_without_a_cursor_counts_as_ones_own() -> None:
    assert read(TurnReader(seq=5), delta("a"), complete(), delta("x")) == "a"


def test_a_reader_that_does_not_know_its_number_takes_the_first_turn() -> None:
    assert read(TurnReader(), delta("a"), complete(9), delta("x")) == "a"


@pytest.mark.parametrize(
    "marker",
    [
        {"type": "data-pending-message-injected", "data": {"messageIds": ["m", "n"]}},
        {"type": "steering-message", "id": "m", "parts": []},
    ],
)
def test_a_running_turn_that_takes_the_message_up_is_the_answer(marker: dict[str, Any]) -> None:
    reader = TurnReader(seq=5, message_id="m", inside=True)

    assert not reader.take(delta("x"))
    assert reader.take(ServedRecord(0, 0, chunk=marker))
    assert read(reader, delta("a"), complete(5)) == "a"


def test_a_closed_session_ends_every_answer() -> None:
    reader = TurnReader(seq=5)

    reader.take(
        ServedRecord(0, 0, control=Control("session-closed", {"session-closed-reason": "done"}))
    )

    assert (reader.is_over, reader.is_closed, reader.closed_reason) == (True, True, "done")


def test_a_turn_that_closed_the_session_is_complete_and_closed() -> None:
    reader = TurnReader(seq=5)

    assert read(reader, delta("a"), complete(5, session_closed="true", turn_outcome="finished"))
    assert (reader.is_over, reader.is_closed, reader.outcome) == (True, True, "finished")


def test_control_records_of_other_kinds_say_nothing() -> None:
    reader = TurnReader(seq=5)

    assert not reader.take(ServedRecord(0, 0, control=Control("keep-alive", {})))
    assert not reader.take(ServedRecord(0, 0))
    assert read(reader, delta("a"), complete(5)) == "a"


def test_other_chunks_take_nothing_up() -> None:
    assert taken_up({"type": "text-delta", "id": "t", "delta": "x"}) == []
    assert taken_up({"type": "data-pending-message-injected", "data": None}) == []
