from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from chatrun.errors import InvalidInput
from chatrun.messages.check import check_message
from chatrun.messages.clean import close_partial
from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.fold import MessageFold
from chatrun.messages.heal import heal
from chatrun.messages.merge import overlay
from tests.support.oracle import SEED, Sdk, ask
from tests.support.random_messages import random_messages

CALL = {"type": "tool-t", "toolCallId": "c", "state": "output-available"}


def user(*parts: object) -> dict[str, object]:
    return {"id": "u", "role": "user", "parts": list(parts)}


def assistant(*parts: object) -> dict[str, object]:
    return {"id": "a", "role": "assistant", "parts": list(parts)}


@pytest.mark.parametrize(
    "message",
    [
        user({"type": "text", "text": "Hi"}),
        user({"type": "file", "mediaType": "image/png", "url": "data:,"}),
        assistant(),
        assistant(CALL),
        assistant(
            {**CALL, "state": "approval-responded", "approval": {"id": "a", "approved": True}}
        ),
        assistant({"type": "text", "text": "", "providerMetadata": None, "newer": 1}),
        assistant({"type": "newer", "text": "of a newer client"}),
        {**assistant({"type": "data-x", "data": None}), "metadata": 1, "newer": 1},
    ],
)
def test_a_message_passes_unchanged(message: dict[str, object]) -> None:
    before = json.dumps(message)

    assert check_message(message) is message
    assert json.dumps(message) == before


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ([], "the message must be an object"),
        ({**user(), "id": 1}, 'the message must have "id", a string'),
        ({**user(), "role": "tool"}, 'the message must have a "role": system, user or assistant'),
        ({**user(), "role": []}, 'the message must have a "role": system, user or assistant'),
        ({**user(), "parts": {}}, 'the message must have "parts", an array'),
        (user(), "the message has no parts: it says nothing"),
        (user("Hi"), "part 0 of the message must be an object"),
        (user({}), 'part 0 of the message must have "type", a string'),
        (user({"type": "text"}), 'part 0 ("text") of the message needs "text", a string'),
        (
            user({"type": "text", "text": "Hi"}, {"type": "file", "mediaType": "a/b", "url": 1}),
            'part 1 ("file") of the message needs "url" to be a string',
        ),
        (
            assistant({"type": "text", "text": "", "providerMetadata": {"p": 1}}),
            'part 0 ("text") of the message needs "providerMetadata" to be an object of objects, '
            "one per provider",
        ),
        (
            assistant({**CALL, "toolCallId": None}),
            'part 0 ("tool-t") of the message needs "toolCallId", a string',
        ),
        (
            assistant({**CALL, "type": "dynamic-tool"}),
            'part 0 ("dynamic-tool") of the message needs "toolName", a string',
        ),
        (
            assistant({**CALL, "state": "done"}),
            'part 0 ("tool-t") of the message has the unknown state "done"',
        ),
        (
            assistant({**CALL, "state": "approval-requested"}),
            'part 0 ("tool-t") of the message is in the state "approval-requested" '
            'and needs "approval"',
        ),
        (
            assistant({**CALL, "state": "output-denied", "approval": {"id": "a"}}),
            'the approval of part 0 ("tool-t") of the message needs "approved", true or false',
        ),
        (
            assistant({**CALL, "approval": {"id": "a", "approved": "yes"}}),
            'the approval of part 0 ("tool-t") of the message needs "approved" to be true or false',
        ),
        (
            assistant({"type": "steering-message", "id": "s", "parts": [{"type": "text"}]}),
            'part 0 ("text") of part 0 ("steering-message") of the message needs "text", a string',
        ),
    ],
)
def test_a_complaint_says_where_and_what(value: object, complaint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_message(value)

    assert str(caught.value) == complaint


def test_nothing_that_passes_can_break_what_is_done_with_messages() -> None:
    passed = 0
    for number in range(3000):
        rng = Random(f"break {SEED}:{number}")
        try:
            chat: Any = [check_message(spoilt(rng, each)) for each in random_messages(rng)]
        except InvalidInput:
            continue
        passed += 1
        heal(convert_to_model_messages(chat))
        for message in chat:
            close_partial(message)
            overlay(chat[-1], message)
            assert MessageFold(message).message["parts"] is not None
    assert passed > 300


@pytest.mark.npm
@pytest.mark.parametrize("sdk", [6, 7])
def test_whatever_the_original_takes_for_messages_passes(sdk: Sdk) -> None:
    chats = [random_messages(Random(f"validate {SEED}:{number}"))[:1] for number in range(1000)]

    answers = ask([{"kind": "validate", "sdk": sdk, "messages": chat} for chat in chats])

    valid = [chat for chat, answer in zip(chats, answers, strict=True) if answer["valid"]]
    assert len(valid) > 200
    for chat in valid:
        assert [check_message(message) for message in chat] == chat


def spoilt(rng: Random, message: dict[str, Any]) -> dict[str, Any]:
    """Return a message in which a key of a part may be missing or have any value."""
    if message["parts"] and rng.random() < 0.8:
        part = rng.choice(message["parts"])
        part = part["approval"] if "approval" in part and rng.random() < 0.5 else part
        key = rng.choice([*part, "approval", "providerMetadata"])
        part[key] = rng.choice((None, 1, "text", True, [], {}, {"p": {}}, {"p": 1}))
        if rng.random() < 0.4:
            del part[key]
    return message
