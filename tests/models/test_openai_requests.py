"""Model messages as OpenAI's two APIs get them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatrun.errors import ProviderRejected
from chatrun.models import openai_chat_request, openai_responses_request
from chatrun.models.base import ModelRequest, NamedTool, ResponseFormat, ToolSpec
from tests.support.prompts import (
    PDF,
    PNG,
    SCHEMA,
    assistant,
    call,
    file,
    reasoning,
    result,
    text,
    tools,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Callable

WAV = "data:audio/wav;base64,UklGRg=="


def chat(*messages: Any, name: str = "gpt-4o", **request: Any) -> dict[str, Any]:
    body = openai_chat_request.request_body
    return body(name, ModelRequest(messages=messages, **request), model="openai-chat:m")


def responses(*messages: Any, name: str = "gpt-4o", **request: Any) -> dict[str, Any]:
    body = openai_responses_request.request_body
    return body(name, ModelRequest(messages=messages, **request), model="openai:m")


def test_a_plain_chat_request_says_no_more_than_it_must() -> None:
    assert chat({"role": "user", "content": "Hi"}, system="Be brief") == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "Hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_plain_responses_request_stores_nothing() -> None:
    assert responses({"role": "user", "content": "Hi"}, system="Be brief") == {
        "model": "gpt-4o",
        "input": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        ],
        "store": False,
        "stream": True,
    }


ASKED: dict[str, Any] = {
    "tools": (ToolSpec("weather", "Tells it.", SCHEMA, strict=True),),
    "tool_choice": NamedTool("weather"),
    "max_output_tokens": 100,
    "temperature": 0.5,
    "stop_sequences": ("END",),
    "response_format": ResponseFormat(SCHEMA),
}


def test_everything_that_can_be_asked_for_is_asked_for_in_chat() -> None:
    request = chat(user("Hi"), **ASKED, provider_options={"openai": {"seed": 7}})

    assert {key: value for key, value in request.items() if key != "messages"} == {
        "model": "gpt-4o",
        "max_tokens": 100,
        "temperature": 0.5,
        "stop": ["END"],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "Tells it.",
                    "parameters": SCHEMA,
                    "strict": True,
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
        },
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_everything_that_can_be_asked_for_is_asked_for_in_responses() -> None:
    options = {"text": {"verbosity": "low"}, "include": ["x"], "service_tier": "flex"}

    request = responses(user("Hi"), **ASKED, provider_options={"openai": options})

    assert {key: value for key, value in request.items() if key != "input"} == {
        "model": "gpt-4o",
        "max_output_tokens": 100,
        "temperature": 0.5,
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "Tells it.",
                "parameters": SCHEMA,
                "strict": True,
            }
        ],
        "tool_choice": {"type": "function", "name": "weather"},
        "text": {
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True},
        },
        "include": ["x"],
        "service_tier": "flex",
        "store": False,
        "stream": True,
    }


@pytest.mark.parametrize("build", [chat, responses])
@pytest.mark.parametrize("name", ["gpt-5-mini", "o4-mini"])
def test_models_that_reason_are_asked_in_their_own_way(
    build: Callable[..., dict[str, Any]], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = build(
        user("Hi"), name=name, system="S", temperature=0.5, top_p=0.9, max_output_tokens=9
    )

    said = request.get("messages") or request["input"]
    assert said[0] == {"role": "developer", "content": "S"}
    assert not {"temperature", "top_p", "max_tokens"} & request.keys()
    assert request.get("max_completion_tokens", request.get("max_output_tokens")) == 9
    assert request.get("include", ["reasoning.encrypted_content"]) == [
        "reasoning.encrypted_content"
    ]
    assert "takes no temperature or top_p" in caplog.text


@pytest.mark.parametrize("name", ["gpt-5-chat-latest", "gpt-4.1", "gpt-oss:20b", "llama3"])
def test_other_models_are_asked_plainly(name: str) -> None:
    request = chat(user("Hi"), name=name, system="S", temperature=0.5, max_output_tokens=9)

    assert request["messages"][0]["role"] == "system"
    assert (request["temperature"], request["max_tokens"]) == (0.5, 9)


STEP = (
    user("Weather?"),
    assistant("Let me look.", call("c1"), call("c2")),
    tools(result("c1", "sunny"), result("c2", {"type": "json", "value": {"c": [20, None]}})),
    assistant("Sunny."),
)


def test_a_step_with_tools_in_chat() -> None:
    function = {"name": "weather", "arguments": '{"city":"Paris"}'}

    assert chat(*STEP)["messages"] == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": function},
                {"id": "c2", "type": "function", "function": function},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": '{"c":[20,null]}'},
        {"role": "assistant", "content": "Sunny."},
    ]


def test_a_step_with_tools_in_responses() -> None:
    made = {"type": "function_call", "name": "weather", "arguments": '{"city":"Paris"}'}

    assert responses(*STEP)["input"] == [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"role": "assistant", "content": "Let me look."},
        {**made, "call_id": "c1"},
        {**made, "call_id": "c2"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {"type": "function_call_output", "call_id": "c2", "output": '{"c":[20,null]}'},
        {"role": "assistant", "content": "Sunny."},
    ]


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ({"type": "error-text", "value": "bad"}, '{"error":"bad"}'),
        ({"type": "error-json", "value": {"a": 1}}, '{"error":{"a":1}}'),
        ({"type": "execution-denied", "reason": "no!"}, "no!"),
        ({"type": "execution-denied"}, "Tool call execution denied."),
    ],
)
def test_failures_and_denials_are_told_alike(output: Any, told: str) -> None:
    messages = (user("a"), assistant(call("c1")), tools(result("c1", output)))

    assert chat(*messages)["messages"][-1]["content"] == told
    assert responses(*messages)["input"][-1]["output"] == told


def test_content_of_several_kinds_is_text_in_chat_and_parts_in_responses() -> None:
    words = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    image = {"type": "image-data", "data": "iVBORw0KGgo=", "mediaType": "image/png"}
    asked = (user("a"), assistant(call("c1")))
    only_words = tools(result("c1", {"type": "content", "value": words}))
    with_image = tools(result("c1", {"type": "content", "value": [*words, image]}))

    assert chat(*asked, only_words)["messages"][-1]["content"] == "a\nb"
    assert responses(*asked, with_image)["input"][-1]["output"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_text", "text": "b"},
        {"type": "input_image", "image_url": PNG},
    ]


def test_an_input_that_could_not_be_read_is_told_of_as_empty() -> None:
    messages = (user("a"), assistant(call("c1", '{"ci')))

    sent = chat(*messages)["messages"][-1]
    assert sent["content"] is None
    assert sent["tool_calls"][0]["function"]["arguments"] == "{}"
    assert responses(*messages)["input"][-1]["arguments"] == "{}"


def test_reasoning_goes_back_encrypted_and_only_then() -> None:
    answer = assistant(
        reasoning("one", openai={"itemId": "rs_1"}),
        reasoning("two", openai={"itemId": "rs_1", "reasoningEncryptedContent": "E"}),
        reasoning("without proof", openai={"itemId": "rs_2"}),
        reasoning("of somebody else", anthropic={"signature": "S"}),
        reasoning("", openai={"itemId": "rs_3", "reasoningEncryptedContent": "F"}),
        text("Done.", openai={"itemId": "msg_1", "phase": "final"}),
    )

    assert responses(user("a"), answer)["input"][1:] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "encrypted_content": "E",
            "summary": [
                {"type": "summary_text", "text": "one"},
                {"type": "summary_text", "text": "two"},
            ],
        },
        {"type": "reasoning", "id": "rs_3", "encrypted_content": "F", "summary": []},
        {"role": "assistant", "content": "Done.", "phase": "final"},
    ]
    assert chat(user("a"), answer)["messages"][1:] == [{"role": "assistant", "content": "Done."}]


def test_tools_that_the_provider_ran_are_not_told_of_again() -> None:
    searched = (
        call("s1", {}, name="web_search", providerExecuted=True),
        result("s1", "found", name="web_search"),
    )

    assert chat(user("a"), assistant(*searched), user("b"))["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    assert len(responses(user("a"), assistant(*searched), user("b"))["input"]) == 2


@pytest.mark.parametrize(
    ("found", "action"),
    [
        (
            {"action": {"type": "search", "query": "q"}, "sources": []},
            {"type": "search", "query": "q", "sources": []},
        ),
        (
            {"action": {"type": "openPage", "url": "https://u"}},
            {"type": "open_page", "url": "https://u"},
        ),
        ({"action": {"type": "brandNew"}}, None),
        ({}, None),
    ],
)
def test_where_the_provider_has_searched_it_is_told_again(found: Any, action: Any) -> None:
    searched = (
        call("s1", {}, name="web_search", providerExecuted=True),
        result("s1", {"type": "json", "value": found}, name="web_search"),
    )
    item = {"type": "web_search_call", "id": "s1", "status": "completed", "action": action}

    told = responses(user("a"), assistant(*searched), user("b"))["input"]

    assert told[1:-1] == ([item] if action else [])


def test_what_code_has_brought_comes_with_the_answer() -> None:
    native = {"type": "code_interpreter", "container": {"type": "auto"}}

    request = responses(user("a"), tools=(ToolSpec("code_interpreter", native=native),))

    assert request["include"] == ["code_interpreter_call.outputs"]


FILES: list[tuple[Any, Any, Any]] = [
    (
        file("image/png", PNG),
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "input_image", "image_url": PNG},
    ),
    (
        file("image/*", "https://e.com/a", providerOptions={"openai": {"imageDetail": "low"}}),
        {"type": "image_url", "image_url": {"url": "https://e.com/a", "detail": "low"}},
        {"type": "input_image", "image_url": "https://e.com/a", "detail": "low"},
    ),
    (
        file("application/pdf", PDF, filename="a.pdf"),
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
        {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
    ),
    (
        file("application/pdf", {"type": "reference", "reference": {"openai": "file_1"}}),
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "input_file", "file_id": "file_1"},
    ),
    (
        file("text/plain", "data:text/plain;base64,aGVsbG8="),
        {"type": "text", "text": "hello"},
        {"type": "input_text", "text": "hello"},
    ),
    (
        file("audio/wav", WAV),
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        None,
    ),
    (
        file("application/pdf", "https://e.com/a.pdf"),
        None,
        {"type": "input_file", "file_url": "https://e.com/a.pdf"},
    ),
]


@pytest.mark.parametrize(("part", "in_chat", "in_responses"), FILES)
def test_a_file_becomes_the_part_of_its_kind(part: Any, in_chat: Any, in_responses: Any) -> None:
    for build, key, expected in ((chat, "messages", in_chat), (responses, "input", in_responses)):
        if expected is not None:
            assert build(user(part))[key] == [{"role": "user", "content": [expected]}]
            continue
        with pytest.raises(ProviderRejected, match=f"of the type '{part['mediaType']}'"):
            build(user(part))


@pytest.mark.parametrize("build", [chat, responses])
def test_text_that_cannot_be_read_is_refused(build: Callable[..., dict[str, Any]]) -> None:
    for data in ("data:text/plain;base64,/w==", "data:text/plain;base64,x"):
        with pytest.raises(ProviderRejected, match="of the type 'text/plain'"):
            build(user(file("text/plain", data)))


@pytest.mark.parametrize("build", [chat, responses])
@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_tool_choices_keep_their_names(build: Callable[..., dict[str, Any]], choice: Any) -> None:
    request = build(user("a"), tools=(ToolSpec("t"),), tool_choice=choice)

    assert request["tool_choice"] == choice


@pytest.mark.parametrize("build", [chat, responses])
def test_a_message_of_several_texts_keeps_them_apart(
    build: Callable[..., dict[str, Any]],
) -> None:
    request = build(user("a", "b"), {"role": "system", "content": "S"})

    system, said = request.get("messages") or request["input"]
    assert system["content"] == "S"
    assert [part["text"] for part in said["content"]] == ["a", "b"]


def test_native_tools_are_sent_as_they_stand_and_bring_their_sources() -> None:
    native = {"type": "web_search"}

    request = responses(
        user("a"),
        tools=(ToolSpec("web_search", native=native),),
        tool_choice=NamedTool("web_search"),
    )

    assert request["tools"] == [native]
    assert request["tool_choice"] == native
    assert request["include"] == ["web_search_call.action.sources"]
    assert chat(user("a"), tools=(ToolSpec("x", native=native),))["tools"] == [native]


@pytest.mark.parametrize("build", [chat, responses])
def test_json_without_a_schema_is_just_json(build: Callable[..., dict[str, Any]]) -> None:
    request = build(user("a"), response_format=ResponseFormat())

    told = request.get("response_format") or request["text"]["format"]
    assert told == {"type": "json_object"}


def test_a_word_of_the_users_overrules_ours() -> None:
    options = {"store": True, "max_output_tokens": None}

    request = responses(user("a"), max_output_tokens=5, provider_options={"openai": options})

    assert request["store"] is True
    assert "max_output_tokens" not in request
