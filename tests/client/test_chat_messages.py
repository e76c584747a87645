"""The messages of a chat at its client."""

from __future__ import annotations

from typing import Any, cast

from chatrun.client.chat_messages import ChatMessages
from chatrun.messages.types import UIMessage, user_message


def answer(messages: ChatMessages, text: str, *, message_id: str) -> None:
    """Have an answer stream in, up to its end."""
    grow(messages, text, message_id=message_id)
    messages.settle()


def grow(messages: ChatMessages, text: str, *, message_id: str) -> None:
    for chunk in (
        {"type": "start", "messageId": message_id},
        {"type": "text-start", "id": message_id},
        {"type": "text-delta", "id": message_id, "delta": text},
    ):
        messages.apply(chunk)


def shown(messages: ChatMessages) -> list[str]:
    """Return every message as its id and its texts."""
    return [
        f"{message['id']}: {' '.join(str(part.get('text')) for part in message['parts'])}"
        for message in messages.all
    ]


def said(message_id: str) -> UIMessage:
    return user_message("?", message_id=message_id)


def test_what_is_said_stays_last_until_its_turn_begins() -> None:
    messages = ChatMessages()

    messages.say(said("u1"))
    messages.say(said("u2"))
    messages.begin("u1")
    answer(messages, "A", message_id="a1")

    assert shown(messages) == ["u1: ?", "a1: A", "u2: ?"]


def test_a_turns_number_begins_what_was_said_up_to_it() -> None:
    messages = ChatMessages()
    for at, message_id in enumerate(("u1", "u2", "u3")):
        messages.say(said(message_id))
        messages.number(message_id, at)

    messages.begin_up_to(1)
    answer(messages, "A", message_id="a1")

    assert shown(messages) == ["u1: ?", "u2: ?", "a1: A", "u3: ?"]


def test_what_never_arrived_is_taken_back() -> None:
    messages = ChatMessages()

    messages.say(said("u1"))
    messages.unsay("u1")

    assert messages.all == []


def test_an_edit_drops_everything_behind_the_message_it_replaces() -> None:
    messages = ChatMessages()
    messages.replace([said("u1"), said("a1"), said("u2"), said("a2")])

    messages.say(user_message("new", message_id="u2"))
    assert shown(messages) == ["u1: ?", "a1: ?", "u2: new"]
    messages.begin("u2")

    assert shown(messages) == ["u1: ?", "a1: ?", "u2: new"]


def test_what_a_running_turn_takes_up_goes_before_its_answer() -> None:
    messages = ChatMessages()
    messages.say(said("u1"))
    messages.begin("u1")
    grow(messages, "A", message_id="a1")
    messages.say(said("u2"))

    messages.take_up(["u2"])
    messages.settle()

    assert shown(messages) == ["u1: ?", "u2: ?", "a1: A"]


def test_a_turn_that_continues_a_message_adds_to_it() -> None:
    messages = ChatMessages()
    messages.replace([said("u1")])
    answer(messages, "A", message_id="a1")

    answer(messages, "B", message_id="a1")

    assert shown(messages) == ["u1: ?", "a1: A B"]


def test_an_answer_that_says_nothing_leaves_no_message() -> None:
    messages = ChatMessages()
    messages.replace([said("u1")])

    messages.apply({"type": "start", "messageId": "a1"})
    messages.apply({"type": "error", "errorText": "no"})
    messages.settle()

    assert messages.growing is None
    assert shown(messages) == ["u1: ?"]


def test_the_answer_at_the_end_can_be_cut_or_one_that_is_named() -> None:
    messages = ChatMessages()
    everything = [said("u1"), assistant("a1"), said("u2"), assistant("a2")]
    messages.replace(everything)
    messages.cut_answer(None)
    assert [message["id"] for message in messages.all] == ["u1", "a1", "u2"]

    messages.replace(everything)
    messages.cut_answer("a1")
    assert [message["id"] for message in messages.all] == ["u1"]


def assistant(message_id: str, *parts: dict[str, Any]) -> UIMessage:
    return cast("UIMessage", {"id": message_id, "role": "assistant", "parts": list(parts)})


def test_a_tools_answer_is_sent_slim_and_kept_in_full() -> None:
    call = {"type": "tool-rm", "toolCallId": "c", "state": "approval-requested", "input": {"a": 1}}
    waiting = {**call, "approval": {"id": "p"}}
    text = {"type": "text", "text": "Shall I?"}
    messages = ChatMessages()
    messages.replace([said("u1"), assistant("a1", text, waiting)])
    assert messages.waiting_tools() == [waiting]

    yes = {"state": "approval-responded", "approval": {"id": "p", "approved": True}}
    sent = messages.overlay({"c": yes})

    assert sent == assistant("a1", {"type": "tool-rm", "toolCallId": "c", **yes})
    assert messages.all[-1] == assistant("a1", text, {**call, **yes})
    assert messages.waiting_tools() == []


def test_an_answer_for_an_unknown_tool_call_changes_nothing() -> None:
    messages = ChatMessages()
    messages.replace([assistant("a1", {"type": "text", "text": "x"})])

    assert messages.overlay({"c": {"state": "output-available", "output": 1}}) is None
    assert messages.all == [assistant("a1", {"type": "text", "text": "x"})]
