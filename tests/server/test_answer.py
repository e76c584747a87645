from __future__ import annotations

import pytest

from chatrun.server.answer import ANY_TURN, Answer
from chatrun.server.tails import Reader, Tail
from chatrun.store.base import NewSession, OutWrite
from chatrun.store.memory import MemoryStore
from chatrun.wire.ids import START
from chatrun.wire.records import Line, control_line, data_line


def chunk(number: int) -> Line:
    return data_line({"type": "data-n", "data": number})


def begins(seq: int) -> Line:
    return control_line("turn-start", {"session-in-event-id": str(seq)})


def ends(cursor: int | None) -> Line:
    headers = {} if cursor is None else {"session-in-event-id": str(cursor)}
    return control_line("turn-complete", headers)


async def answer_to(seq: int, *lines: Line) -> tuple[list[Line], bool]:
    """Return the chunks that answer record `seq`, and whether the answer is over."""
    store = MemoryStore()
    session, _ = await store.create_session(NewSession("my-chat"))
    session = await store.claim(session.id, run_id="run")
    for line in lines:
        await store.write_out(session.id, session.epoch, OutWrite((line,)))
    answer = Answer(Reader(store, session.id, Tail(), after=START), seq)
    found = await answer.read(wait_s=0)
    await store.aclose()
    return found, answer.is_over


TURNS = [
    begins(0),
    chunk(1),
    ends(0),
    begins(1),
    chunk(2),
    control_line("keep-alive"),
    chunk(3),
    ends(1),
    begins(2),
    chunk(4),
]


@pytest.mark.parametrize(
    ("seq", "chunks", "is_over"),
    [(0, [1], True), (1, [2, 3], True), (2, [4], False), (3, [], False), (ANY_TURN, [1], True)],
)
async def test_of_all_turns_only_the_one_that_answers_the_record_is_kept(
    seq: int, chunks: list[int], is_over: bool
) -> None:
    assert await answer_to(seq, *TURNS) == ([chunk(number) for number in chunks], is_over)


async def test_what_is_written_between_turns_is_nobodys_answer() -> None:
    assert await answer_to(1, chunk(0), begins(1), chunk(1), ends(1), chunk(2)) == (
        [chunk(1)],
        True,
    )


async def test_a_record_that_was_merged_into_another_turn_ends_with_that_one() -> None:
    assert await answer_to(1, begins(0), chunk(1), ends(1)) == ([], True)
    assert await answer_to(1, begins(0), chunk(1), ends(0)) == ([], False)
    assert await answer_to(1, begins(0), chunk(1), ends(None)) == ([], False)


async def test_a_turn_that_is_begun_again_is_the_same_turn() -> None:
    assert await answer_to(0, begins(0), begins(0), chunk(1), ends(0)) == ([chunk(1)], True)


async def test_the_end_of_the_session_ends_every_answer() -> None:
    closed = control_line("session-closed")

    assert await answer_to(0, closed) == ([], True)
    assert await answer_to(0, begins(0), chunk(1), closed, chunk(2)) == ([chunk(1)], True)
    assert await answer_to(ANY_TURN, closed) == ([], True)
