"""The harness: what it waits for, what it leaves behind for a task to continue, what it tells."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import ChatTask, Turn, chat, stream_text, tool
from chatrun.errors import InvalidInput, SessionClosed
from chatrun.messages.types import message_text, user_message
from chatrun.store.memory import MemoryStore
from chatrun.testing import (
    Continuation,
    Harness,
    ScriptedModel,
    TurnResult,
    call,
    harness,
    serve_tasks,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chatrun.messages.types import UIMessage

QUESTION = user_message("What is it?", message_id="u1")
ANSWER: UIMessage = {
    "id": "a1",
    "role": "assistant",
    "parts": [{"type": "text", "text": "A chat."}],
}


def echo_task(**options: Any) -> ChatTask[Any]:
    @chat.task("my-chat", **options)
    async def my_chat(turn: Turn[Any]) -> str:
        return "+".join(message_text(m) for m in turn.ui_messages if m["role"] == "user")

    return my_chat


def waiting_task() -> ChatTask[Any]:
    """Return a task that answers "wait" with one word and silence."""

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
        yield turn.text
        if turn.text == "wait":
            await asyncio.Event().wait()

    return my_chat


# --- waiting --------------------------------------------------------------------------------


async def test_a_turn_is_settled_once_the_hooks_behind_it_have_ended() -> None:
    seen: list[str] = []
    release = asyncio.Event()
    my_chat = echo_task()

    @my_chat.on_turn_complete
    async def slow(event: Any) -> None:
        await release.wait()
        seen.append(f"complete {event.turn.number}")

    async with harness(my_chat) as h:
        turn = await h.send("hi")
        before = list(seen)
        release.set()
        await turn.settled
        await turn.settled

    assert (before, seen) == ([], ["complete 0"])


async def test_each_turn_of_a_queue_settles_by_itself() -> None:
    releases = [asyncio.Event(), asyncio.Event()]
    my_chat = echo_task()

    @my_chat.on_turn_complete
    async def slow(event: Any) -> None:
        await releases[event.turn.number].wait()

    async with harness(my_chat) as h, h.begin("a") as a, h.begin("b") as b:
        first = await a.done()
        releases[0].set()
        await first.settled
        second = await b.done()
        await first.settled  # though the second one is not
        releases[1].set()
        await second.settled


async def test_a_turn_whose_hook_fails_and_one_that_failed_settle_too() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        if turn.number == 0:
            raise ValueError("broken")
        return "fine"

    @my_chat.on_turn_complete
    async def broken(event: Any) -> None:
        raise RuntimeError("only logged")

    async with harness(my_chat) as h:
        failed = await h.send("hi")
        await failed.settled
        fine = await h.send("hi")
        await fine.settled

    assert (failed.outcome, failed.error, fine.outcome) == (
        "failed",
        "ValueError: broken",
        "finished",
    )


async def test_a_turn_whose_run_fails_to_boot_tells_why_and_settles() -> None:
    my_chat = echo_task()

    @my_chat.on_boot
    async def broken(event: Any) -> None:
        raise ValueError("no database")

    async with harness(my_chat) as h:
        turn = await h.send("hi")
        await turn.settled
        await h.idle()

    assert (turn.outcome, turn.error) == ("failed", "ValueError: no database")


async def test_idle_is_when_no_turn_runs_or_waits_and_no_hook_behind_one_runs() -> None:
    seen: list[str] = []
    my_chat = echo_task(max_turns=2)

    @my_chat.on_turn_complete
    async def slow(event: Any) -> None:
        await asyncio.sleep(0.005)
        seen.append(message_text(event.new_messages[0]))

    async with harness(my_chat) as h:
        await h.idle()
        for text in "abcde":
            message = user_message(text, message_id=text)
            await h.append({"kind": "message", "payload": {"message": message}})
        await h.idle()

        assert seen == ["a", "b", "c", "d", "e"]
        await h.stop()  # of nothing: it waits for no turn
        await h.idle()


async def test_without_errors_shown_a_client_is_told_nothing_of_an_exception() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        raise ValueError("secret")

    async with harness(my_chat, show_errors=False) as h:
        assert (await h.send("hi")).error == "An error occurred."


async def test_an_answer_is_given_anew() -> None:
    model = ScriptedModel(["First.", "Second."])
    async with harness(tool_task(model)) as h:
        await h.send("hi")
        again = await h.regenerate()
        kept = await h.messages()

    assert (again.text, [message_text(m) for m in kept]) == ("Second.", ["hi", "Second."])


# --- side by side ---------------------------------------------------------------------------


async def test_several_harnesses_run_side_by_side_without_meeting() -> None:
    async def talk(name: str) -> list[str]:
        async with harness(echo_task(), chat_id=name) as h:
            return [(await h.send(f"{name}{n}")).text for n in range(3)]

    answers = await asyncio.gather(*map(talk, "abc"))

    assert answers == [[f"{n}0", f"{n}0+{n}1", f"{n}0+{n}1+{n}2"] for n in "abc"]


async def test_two_harnesses_in_a_row_continue_one_chat_in_one_store() -> None:
    store = MemoryStore()
    async with harness(echo_task(), store=store) as h:
        await h.send("a")
    async with harness(echo_task(), store=store) as h:
        assert (await h.send("b")).text == "a+b"
        assert [turn.text for turn in await h.turns()] == ["a+b"]


async def test_other_chats_of_the_same_server_do_not_count() -> None:
    async with harness(echo_task()) as h:
        session, _ = await h.live.store.create_session(new_session())
        other = await Harness(h.live, session).send("a")
        await h.idle()
        turns = await h.turns()

    assert (other.text, turns) == ("a", [])


# --- stop, close, actions, tools ------------------------------------------------------------


async def test_a_stop_ends_the_turn_and_closes_the_model() -> None:
    model = ScriptedModel([["One ", asyncio.Event(), "two"]])

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> object:
        return stream_text(model, messages=turn.messages)

    async with harness(my_chat) as h, h.begin("count") as turn:
        await turn.until("text-delta")
        before = model.answering
        await h.stop()
        stopped = await turn.done()

    assert (stopped.outcome, stopped.text) == ("stopped", "One ")
    assert (before, model.answering) == (1, 0)


async def test_a_closed_chat_takes_no_more_and_is_idle() -> None:
    async with harness(waiting_task()) as h, h.begin("wait") as turn:
        await turn.until("text-delta")
        await h.close(reason="enough")
        stopped = await turn.done()
        await h.idle()
        records = await h.records()
        with pytest.raises(SessionClosed):
            await h.send("more")

    assert stopped.outcome == "stopped"
    assert records[-1] == ["session-closed", {"session-closed-reason": "enough"}]


async def test_an_action_is_waited_for_like_a_turn() -> None:
    my_chat = echo_task()
    seen: list[object] = []

    @my_chat.on_action
    async def act(event: Any) -> object:
        seen.append(event.action)
        return chat.turn() if event.action == "again" else None

    async with harness(my_chat) as h:
        await h.send("a")
        quiet = await h.action({"type": "note"})
        again = await h.action("again")

    assert seen == [{"type": "note"}, "again"]
    assert (quiet.outcome, quiet.chunks, again.text) == ("finished", [], "a")


@tool(client=True)
async def colour() -> str:
    """Ask for a colour."""
    return ""


@tool(needs_approval=True)
async def erase(file: str) -> str:
    """Erase a file."""
    return f"{file} is gone"


def tool_task(model: ScriptedModel) -> ChatTask[Any]:
    @chat.task("my-chat", tools=[colour, erase])
    async def my_chat(turn: Turn[Any]) -> object:
        return stream_text(model)

    return my_chat


async def test_a_call_left_to_the_client_is_answered_by_its_id() -> None:
    model = ScriptedModel([call("colour", {}, tool_call_id="c1"), "Blue it is."])
    async with harness(tool_task(model)) as h:
        asked = await h.send("paint")
        answered = await h.answer("c1", "blue")

    assert (asked.text, answered.text) == ("", "Blue it is.")
    assert answered.message is not None
    assert [part["type"] for part in answered.message["parts"]] == [
        "step-start",
        "tool-colour",
        "step-start",
        "text",
    ]


async def test_a_call_is_allowed_or_denied_by_its_id() -> None:
    model = ScriptedModel(
        [call("erase", {"file": "a"}), "Gone.", call("erase", {"file": "b"}), "Kept."]
    )
    async with harness(tool_task(model)) as h:
        await h.send("erase a")
        allowed = await h.approve("call_1")
        await h.send("erase b")
        denied = await h.approve("call_2", approved=False, reason="mine")

    assert (allowed.text, denied.text) == ("Gone.", "Kept.")
    assert [part for part in parts_of(allowed) if part["type"] == "tool-erase"][0]["output"] == (
        "a is gone"
    )
    assert [part["state"] for part in parts_of(denied) if part["type"] == "tool-erase"] == [
        "output-denied"
    ]


def parts_of(turn: TurnResult) -> list[Any]:
    assert turn.message is not None
    return list(turn.message["parts"])


async def test_answering_what_was_not_asked_is_refused_with_what_there_is() -> None:
    model = ScriptedModel([call("colour", tool_call_id="c1")])
    async with harness(tool_task(model)) as h:
        with pytest.raises(InvalidInput, match="no tool call 'c1' in the chat; there is none"):
            await h.answer("c1", "blue")
        await h.send("paint")
        with pytest.raises(InvalidInput, match="'c2' in the chat; there are 'c1'"):
            await h.answer("c2", "blue")
        with pytest.raises(InvalidInput, match="'c1' waits for no approval"):
            await h.approve("c1")


# --- what came of it ------------------------------------------------------------------------


async def test_all_that_was_streamed_is_told_though_out_is_trimmed() -> None:
    async with harness(echo_task()) as h:
        for text in "abc":
            await h.send(text)
        chunks = await h.all_chunks()
        turns = await h.turns()
        records = await h.records()

    assert [c["delta"] for c in chunks if c["type"] == "text-delta"] == ["a", "a+b", "a+b+c"]
    assert [turn.text for turn in turns] == ["a", "a+b", "a+b+c"]
    assert len([r for r in records if isinstance(r, dict)]) < len(chunks)


async def test_a_turn_that_ends_without_the_chunk_one_waits_for_says_so() -> None:
    async with harness(echo_task()) as h, h.begin("hi") as turn:
        with pytest.raises(AssertionError, match="the turn ended finished without a 'file' chunk"):
            await turn.until("file")


async def test_what_a_test_raises_within_a_harness_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        async with harness(echo_task()) as h:
            await h.send("hi")
            1 / 0  # noqa: B018

    assert raised.value.__context__ is None


async def test_a_cancelled_test_ends_its_harness() -> None:
    seen: list[str] = []
    begun = asyncio.Event()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
        try:
            yield "begun"
            await asyncio.Event().wait()
        finally:
            seen.append(f"cancelled {turn.cancelled}")

    async def test() -> None:
        async with harness(my_chat) as h, h.begin("hi") as turn:
            await turn.until("text-delta")
            begun.set()
            await turn.done()

    testing = asyncio.create_task(test())
    await begun.wait()
    testing.cancel()
    await asyncio.wait({testing})

    assert (testing.cancelled(), seen) == (True, ["cancelled True"])


async def test_a_harness_over_another_server_can_do_what_a_client_can() -> None:
    async with serve_tasks(echo_task()) as live:
        first = await live.store.create_session(new_session())
        h = Harness(live, first[0])
        turn = await h.send("hi")
        with pytest.raises(InvalidInput, match="`idle` needs a server of its own"):
            await h.idle()

    assert turn.text == "hi"


def new_session() -> Any:
    from chatrun.store.base import NewSession

    return NewSession("my-chat", external_id="c")


# --- beginning in the middle ----------------------------------------------------------------


def watched_task(seen: list[object]) -> ChatTask[Any]:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        seen.append((turn.continuation, turn.previous_run_id is not None, turn.preloaded))
        return "+".join(message_text(m) for m in turn.ui_messages)

    my_chat.on_chat_start(lambda event: seen.append("chat start"))
    my_chat.on_preload(lambda event: seen.append("preload"))

    @my_chat.on_recovery
    def recover(event: Any) -> None:
        seen.append(("recovery", event.raw_partial["parts"]))

    return my_chat


async def test_a_preloaded_run_has_begun_before_its_first_message() -> None:
    seen: list[object] = []
    my_chat = watched_task(seen)

    @my_chat.on_boot
    async def boot(event: Any) -> None:
        await asyncio.sleep(0.005)
        seen.append("boot")

    async with harness(my_chat, preload=True) as h:
        before = list(seen)
        await h.send("hi")

    assert before == ["boot", "preload"]
    assert seen == [*before, "chat start", (False, False, True)]


async def test_a_preloaded_run_that_fails_to_boot_or_has_messages_waiting_is_no_obstacle() -> None:
    seen: list[object] = []
    broken = watched_task(seen)

    @broken.on_boot
    async def boot(event: Any) -> None:
        if not seen:
            seen.append("boot")
            raise ValueError("no database")

    async with harness(broken, preload=True) as h:
        assert (await h.send("hi")).text == "hi"
    async with harness(
        watched_task(seen), preload=True, continuation=Continuation(pending=["hi"])
    ) as h:
        await h.idle()

    assert [what for what in seen if what == "preload"] == []


async def test_a_chat_that_has_messages_is_continued_without_a_second_start() -> None:
    seen: list[object] = []
    left = Continuation(messages=[QUESTION, ANSWER])
    async with harness(watched_task(seen), continuation=left) as h:
        turn = await h.send("And now?")
        kept = await h.messages()

    assert turn.text == "What is it?+A chat.+And now?"
    assert seen == [(True, True, False)]
    assert kept[:2] == [QUESTION, ANSWER]


async def test_client_data_goes_along_with_what_waits_and_what_is_sent() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return f"{turn.client_data}"

    left = Continuation(messages=[QUESTION], partial=["A"], pending=["b"])
    async with harness(my_chat, client_data={"n": 1}, continuation=left) as h:
        await h.idle()
        sent = await h.send("c", metadata="mine")
        turns = await h.turns()

    assert [turn.text for turn in turns] == ["A", "{'n': 1}", "mine"]
    assert sent == turns[-1]


async def test_a_chat_without_a_past_is_continued_and_starts_with_its_first_message() -> None:
    seen: list[object] = []
    async with harness(watched_task(seen), continuation=Continuation()) as h:
        turn = await h.send("hi")

    assert (turn.text, seen) == ("hi", ["chat start", (True, True, False)])


async def test_messages_that_wait_are_answered_one_by_one() -> None:
    left = Continuation(
        messages=[QUESTION, ANSWER],
        pending=["b", user_message("c", message_id="u3"), {"kind": "stop"}],
    )
    async with harness(echo_task(), continuation=left) as h:
        await h.idle()
        turns = await h.turns()

    assert [(turn.outcome, turn.text) for turn in turns] == [
        ("stopped", ""),
        ("finished", "What is it?+b+c"),
    ]


async def test_an_answer_that_a_dead_server_left_is_ended_where_it_stands() -> None:
    seen: list[object] = []
    left = Continuation(messages=[QUESTION], partial=["A ch"])
    async with harness(watched_task(seen), continuation=left) as h:
        await h.idle()
        [cut] = await h.turns()
        after = await h.send("Go on.")

    assert (cut.outcome, cut.text) == ("failed", "A ch")
    assert cut.error == "The server was restarted in the middle of this answer."
    assert after.text == "What is it?+A ch+Go on."
    assert seen == [
        ("recovery", [{"type": "text", "text": "A ch", "state": "streaming"}]),
        (True, True, False),
    ]


async def test_a_partial_answer_may_be_given_as_its_chunks() -> None:
    partial = [
        {"type": "start", "messageId": "a1"},
        {"type": "tool-input-start", "toolCallId": "c1", "toolName": "look"},
    ]
    left = Continuation(messages=[QUESTION], partial=partial)
    async with harness(echo_task(), continuation=left) as h:
        await h.idle()
        [cut] = await h.turns()
        kept = await h.messages()

    assert cut.message is not None
    assert (cut.message["id"], len(cut.message["parts"])) == ("a1", 1)
    assert kept == [QUESTION]


async def test_a_call_of_an_earlier_run_is_allowed_and_its_answer_is_whole() -> None:
    asked: UIMessage = {
        "id": "a1",
        "role": "assistant",
        "parts": [
            {"type": "step-start"},
            {
                "type": "tool-erase",
                "toolCallId": "e1",
                "state": "approval-requested",
                "input": {"file": "a"},
                "approval": {"id": "ok1"},
            },
        ],
    }
    left = Continuation(messages=[QUESTION, asked])
    async with harness(tool_task(ScriptedModel(["Gone."])), continuation=left) as h:
        allowed = await h.approve("e1")
        turns = await h.turns()

    assert turns == [allowed]
    assert [part["type"] for part in parts_of(allowed)] == [
        "step-start",
        "tool-erase",
        "step-start",
        "text",
    ]


async def test_a_partial_answer_is_read_as_far_as_it_makes_sense() -> None:
    partial: list[Any] = ["One", {"type": "text-delta", "id": "never-opened", "delta": "!"}]
    left = Continuation(messages=[QUESTION], partial=partial)
    async with harness(echo_task(), continuation=left) as h:
        await h.idle()
        [cut] = await h.turns()

    assert [part["text"] for part in parts_of(cut)] == ["One"]


async def test_a_past_that_cannot_have_been_is_refused() -> None:
    with pytest.raises(InvalidInput, match="`partial` needs the message that it answers"):
        async with harness(echo_task(), continuation=Continuation(partial=["A"])):
            pass
    store = MemoryStore()
    async with harness(echo_task(), store=store):
        pass
    with pytest.raises(InvalidInput, match="'test-chat' has a past already"):
        async with harness(echo_task(), store=store, continuation=Continuation()):
            pass


# --- restarting -----------------------------------------------------------------------------


async def test_a_restart_cuts_the_turn_that_runs_and_the_next_run_continues() -> None:
    seen: list[object] = []
    my_chat = waiting_task()
    my_chat.on_boot(lambda event: seen.append(event.run.continuation))

    async with harness(my_chat) as h:
        await h.send("a")
        async with h.begin("wait") as turn:
            await turn.until("text-delta")
            await h.restart()
            cut = await turn.done()
            await cut.settled
        after = await h.send("b")
        roles = [message["role"] for message in await h.messages()]
        turns = await h.turns()

    assert (cut.outcome, cut.text) == ("failed", "wait")
    assert cut.error == "The server was restarted in the middle of this answer."
    assert (after.text, roles) == ("b", ["user", "assistant"] * 3)
    assert [turn.text for turn in turns] == ["a", "wait", "b"]
    assert seen == [False, True]


async def test_a_message_that_waited_over_a_restart_is_answered() -> None:
    async with harness(waiting_task()) as h, h.begin("wait") as cut, h.begin("b") as waiting:
        await cut.until("text-delta")
        await h.restart()
        outcomes = [(await turn.done()).outcome for turn in (cut, waiting)]

    assert outcomes == ["failed", "finished"]


async def test_a_restarted_chat_may_be_idle_restarted_and_closed() -> None:
    async with harness(echo_task()) as h:
        await h.restart()
        await h.send("a")
        await h.restart()
        await h.idle()
        await h.close()
        turns = await h.turns()

    assert [turn.text for turn in turns] == ["a"]


async def test_a_worker_that_dies_is_replaced_and_no_turn_waits_for_its_hooks() -> None:
    my_chat = echo_task()

    @my_chat.on_turn_complete
    async def never(event: Any) -> None:
        if event.turn.number == 0 and not event.turn.continuation:
            await asyncio.Event().wait()

    async with harness(my_chat) as h:
        turn = await h.send("a")
        for worker in h.live.pool.workers:
            worker.kill()
        await turn.settled
        after = await h.send("b")

    assert after.text == "a+b"


async def test_the_clock_is_the_one_that_was_given() -> None:
    async with harness(echo_task(), clock=lambda: 1_000.0) as h:
        await h.send("a")
        session = await h.live.store.session(h.session.id)

    assert (session.created_at_ms, session.updated_at_ms) == (1_000_000, 1_000_000)


def test_the_package_has_what_it_lists_and_nothing_else() -> None:
    import chatrun.testing

    assert dir(chatrun.testing) == sorted(chatrun.testing.__all__)
    assert all(hasattr(chatrun.testing, name) for name in chatrun.testing.__all__)
    assert not hasattr(chatrun.testing, "mock")
