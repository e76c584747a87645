from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatrun.errors import InvalidInput
from chatrun.messages.convert import convert_to_model_messages

if TYPE_CHECKING:
    from chatrun.messages.types import ToolResultOutput


def message(role: str, *parts: dict[str, Any]) -> Any:
    return {"id": role, "role": role, "parts": list(parts)}


def call(state: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool-t", "toolCallId": "c", "state": state, "input": {"q": 1}, **more}


def test_a_chat_becomes_what_a_model_reads() -> None:
    chat = [
        message("system", {"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}),
        message(
            "user",
            {"type": "text", "text": "Look:"},
            {"type": "file", "mediaType": "image/png", "url": "data:,", "filename": "a.png"},
            {"type": "data-x", "data": 1},
        ),
        message(
            "assistant",
            {"type": "step-start"},
            {"type": "reasoning", "text": "Hm", "providerMetadata": {"anthropic": {"s": "x"}}},
            call("output-available", output={"n": 1}),
            {"type": "source-url", "sourceId": "s", "url": "https://x.test/"},
            {"type": "step-start"},
            {"type": "text", "text": "One.", "state": "done"},
        ),
    ]

    assert convert_to_model_messages(chat) == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "file", "mediaType": "image/png", "data": "data:,", "filename": "a.png"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "reasoning", "text": "Hm", "providerOptions": {"anthropic": {"s": "x"}}},
                {"type": "tool-call", "toolCallId": "c", "toolName": "t", "input": {"q": 1}},
            ],
        },
        {
            "role": "tool",
            "content": [
                {
                    "type": "tool-result",
                    "toolCallId": "c",
                    "toolName": "t",
                    "output": {"type": "json", "value": {"n": 1}},
                }
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "One."}]},
    ]


@pytest.mark.parametrize(
    ("state", "more", "output"),
    [
        ("output-available", {"output": "text"}, {"type": "text", "value": "text"}),
        ("output-available", {"output": None}, {"type": "json", "value": None}),
        ("output-error", {"errorText": "broke"}, {"type": "error-text", "value": "broke"}),
        (
            "output-denied",
            {"approval": {"id": "a", "approved": False}},
            {"type": "error-text", "value": "Tool call execution denied."},
        ),
    ],
)
def test_each_way_a_call_can_end_reaches_the_model(
    state: str, more: dict[str, Any], output: dict[str, Any]
) -> None:
    converted: Any = convert_to_model_messages([message("assistant", call(state, **more))])

    assert converted[-1]["content"][-1]["output"] == output


def test_a_tool_decides_what_the_model_is_shown_of_its_output() -> None:
    def short(output: object, *, input: object, tool_call_id: str) -> ToolResultOutput:
        return {"type": "text", "value": f"{input} {tool_call_id}: {output}"[:20]}

    chat = [message("assistant", call("output-available", output="x" * 100))]

    converted: Any = convert_to_model_messages(chat, tool_outputs={"t": short})

    shown = {"type": "text", "value": "{'q': 1} c: xxxxxxxx"}
    assert converted[-1]["content"][0]["output"] == shown


def test_calls_that_are_not_over_can_be_left_out() -> None:
    chat = [
        message(
            "assistant",
            {"type": "text", "text": "Hi"},
            call("input-available"),
            call("output-available", output=1, preliminary=True),
            call("approval-requested", approval={"id": "a"}),
        )
    ]

    assert convert_to_model_messages(chat, ignore_incomplete_tool_calls=True) == [
        {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    ]


def test_a_step_that_says_nothing_to_a_model_leaves_no_message() -> None:
    chat = [message("assistant", {"type": "step-start"}, {"type": "data-x", "data": 1})]

    assert convert_to_model_messages(chat) == []


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(InvalidInput, match="role 'robot'"):
        convert_to_model_messages([message("robot", {"type": "text", "text": "Beep"})])


def test_ai_sdk_7_wants_a_url_where_a_file_is() -> None:
    chat = [message("user", {"type": "file", "mediaType": "a/b", "url": "here"})]

    assert convert_to_model_messages(chat)[0]["content"] == [
        {"type": "file", "mediaType": "a/b", "data": "here"}
    ]
    with pytest.raises(InvalidInput, match="'here' where a URL must be"):
        convert_to_model_messages(chat, profile="v7")


def test_nothing_that_was_given_is_changed() -> None:
    metadata = {"p": {"a": 1}}
    chat = [
        message("system", {"type": "text", "text": "a", "providerMetadata": metadata}),
        message("assistant", call("input-available", callProviderMetadata=metadata)),
    ]
    before = repr(chat)

    first = convert_to_model_messages(chat)
    first[0]["providerOptions"] = {"q": {}}

    assert repr(chat) == before
