"""Turns in a row: queueing, edits, regenerates, continuation, ends of runs, recovery."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from chatrun import ChatTask, Turn, chat
from chatrun.messages.types import message_text
from chatrun.store.base import NewSession, OutWrite
from chatrun.store.memory import MemoryStore
from chatrun.testing import harness, serve_tasks
from chatrun.wire.records import IN_EVENT_ID, TURN_START, control_line, data_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatrun.server.live import Live


def echo_task(**options: Any) -> ChatTask[Any]:
    @chat.task("my-chat", **options)
    async def my_chat(turn: Turn[None]) -> str:
        asked = [message_text(m) for m in turn.ui_messages if m["role"] == "user"]
        return "+".join(asked)

    return my_chat


async def test_messages_sent_at_once_are_answered_one_by_one_in_order() -> None:
    async with harness(echo_task()) as h:
        async with h.begin("a") as a, h.begin("b") as b, h.begin("c") as c:
            answers = [(await turn.done()).text for turn in (a, b, c)]

    assert answers == ["a", "a+b", "a+b+c"]


async def test_regenerating_drops_the_last_answer_and_gives_a_new_one() -> None:
    async with harness(echo_task()) as h:
        await h.send("a")
        before = await h.messages()
        again = await h.regenerate()
        after = await h.messages()

    assert again.text == "a"
    assert [m["id"] for m in after][:1] == [m["id"] for m in before][:1]
    assert len(after) == 2
    assert after[1]["id"] != before[1]["id"]


async def test_regenerating_a_named_answer_drops_all_behind_it() -> None:
    async with harness(echo_task()) as h:
        await h.send("a")
        await h.send("b")
        first_answer = (await h.messages())[1]["id"]
        again = await h.regenerate(first_answer)
        after = await h.messages()

    assert again.text == "a"
    assert len(after) == 2


async def test_regenerating_with_nothing_said_is_an_error_turn() -> None:
    async with harness(echo_task()) as h:
        turn = await h.regenerate()
        fine = await h.send("a")

    assert (turn.outcome, turn.error) == ("failed", "there is no user message to answer anew")
    assert fine.text == "a"


async def test_a_message_with_a_known_id_is_an_edit_that_drops_what_followed() -> None:
    async with harness(echo_task()) as h:
        await h.send("a")
        await h.send("b")
        first = (await h.messages())[0]
        edited = {**first, "parts": [{"type": "text", "text": "A"}]}
        turn = await h.send(edited, messageId=first["id"])
        after = await h.messages()

    assert turn.text == "A"
    assert [m["id"] for m in after][0] == first["id"]
    assert len(after) == 2


async def test_a_run_ends_after_its_last_turn_and_the_next_continues_the_session() -> None:
    seen: list[tuple[int, bool, bool]] = []

    @chat.task("my-chat", max_turns=2)
    async def my_chat(turn: Turn[None]) -> str:
        seen.append((turn.number, turn.continuation, turn.previous_run_id is not None))
        return f"{len(turn.ui_messages)}"

    async with harness(my_chat) as h:
        answers = [(await h.send(f"m{n}")).text for n in range(5)]

    assert answers == ["1", "3", "5", "7", "9"]
    assert seen == [
        (0, False, False),
        (1, False, False),
        (0, True, True),
        (1, True, True),
        (0, True, True),
    ]


async def test_messages_queued_at_the_last_turn_are_answered_by_the_next_run() -> None:
    async with harness(echo_task(max_turns=1)) as h:
        async with h.begin("a") as a, h.begin("b") as b, h.begin("c") as c:
            answers = [(await turn.done()).text for turn in (a, b, c)]

    assert answers == ["a", "a+b", "a+b+c"]


async def test_an_idle_run_ends_and_the_next_message_starts_another() -> None:
    async with harness(echo_task(idle_timeout=0.01, turn_timeout=0.01)) as h:
        await h.send("a")
        while (await h.live.store.session(h.session.id)).run_id is not None:
            await asyncio.sleep(0.005)
        assert (await h.send("b")).text == "a+b"


async def test_a_message_without_an_id_gets_one() -> None:
    async with harness(echo_task()) as h:
        await h.send({"role": "user", "parts": [{"type": "text", "text": "a"}]})
        (user, _) = await h.messages()

    assert user["id"].startswith("msg_")


async def test_what_cannot_be_read_ends_in_an_error_turn_or_in_nothing() -> None:
    async with harness(echo_task()) as h:
        await h.append("not json")
        await h.append({"kind": "unheard-of"})
        async with h.post(trigger="submit-message", message={"role": "user"}) as turn:
            failed = await turn.done()
        forged = await h.send({"id": "x", "role": "system", "parts": []})
        answer = {"id": "x", "role": "assistant", "parts": [{"type": "text", "text": "!"}]}
        unknown = await h.send(answer)
        fine = await h.send("a")

    assert [failed.outcome, forged.outcome, unknown.outcome] == ["failed"] * 3
    assert fine.text == "a"


async def test_a_close_record_ends_the_run_and_the_next_message_starts_another() -> None:
    async with harness(echo_task()) as h:
        await h.send("a")
        await h.append({"kind": "message", "payload": {"trigger": "close"}})
        while (await h.live.store.session(h.session.id)).run_id is not None:
            await asyncio.sleep(0.005)
        assert (await h.send("b")).text == "a+b"


async def test_the_turn_complete_record_carries_the_last_consumed_number() -> None:
    async with harness(echo_task()) as h:
        await h.send("a")
        await h.send("b")
        records = await h.records()

    complete = [r[1][IN_EVENT_ID] for r in records if isinstance(r, list) and "complete" in r[0]]
    assert complete == ["0", "1"]


async def test_out_keeps_what_came_since_the_turn_before() -> None:
    async with harness(echo_task()) as h:
        for text in "abc":
            await h.send(text)
        records = await h.records()

    texts = [r["delta"] for r in records if isinstance(r, dict) and r["type"] == "text-delta"]
    assert texts == ["a+b+c"]
    assert isinstance(records[0], list)


# --- what a dead server leaves behind -------------------------------------------------------


async def left_behind(store: MemoryStore, *lines: bytes, begun: int = 1) -> str:
    """Leave a session whose first message was being answered when its server died."""
    session, _ = await store.create_session(NewSession("my-chat", external_id="c"))
    message = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "a"}]}
    record = {"kind": "message", "payload": {"trigger": "submit-message", "message": message}}
    await store.append_in(session.id, orjson.dumps(record).decode(), part_id="p")
    held = await store.claim(session.id, run_id="run_dead")
    starts = (control_line(TURN_START, {IN_EVENT_ID: "0"}),) * begun
    await store.write_out(session.id, held.epoch, OutWrite(lines=(*starts, *lines)))
    return session.id


async def outcomes(store: MemoryStore, session_id: str) -> list[str]:
    return [
        orjson.loads(line)[1]["turn-outcome"]
        for batch in await store.read_out(session_id)
        for line in batch.lines
        if line.startswith(b'["turn-complete"')
    ]


async def until_settled(live: Live, session_id: str) -> None:
    while not await live.is_settled(session_id):
        await asyncio.sleep(0.005)


async def test_a_turn_that_had_shown_something_is_ended_and_its_partial_kept() -> None:
    store = MemoryStore()
    begun = [
        data_line({"type": "start", "messageId": "m"}),
        data_line({"type": "text-start", "id": "1"}),
        data_line({"type": "text-delta", "id": "1", "delta": "half an ans"}),
    ]
    session_id = await left_behind(store, *begun)
    async with serve_tasks(echo_task(), store=store) as live:
        await until_settled(live, session_id)
        page = await store.read_transcript(session_id)

        assert await outcomes(store, session_id) == ["failed"]
        partial = orjson.loads(page.messages[-1])
        assert partial["id"] == "m"
        assert partial["parts"] == [{"type": "text", "text": "half an ans", "state": "done"}]


async def test_a_turn_that_had_shown_nothing_is_run_again() -> None:
    store = MemoryStore()
    session_id = await left_behind(store)
    async with serve_tasks(echo_task(), store=store) as live:
        await until_settled(live, session_id)
        page = await store.read_transcript(session_id)

        assert await outcomes(store, session_id) == ["finished"]
        assert [orjson.loads(body)["role"] for body in page.messages] == ["user", "assistant"]


async def test_a_turn_that_died_three_times_is_not_run_again() -> None:
    store = MemoryStore()
    session_id = await left_behind(store, begun=3)
    async with serve_tasks(echo_task(), store=store) as live:
        await until_settled(live, session_id)

        assert await outcomes(store, session_id) == ["failed"]


async def test_a_stop_that_waited_beside_the_dead_turn_stops_it() -> None:
    store = MemoryStore()
    session_id = await left_behind(store, data_line({"type": "start", "messageId": "m"}))
    await store.append_in(session_id, '{"kind":"stop"}', part_id="s")
    async with serve_tasks(echo_task(), store=store) as live:
        await until_settled(live, session_id)

        assert await outcomes(store, session_id) == ["stopped"]


async def test_a_message_and_a_stop_that_waited_are_recovered_as_stopped() -> None:
    store = MemoryStore()
    session_id = await left_behind(store)
    await store.append_in(session_id, '{"kind":"stop"}', part_id="s")
    async with serve_tasks(echo_task(), store=store) as live:
        await until_settled(live, session_id)

        assert await outcomes(store, session_id) == ["stopped"]


async def test_closing_stops_the_turn_and_tells_the_readers() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> AsyncIterator[str]:
        yield "begun"
        await asyncio.Event().wait()

    async with harness(my_chat) as h, h.begin("hi") as turn:
        await turn.until("text-delta")
        await h.live.close(h.session, reason="done")
        assert (await turn.done()).outcome == "stopped"
        await until_settled(h.live, h.session.id)
        records = await h.records()

    assert records[-1] == ["session-closed", {"session-closed-reason": "done"}]
