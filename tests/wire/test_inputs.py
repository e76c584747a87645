from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.wire.inputs import (
    Handover,
    HandoverSkip,
    Junk,
    Message,
    Stop,
    parse_input,
    parse_payload,
    wakes,
)

HELLO: dict[str, object] = {
    "id": "m1",
    "role": "user",
    "parts": [{"type": "text", "text": "hello"}],
}


def message(**payload: object) -> str:
    return json.dumps({"kind": "message", "payload": payload})


def test_a_message_is_read_whole_and_keeps_what_the_app_put_in() -> None:
    payload: dict[str, object] = {
        "message": HELLO,
        "chatId": "c",
        "trigger": "submit-message",
        "messageId": "m1",
        "metadata": {"user": 7},
        "standing": ["m0"],
        "seed": [HELLO],
        "mine": [1],
    }

    assert parse_input(message(**payload)) == Message(
        trigger="submit-message",
        chat_id="c",
        message=HELLO,
        message_id="m1",
        metadata={"user": 7},
        standing=("m0",),
        seed=(HELLO,),
        payload=payload,
    )


@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        ('{"kind":"stop"}', Stop()),
        ('{"kind":"stop","message":"enough"}', Stop("enough")),
        ('{"kind":"stop","turn":4}', Stop(turn=4)),
        ('{"kind":"stop","message":7,"turn":true}', Stop()),
        ('{"kind":"handover-skip"}', HandoverSkip()),
        (
            '{"kind":"handover","partialAssistantMessage":[{"role":"assistant"}],"isFinal":true}',
            Handover(({"role": "assistant"},), None, True),
        ),
        (
            '{"kind":"handover","partialAssistantMessage":[],"messageId":"m","isFinal":false}',
            Handover((), "m", False),
        ),
        (
            message(trigger="action", action={"type": "undo"}),
            Message(
                "action",
                action={"type": "undo"},
                payload={"trigger": "action", "action": {"type": "undo"}},
            ),
        ),
        (
            message(trigger="regenerate-message", messageId="m"),
            Message(
                "regenerate-message",
                message_id="m",
                payload={"trigger": "regenerate-message", "messageId": "m"},
            ),
        ),
    ],
)
def test_each_kind_of_record_has_its_meaning(body: str, meaning: object) -> None:
    assert parse_input(body) == meaning


def test_a_base_payload_is_read_as_a_payload() -> None:
    payload: dict[str, object] = {
        "trigger": "handover-prepare",
        "chatId": "c",
        "headStartMessages": [HELLO],
        "idleTimeoutInSeconds": 60,
    }

    assert parse_payload(payload) == Message(
        "handover-prepare",
        chat_id="c",
        head_start_messages=(HELLO,),
        idle_timeout_s=60.0,
        payload=payload,
    )


@pytest.mark.parametrize(
    "body", ["", "hello", "[]", "null", "{}", '{"kind":7}', '{"kind":["stop"]}', '{"kind":"x"}']
)
def test_a_record_of_no_known_kind_is_junk_that_nobody_waits_for(body: str) -> None:
    meaning = parse_input(body)

    assert isinstance(meaning, Junk)
    assert not meaning.awaited
    assert not wakes(body)


@pytest.mark.parametrize(
    "payload",
    [
        {"trigger": "explode"},
        {"trigger": ["submit-message"]},
        {"message": "hello"},
        {"message": {"role": "user"}},
        {"message": {"role": "king", "parts": []}},
        {"message": {"role": ["user"], "parts": []}},
        {"message": {"role": "user", "parts": [{"text": "no type"}]}},
        {"message": {"role": "user", "parts": [], "id": 7}},
        {"messageId": 7},
        {"chatId": []},
        {"standing": "m1"},
        {"standing": [1]},
        {"seed": [7]},
        {"headStartMessages": {}},
        {"idleTimeoutInSeconds": "60"},
        {"idleTimeoutInSeconds": True},
        {"idleTimeoutInSeconds": 0},
    ],
)
def test_a_message_that_cannot_be_read_is_junk_that_a_client_waits_for(
    payload: dict[str, object],
) -> None:
    body = message(**payload)
    meaning = parse_input(body)

    assert isinstance(meaning, Junk)
    assert meaning.awaited
    assert wakes(body)


def test_a_message_without_a_payload_is_awaited_junk() -> None:
    assert parse_input('{"kind":"message"}') == Junk(
        "a message record needs a payload object", awaited=True
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (message(trigger="submit-message", message=HELLO), True),
        (message(message=HELLO), True),
        (message(trigger="regenerate-message"), True),
        (message(trigger="action", action=None), True),
        (message(trigger="close"), False),
        (message(trigger="preload"), False),
        ('{"kind":"stop"}', False),
        ('{"kind":"handover","partialAssistantMessage":[]}', True),
        ('{"kind":"handover-skip"}', False),
    ],
)
def test_only_what_needs_an_answer_wakes_a_run(body: str, expected: bool) -> None:
    assert wakes(body) is expected


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["kind", "payload", "message", "trigger", "parts", "role", "seed"])
                | st.text(),
                inner | st.sampled_from(["message", "stop", "handover", "user"]),
            )
        ),
    ).map(json.dumps)
)
def test_no_text_makes_it_raise(body: str) -> None:
    wakes(body)


def test_nesting_without_end_is_junk() -> None:
    assert isinstance(parse_input('{"kind":' * 100_000), Junk)
    assert isinstance(parse_input('{"kind":"stop","a":' + "[" * 900 + "]" * 900 + "}"), Junk)
