from __future__ import annotations

import json
from typing import Any

import pytest

from chatrun.errors import ChunkInvalid
from chatrun.messages.fold import MessageFold

Chunk = dict[str, Any]


def folded(*chunks: Chunk, **options: Any) -> Any:
    fold = MessageFold(message_id="m", **options)
    for chunk in chunks:
        fold.apply(chunk)
    return fold.message


def start(call_id: str = "c", name: str = "weather", **more: Any) -> Chunk:
    return {"type": "tool-input-start", "toolCallId": call_id, "toolName": name, **more}


def delta(text: str, call_id: str = "c") -> Chunk:
    return {"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": text}


def called(value: Any, call_id: str = "c", **more: Any) -> Chunk:
    named = {"toolCallId": call_id, "toolName": "weather"}
    return {"type": "tool-input-available", **named, "input": value, **more}


def text(step: str, text_id: str = "0", **more: Any) -> Chunk:
    return {"type": f"text-{step}", "id": text_id, **more}


def test_an_answer_of_two_steps_becomes_one_message() -> None:
    message = folded(
        {"type": "start", "messageId": "answer", "messageMetadata": {"model": {"name": "x"}}},
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "r"},
        {"type": "reasoning-delta", "id": "r", "delta": "Hm."},
        {"type": "reasoning-end", "id": "r", "providerMetadata": {"anthropic": {"signature": "s"}}},
        start(),
        delta('{"city": "Pa'),
        called({"city": "Paris"}),
        {"type": "tool-output-available", "toolCallId": "c", "output": {"celsius": 21}},
        {"type": "finish-step"},
        {"type": "start-step"},
        text("start", "1"),
        text("delta", "1", delta="It is "),
        text("delta", "1", delta="21 °C."),
        text("end", "1"),
        {"type": "finish-step"},
        {"type": "finish", "messageMetadata": {"model": {"tokens": 7}}},
    )

    assert message == {
        "id": "answer",
        "role": "assistant",
        "metadata": {"model": {"name": "x", "tokens": 7}},
        "parts": [
            {"type": "step-start"},
            {
                "type": "reasoning",
                "id": "r",
                "text": "Hm.",
                "state": "done",
                "providerMetadata": {"anthropic": {"signature": "s"}},
            },
            {
                "type": "tool-weather",
                "toolCallId": "c",
                "state": "output-available",
                "input": {"city": "Paris"},
                "output": {"celsius": 21},
            },
            {"type": "step-start"},
            {"type": "text", "text": "It is 21 °C.", "state": "done"},
        ],
    }


def test_a_tool_input_can_be_read_while_it_streams() -> None:
    fold = MessageFold(message_id="m")
    inputs = []
    for chunk in (start(), delta('{"city": "P'), delta('aris", "days": [1'), delta(", 2]}")):
        fold.apply(chunk)
        part: Any = fold.message["parts"][0]
        inputs.append((part.get("input"), part.get("rawInput")))

    assert inputs == [
        (None, None),
        ({"city": "P"}, '{"city": "P'),
        ({"city": "Paris", "days": [1]}, '{"city": "Paris", "days": [1'),
        ({"city": "Paris", "days": [1, 2]}, '{"city": "Paris", "days": [1, 2]}'),
    ]


def test_a_message_once_read_does_not_change_with_later_chunks() -> None:
    fold = MessageFold(message_id="m")
    for chunk in (text("start"), text("delta", delta="a"), start(), delta("{")):
        fold.apply(chunk)
    before = fold.message
    as_read = json.dumps(before)
    for chunk in (text("delta", delta="b"), text("end"), called({}), {"type": "start-step"}):
        fold.apply(chunk)

    assert json.dumps(before) == as_read
    assert fold.message != before


def test_a_long_text_and_a_long_input_are_taken_piece_by_piece() -> None:
    # Were a piece to cost what the text before it is long, this would take minutes.
    fold = MessageFold(message_id="m")
    for chunk in (text("start"), start(), delta('["')):
        fold.apply(chunk)
    for _ in range(60_000):
        fold.apply(text("delta", delta="x" * 50))
        fold.apply(delta("y" * 50))

    said, call = fold.message["parts"]
    assert said.get("text") == "x" * 3_000_000
    assert call.get("input") == ["y" * 3_000_000]


