"""Hooks: their order, their failures, and what they may change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from chatrun import ChatError, ChatTask, Turn, chat
from chatrun.messages.types import message_text, user_message
from chatrun.testing import harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def task_with_every_hook(seen: list[str], **options: Any) -> ChatTask[Any]:
    @chat.task("my-chat", **options)
    async def my_chat(turn: Turn[Any]) -> str:
        seen.append("run")
        return "answer"

    def note(name: str) -> Any:
        return lambda _event: seen.append(name)

    my_chat.on_boot(note("boot"))
    my_chat.on_preload(note("preload"))
    my_chat.tools(lambda _turn: seen.append("tools") or [])  # type: ignore[func-returns-value]
    my_chat.validate_messages(note("validate"))
    my_chat.on_chat_start(note("chatStart"))
    my_chat.on_turn_start(note("turnStart"))
    my_chat.prepare_messages(note("prepareMessages"))
    my_chat.on_before_turn_complete(note("beforeTurnComplete"))
    my_chat.on_turn_complete(note("turnComplete"))
    my_chat.on_suspend(note("suspend"))
    my_chat.on_resume(note("resume"))
    return my_chat


TURN = ["turnStart", "prepareMessages", "run", "beforeTurnComplete", "turnComplete"]


async def test_rule_07_the_hooks_of_a_turn_run_in_their_order() -> None:
    seen: list[str] = []
    async with harness(task_with_every_hook(seen)) as h:
        await h.live.start(h.session)
        await h.send("one")
        await h.send("two")
        await h.send("the hooks of the second have run by now")

    first = ["boot", "preload", "tools", "validate", "chatStart", *TURN]
    assert seen[: len(first)] == first
    assert seen[len(first) :][: len(TURN) + 2] == ["tools", "validate", *TURN]


async def test_rule_08_a_turn_is_in_the_history_of_one_sent_the_moment_it_completes() -> None:
    order: list[str] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return f"{len(turn.history)}"

    @my_chat.on_turn_start
    async def start(event: Any) -> None:
        order.append(f"start {event.turn.number}")

    @my_chat.on_turn_complete
    async def complete(event: Any) -> None:
        await asyncio.sleep(0.02)
        order.append(f"complete {event.turn.number}")

    async with harness(my_chat) as h:
        await h.send("one")
        second = await h.send("two")

    assert second.text == "3"
    assert order[:3] == ["start 0", "complete 0", "start 1"]


async def test_rule_09_a_chat_starts_once_and_only_with_an_accepted_turn() -> None:
    seen: list[str] = []

    @chat.task("my-chat", max_turns=1)
    async def my_chat(turn: Turn[Any]) -> str:
        return "fine"

    @my_chat.validate_messages
    async def refuse(event: Any) -> None:
        if message_text(event.messages[0]) == "refused":
            raise ChatError("no")

    @my_chat.on_chat_start
    async def start(event: Any) -> None:
        seen.append("chat start")

    async with harness(my_chat) as h:
        refused = await h.send("refused")
        await h.send("one")
        await h.send("two, of another run")
        kept = await h.messages()

    assert (refused.outcome, refused.error) == ("failed", "no")
    assert seen == ["chat start"]
    assert "refused" not in [message_text(message) for message in kept]


async def test_rule_10_deferred_work_is_awaited_before_the_turn_is_complete_and_harms_nothing() -> (
    None
):
    order: list[str] = []

    async def work(name: str) -> None:
        await asyncio.sleep(0.02)
        order.append(name)
        raise RuntimeError("only logged")

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        turn.defer(work("deferred"))
        return "fine"

    @my_chat.on_before_turn_complete
    async def before(event: Any) -> None:
        order.append("before complete")

    async with harness(my_chat) as h:
        assert (await h.send("hi")).outcome == "finished"

    assert order == ["deferred", "before complete"]


async def test_an_answer_is_held_back_until_what_must_come_first_is_done() -> None:
    gate = asyncio.Event()
    generated = asyncio.Event()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[str]:
        turn.defer_before_output(gate.wait())
        yield "said"
        generated.set()

    async with harness(my_chat) as h, h.begin("hi") as turn:
        await generated.wait()
        await asyncio.sleep(0.01)
        before = [r for r in await h.records() if isinstance(r, dict)]
        gate.set()
        done = await turn.done()

    assert before == []
    assert done.text == "said"


async def test_rule_11_edits_of_the_history_are_visible_at_once_and_clobber_nothing() -> None:
    seen: list[list[str]] = []
    removed = asyncio.Event()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        seen.append([message_text(m) for m in turn.history])
        seen.append([str(m["role"]) for m in turn.messages])
        return "answer"

    @my_chat.on_chat_start
    async def seed(event: Any) -> None:
        event.turn.history.set(
            [user_message("from elsewhere", message_id="e"), *event.turn.history]
        )

    @my_chat.on_turn_complete
    async def forget(event: Any) -> None:
        async def later() -> None:
            event.turn.history.remove("e")
            removed.set()

        if event.turn.number == 0:
            event.turn.defer(later())

    async with harness(my_chat) as h:
        await h.send("one")
        await removed.wait()
        await h.send("two")
        kept = [message_text(m) for m in await h.messages()]

    assert seen == [
        ["from elsewhere", "one"],
        ["user", "user"],
        ["one", "answer", "two"],
        ["user", "assistant", "user"],
    ]
    assert kept == ["one", "answer", "two", "answer"]


async def test_history_edits_of_every_kind() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        history = turn.history
        history.set([user_message(text, message_id=text) for text in "abcde"])
        history.append(user_message("f", message_id="f"))
        history.replace("b", user_message("B", message_id="b"))
        history.remove("c")
        history.rollback_to("e")
        history.slice(1)
        found = history.find("b")
        assert found is not None
        return "".join(message_text(m) for m in history) + message_text(found)

    async with harness(my_chat) as h:
        assert (await h.send("hi")).text == "BdeB"
        assert [message_text(m) for m in await h.messages()] == ["B", "d", "e", "BdeB"]


async def test_rule_12_what_hooks_write_before_the_end_is_part_of_the_answer_once() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[Any]:
        yield {"type": "data-status", "id": "s", "data": "working"}
        yield {"type": "data-blink", "data": 1, "transient": True}

    @my_chat.on_before_turn_complete
    async def add(event: Any) -> None:
        await event.turn.write({"type": "data-status", "id": "s", "data": "done"})

    async with harness(my_chat) as h:
        turn = await h.send("hi")
        kept = await h.messages()

    assert [c["type"] for c in turn.chunks] == [
        "start",
        "data-status",
        "data-blink",
        "data-status",
        "finish",
    ]
    assert kept[1]["parts"] == [{"type": "data-status", "id": "s", "data": "done"}]


async def test_hydrate_takes_the_history_from_elsewhere() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return " ".join(message_text(m) for m in turn.history)

    @my_chat.hydrate
    async def from_database(event: Any) -> list[Any]:
        return [user_message("stored", message_id="s")]

    async with harness(my_chat) as h:
        await h.send("one")
        assert (await h.send("two")).text == "stored two"


async def test_rule_33_a_boot_that_fails_is_told_to_the_client_and_the_question_kept() -> None:
    fail = [True]

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return "fine"

    @my_chat.on_boot
    async def boot(event: Any) -> None:
        if fail:
            fail.pop()
            raise ChatError("The database is down.")

    async with harness(my_chat) as h:
        failed = await h.send("hi")
        fine = await h.send("again")
        kept = [message_text(m) for m in await h.messages()]

    assert (failed.outcome, failed.error) == ("failed", "The database is down.")
    assert fine.outcome == "finished"
    assert kept == ["hi", "again", "fine"]


async def test_rule_17_messages_that_wait_when_a_task_ends_its_run_are_the_next_runs() -> None:
    runs: set[str] = set()

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        runs.add(turn.run_id)
        turn.end_run()
        return turn.text

    async with harness(my_chat) as h:
        async with h.begin("a") as a, h.begin("b") as b, h.begin("c") as c:
            answers = [(await turn.done()).text for turn in (a, b, c)]

    assert answers == ["a", "b", "c"]
    assert len(runs) == 3


async def test_newer_code_answers_the_very_message_for_which_an_upgrade_was_asked() -> None:
    asked: list[str] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return f"by run {len(asked)}"

    @my_chat.on_turn_start
    async def upgrade(event: Any) -> None:
        asked.append(event.turn.run_id)
        if len(asked) == 1:
            event.turn.request_upgrade()

    async with harness(my_chat) as h:
        turn = await h.send("hi")
        kept = await h.messages()

    assert (turn.outcome, turn.text) == ("finished", "by run 2")
    assert len(set(asked)) == 2
    assert len(kept) == 2


async def test_a_run_that_falls_asleep_and_wakes_tells_its_hooks() -> None:
    seen: list[str] = []
    task = task_with_every_hook(seen, idle_timeout=0.01)
    async with harness(task) as h:
        await h.send("one")
        while "suspend" not in seen:
            await asyncio.sleep(0.005)
        await h.send("two")

    assert seen.index("suspend") < seen.index("resume")
    assert seen.count("boot") == 1


async def test_injected_messages_reach_the_model_once_and_never_the_history() -> None:
    seen: list[list[str]] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        seen.append([str(m["content"])[:40] for m in turn.messages if m["role"] == "user"])
        if turn.number == 0:
            turn.inject([{"role": "user", "content": [{"type": "text", "text": "by the way"}]}])
        return "fine"

    async with harness(my_chat) as h:
        await h.send("one")
        await h.send("two")
        await h.send("three")
        kept = [message_text(m) for m in await h.messages()]

    assert [len(messages) for messages in seen] == [1, 3, 3]
    assert "by the way" not in kept


async def test_the_instructions_of_a_turn_come_from_its_providers() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return str(turn.system)

    my_chat.system(lambda turn: f"You answer {turn.chat_id}.")
    my_chat.system(lambda turn: None)

    async with harness(my_chat) as h:
        assert (await h.send("hi")).text == "You answer test-chat."


async def test_the_history_tells_which_tool_calls_wait_and_which_were_just_resolved() -> None:
    seen: list[tuple[list[str], list[str], list[str]]] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> AsyncIterator[Any]:
        history = turn.history
        waiting = [call["toolCallId"] for call in history.pending_tool_calls()]
        asked = [call["toolCallId"] for call in history.pending_approvals()]
        fresh = [call["toolCallId"] for call in history.new_tool_results()]
        seen.append((waiting, asked, fresh))
        if turn.number == 0:
            for call_id in ("answered", "unanswered", "approved"):
                yield {"type": "tool-input-available", "toolCallId": call_id} | {
                    "toolName": "ask",
                    "input": {},
                }
            yield {"type": "tool-approval-request", "approvalId": "a", "toolCallId": "approved"}

    async with harness(my_chat) as h:
        await h.send("hi")
        answer = (await h.messages())[-1]
        part = {"type": "tool-ask", "toolCallId": "answered", "state": "output-available"}
        await h.send({**answer, "parts": [{**part, "output": 1}]})

    assert seen == [([], [], []), (["unanswered"], ["approved"], ["answered"])]