def test_a_message_is_continued_where_it_stopped() -> None:
    stored: Any = folded({"type": "start-step"}, start(title="Weather"), delta('{"city": '))
    kept = json.dumps(stored)

    fold = MessageFold(stored)
    fold.apply(delta('"Rome"}'))

    assert fold.message == {
        "id": "m",
        "role": "assistant",
        "parts": [
            {"type": "step-start"},
            {
                "type": "tool-weather",
                "toolCallId": "c",
                "state": "input-streaming",
                "input": {"city": "Rome"},
                "rawInput": '{"city": "Rome"}',
                "title": "Weather",
            },
        ],
    }
    assert json.dumps(stored) == kept


def test_only_an_assistants_message_is_continued() -> None:
    question: Any = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}

    message: Any = MessageFold(question, message_id="m").message

    assert message == {"id": "m", "role": "assistant", "parts": []}


def test_data_with_an_id_is_replaced_and_transient_data_is_not_kept() -> None:
    first: Chunk = {"type": "data-status", "id": "s", "data": {"n": 1}}
    message = folded(
        first,
        {"type": "data-status", "data": {"n": 2}},
        {"type": "data-status", "id": "s", "data": {"n": 3}},
        {"type": "data-other", "id": "s", "data": None},
        {"type": "data-status", "id": "s", "data": {"n": 4}, "transient": True},
    )

    assert message["parts"] == [
        {"type": "data-status", "id": "s", "data": {"n": 3}},
        {"type": "data-status", "data": {"n": 2}},
        {"type": "data-other", "id": "s", "data": None},
    ]
    assert first["data"] == {"n": 1}


def test_an_approval_goes_from_question_to_answer_to_result() -> None:
    fold = MessageFold(message_id="m", profile="v7")
    fold.apply(called({"amount": 5}))
    states = []
    for chunk in (
        {"type": "tool-approval-request", "approvalId": "a", "toolCallId": "c", "reason": "5 €"},
        {"type": "tool-approval-response", "approvalId": "a", "approved": True, "reason": "ok"},
        {"type": "tool-output-error", "toolCallId": "c", "errorText": "broke"},
    ):
        fold.apply(chunk)
        states.append(fold.message["parts"][0].get("state"))

    assert states == ["approval-requested", "approval-responded", "output-error"]
    assert fold.message["parts"] == [
        {
            "type": "tool-weather",
            "toolCallId": "c",
            "state": "output-error",
            "input": {"amount": 5},
            "errorText": "broke",
            "approval": {"id": "a", "requestReason": "5 €", "approved": True, "reason": "ok"},
        }
    ]


@pytest.mark.parametrize(
    ("chunk", "complaint"),
    [
        (
            text("delta", delta="x"),
            'a "text-delta" chunk came for the part "0", which is not open: '
            'send "text-start" first',
        ),
        (
            {"type": "reasoning-end", "id": "0"},
            'a "reasoning-end" chunk came for the part "0", which is not open: '
            'send "reasoning-start" first',
        ),
        (
            delta("{"),
            'a "tool-input-delta" chunk came for the tool call "c", which streams no input: '
            'send "tool-input-start" first',
        ),
        (
            {"type": "tool-output-available", "toolCallId": "c", "output": 1},
            'a "tool-output-available" chunk came for the tool call "c", which this message does '
            'not have: send "tool-input-available" first',
        ),
        (
            {"type": "tool-approval-response", "approvalId": "a", "approved": True},
            'a "tool-approval-response" chunk came for the approval "a", which nobody asked for '
            "in this message",
        ),
    ],
)
def test_a_chunk_without_its_part_is_refused_and_changes_nothing(
    chunk: Chunk, complaint: str
) -> None:
    fold = MessageFold(message_id="m", profile="v7")
    fold.apply({"type": "data-x", "data": 1})
    before = fold.message

    with pytest.raises(ChunkInvalid) as caught:
        fold.apply(chunk)

    assert str(caught.value) == complaint
    assert fold.message == before


def test_a_step_closes_open_texts_for_clients_of_ai_sdk_6_only() -> None:
    chunks = (text("start"), text("delta", delta="a"), {"type": "finish-step"})

    with pytest.raises(ChunkInvalid, match="not open"):
        folded(*chunks, text("delta", delta="b"))
    assert folded(*chunks, text("delta", delta="b"), profile="v7")["parts"] == [
        {"type": "text", "text": "ab", "state": "streaming"}
    ]


def test_what_one_ai_sdk_alone_knows_is_passed_over_for_the_other() -> None:
    chunk = {"type": "custom", "kind": "p.k"}

    assert folded(chunk)["parts"] == []
    assert folded(chunk, profile="v7")["parts"] == [chunk]


def test_a_step_can_be_taken_back() -> None:
    fold = MessageFold(message_id="m", profile="v7")
    for chunk in (text("start"), {"type": "start-step"}, start(), delta("{"), text("start", "1")):
        fold.apply(chunk)

    assert fold.apply({"type": "reset-step"}) is True
    assert fold.apply({"type": "reset-step"}) is False
    assert [part["type"] for part in fold.message["parts"]] == ["text", "step-start"]
    with pytest.raises(ChunkInvalid):
        fold.apply(delta("}"))


def test_what_came_before_a_step_survives_its_being_taken_back() -> None:
    fold = MessageFold(message_id="m", profile="v7")
    for chunk in (start(), delta('{"a": 1'), {"type": "start-step"}, {"type": "reset-step"}):
        fold.apply(chunk)

    assert fold.message["parts"][0].get("input") == {"a": 1}


def test_an_input_that_goes_on_after_an_approval_is_an_input_again() -> None:
    fold = MessageFold(message_id="m", profile="v7")
    ids = {"approvalId": "a", "toolCallId": "c"}
    for chunk in (
        start(),
        {"type": "tool-approval-request", **ids},
        delta("[1"),
        {"type": "tool-approval-response", "approvalId": "a", "approved": True},
        delta("]"),
    ):
        fold.apply(chunk)

    part: Any = fold.message["parts"][0]
    assert (part["state"], part["input"]) == ("input-streaming", [1])


def test_apply_tells_whether_a_page_draws() -> None:
    fold = MessageFold(message_id="m")
    drawn = [
        (chunk["type"], fold.apply(chunk))
        for chunk in (
            {"type": "start"},
            {"type": "start", "messageId": "m"},
            {"type": "start-step"},
            {"type": "text-start", "id": "0"},
            {"type": "data-x", "data": 1, "transient": True},
            {"type": "error", "errorText": "no"},
            {"type": "message-metadata", "messageMetadata": {}},
            {"type": "abort"},
            {"type": "finish"},
        )
    ]

    assert drawn == [
        ("start", False),
        ("start", True),
        ("start-step", False),
        ("text-start", True),
        ("data-x", False),
        ("error", False),
        ("message-metadata", True),
        ("abort", False),
        ("finish", False),
    ]


def test_the_last_finish_tells_the_reason() -> None:
    fold = MessageFold(message_id="m")

    assert fold.finish_reason is None
    fold.apply({"type": "finish", "finishReason": "length"})
    fold.apply({"type": "finish"})
    assert fold.finish_reason == "length"


@pytest.mark.parametrize(
    ("options", "texts_after"),
    [
        ({}, {"m": ["old", "new"], "other": ["old", "new"]}),
        ({"reset_on_new_id": True}, {"m": ["old", "new"], "other": ["new"]}),
        ({"reset_on_first_start": True}, {"m": ["new"], "other": ["new"]}),
    ],
)
def test_a_replay_begins_anew_where_the_reader_asked_for_it(
    options: dict[str, Any], texts_after: dict[str, list[str]]
) -> None:
    old: Any = {"id": "m", "role": "assistant", "metadata": {"a": 1}, "parts": []}
    old["parts"].append({"type": "text", "text": "old"})
    found = {}
    for message_id in texts_after:
        fold = MessageFold(old, **options)
        fold.apply({"type": "start", "messageId": message_id})
        fold.apply(text("start"))
        fold.apply(text("delta", delta="new"))
        fold.apply({"type": "start", "messageId": message_id})
        found[message_id] = [part.get("text") for part in fold.message["parts"]]
        assert ("metadata" in fold.message) == ("old" in found[message_id])

    assert found == texts_after


def test_a_replay_that_brings_no_id_keeps_the_old_one() -> None:
    fold = MessageFold(folded(text("start")), reset_on_first_start=True)
    fold.apply({"type": "finish", "finishReason": "stop"})

    assert fold.apply({"type": "start"}) is True
    assert (fold.message["id"], fold.message["parts"]) == ("m", [])
    assert fold.finish_reason is None
    assert fold.apply({"type": "start"}) is False


def test_metadata_merges_deeply_and_never_reaches_a_prototype() -> None:
    message = folded(
        {"type": "start", "messageMetadata": {"a": {"b": [1], "c": 1}, "d": 1}},
        {"type": "finish", "messageMetadata": {"a": {"b": [2], "constructor": 1}, "d": None}},
        {"type": "message-metadata", "messageMetadata": {"__proto__": {"x": 1}, "prototype": 1}},
    )

    assert message["metadata"] == {"a": {"b": [2], "c": 1}, "d": None}
