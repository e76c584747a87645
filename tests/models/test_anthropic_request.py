"""Model messages as Anthropic's Messages API gets them."""

from __future__ import annotations

from typing import Any

import pytest

from chatrun.errors import ProviderRejected
from chatrun.models.anthropic_request import request_body
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

CACHE = {"cacheControl": {"type": "ephemeral"}}


def body(*messages: Any, name: str = "claude-sonnet-4-5", **request: Any) -> dict[str, Any]:
    return request_body(name, ModelRequest(messages=messages, **request), model="anthropic:m")


def built(*messages: Any) -> Any:
    return body(*messages)["messages"]


def test_a_plain_request_says_no_more_than_it_must() -> None:
    assert body({"role": "user", "content": "Hi"}, system="Be brief") == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 64_000,
        "system": [{"type": "text", "text": "Be brief"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
        "stream": True,
    }


def test_everything_that_can_be_asked_for_is_asked_for() -> None:
    request = body(
        user("Hi"),
        tools=(ToolSpec("weather", "Tells it.", SCHEMA, strict=True),),
        tool_choice=NamedTool("weather"),
        max_output_tokens=100,
        stop_sequences=("END",),
        response_format=ResponseFormat(SCHEMA),
        provider_options={"anthropic": {"thinking": {"type": "adaptive"}, "speed": "fast"}},
    )

    assert {key: value for key, value in request.items() if key != "messages"} == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "stop_sequences": ["END"],
        "tools": [
            {
                "name": "weather",
                "description": "Tells it.",
                "input_schema": SCHEMA,
                "strict": True,
                "eager_input_streaming": True,
            }
        ],
        "tool_choice": {"type": "tool", "name": "weather"},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "thinking": {"type": "adaptive"},
        "speed": "fast",
        "stream": True,
    }


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("auto", {"type": "auto"}), ("required", {"type": "any"}), ("none", {"type": "none"})],
)
def test_tool_choices_have_anthropics_names(choice: Any, sent: dict[str, str]) -> None:
    request = body(user("Hi"), tools=(ToolSpec("weather"),), tool_choice=choice)

    assert request["tool_choice"] == sent


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-sonnet-20241022", 8_192),
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4-1", 32_000),
        ("claude-haiku-4-5", 64_000),
        ("somebody-elses", 8_192),
    ],
)
def test_the_limit_is_the_familys_own(name: str, limit: int) -> None:
    assert body(user("Hi"), name=name)["max_tokens"] == limit


def test_a_budget_for_thinking_comes_on_top_of_the_answer() -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 2_000}}

    request = body(user("Hi"), max_output_tokens=500, provider_options={"anthropic": thinking})

    assert request["max_tokens"] == 2_500


def test_temperature_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert "temperature" not in body(user("Hi"), temperature=0.5)
    assert "anthropic:m takes no temperature" in caplog.text


def test_a_step_with_tools_becomes_alternating_messages() -> None:
    assert built(
        user("Weather?"),
        assistant("Let me look.", call("c1"), call("c2")),
        tools(result("c1", "sunny"), result("c2", {"type": "json", "value": {"c": [20, None]}})),
        assistant("Sunny."),
        user("Thanks"),
    ) == [
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Paris"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "c2", "content": '{"c":[20,null]}'},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Sunny."}]},
        {"role": "user", "content": [{"type": "text", "text": "Thanks"}]},
    ]


def test_results_and_the_next_question_share_a_message() -> None:
    messages = built(
        user("a"), assistant(call("c1")), tools(result("c1", "x")), user("b"), user("c")
    )

    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [block["type"] for block in messages[-1]["content"]] == ["tool_result", "text", "text"]


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ({"type": "error-text", "value": "bad"}, {"content": "bad", "is_error": True}),
        ({"type": "error-json", "value": {"a": 1}}, {"content": '{"a":1}', "is_error": True}),
        ({"type": "execution-denied", "reason": "no!"}, {"content": "no!"}),
        ({"type": "execution-denied"}, {"content": "Tool call execution denied."}),
        (
            {
                "type": "content",
                "value": [
                    {"type": "text", "text": "t"},
                    {"type": "image-data", "data": "iVBORw0KGgo=", "mediaType": "image/png"},
                    {"type": "media", "data": "JVBERi0=", "mediaType": "application/pdf"},
                ],
            },
            {
                "content": [
                    {"type": "text", "text": "t"},
                    {
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": "image/png",
                            "data": "iVBORw0KGgo=",
                        },
                    },
                    {
                        "type": "document",
                        "source": {
                            "type": "base64",
                            "media_type": "application/pdf",
                            "data": "JVBERi0=",
                        },
                    },
                ]
            },
        ),
    ],
    ids=["error-text", "error-json", "denied", "denied-silently", "content"],
)
def test_a_result_is_told_in_its_own_way(output: Any, told: dict[str, Any]) -> None:
    messages = built(user("a"), assistant(call("c1")), tools(result("c1", output)))

    assert messages[-1]["content"] == [{"type": "tool_result", "tool_use_id": "c1", **told}]


def test_reasoning_goes_back_only_with_its_proof() -> None:
    messages = built(
        user("a"),
        assistant(
            reasoning("hm", anthropic={"signature": "S"}),
            reasoning("of somebody else", openai={"itemId": "rs_1"}),
            reasoning("cut off"),
            reasoning("", anthropic={"redactedData": "R"}),
            call("c1"),
            "said behind the call",
        ),
        tools(result("c1", "x")),
    )

    assert messages[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "S"},
        {"type": "redacted_thinking", "data": "R"},
        {"type": "text", "text": "said behind the call"},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}},
    ]


def test_thinking_between_calls_keeps_its_place() -> None:
    first, second = (reasoning(name, anthropic={"signature": name}) for name in "ab")

    messages = built(user("a"), assistant(first, call("c1"), second, call("c2"), "end"))

    kinds = [block["type"] for block in messages[1]["content"]]
    assert kinds == ["thinking", "tool_use", "thinking", "text", "tool_use"]


def test_a_tool_that_anthropic_ran_is_told_of_with_its_result() -> None:
    page = {"type": "web_search_result", "url": "https://a", "title": "A"}

    messages = built(
        user("a"),
        assistant(
            call("s1", {"query": "q"}, name="web_search", providerExecuted=True),
            result(
                "s1",
                {"type": "json", "value": [{**page, "pageAge": None, "encryptedContent": "E"}]},
                name="web_search",
            ),
            text("Found.", anthropic={"citations": [{"type": "web_search_result_location"}]}),
        ),
        user("b"),
    )

    assert messages[1]["content"] == [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s1",
            "content": [{**page, "page_age": None, "encrypted_content": "E"}],
        },
        {
            "type": "text",
            "text": "Found.",
            "citations": [{"type": "web_search_result_location"}],
        },
    ]


@pytest.mark.parametrize("failed", [False, True])
def test_a_tool_on_an_mcp_server_is_told_of_as_such(failed: bool) -> None:
    told = [{"type": "text", "text": "hey"}]
    options = {"providerOptions": {"anthropic": {"type": "mcp-tool-use", "serverName": "s"}}}
    output: dict[str, Any] = {"type": "json", "value": told}
    if failed:
        output = {"type": "error-json", "value": '[{"type":"text","text":"hey"}]'}

    messages = built(
        user("a"),
        assistant(
            call("m1", {"a": 1}, name="echo", providerExecuted=True, **options),
            result("m1", output, name="echo", **options),
        ),
        user("b"),
    )

    use = {"type": "mcp_tool_use", "id": "m1", "name": "echo", "input": {"a": 1}}
    ended = {"type": "mcp_tool_result", "tool_use_id": "m1", "is_error": failed, "content": told}
    assert messages[1]["content"] == [{**use, "server_name": "s"}, ended]


@pytest.mark.parametrize(
    ("name", "output", "block"),
    [
        (
            "tool_search_tool_regex",
            {"type": "json", "value": [{"type": "tool_reference", "toolName": "t"}]},
            {
                "type": "tool_search_tool_result",
                "content": {
                    "type": "tool_search_tool_search_result",
                    "tool_references": [{"type": "tool_reference", "tool_name": "t"}],
                },
            },
        ),
        (
            "advisor",
            {
                "type": "json",
                "value": {"type": "advisor_redacted_result", "encryptedContent": "E"},
            },
            {
                "type": "advisor_tool_result",
                "content": {"type": "advisor_redacted_result", "encrypted_content": "E"},
            },
        ),
        (
            "web_search",
            {"type": "error-json", "value": '{"type":"x","errorCode":"max_uses_exceeded"}'},
            {
                "type": "web_search_tool_result",
                "content": {
                    "type": "web_search_tool_result_error",
                    "error_code": "max_uses_exceeded",
                },
            },
        ),
        (
            "web_fetch",
            {
                "type": "json",
                "value": {"type": "web_fetch_result", "retrievedAt": "now", "content": {}},
            },
            {
                "type": "web_fetch_tool_result",
                "content": {"type": "web_fetch_result", "retrieved_at": "now", "content": {}},
            },
        ),
        (
            "tool_search_tool_bm25",
            {"type": "json", "value": {"tool_references": []}},
            {"type": "tool_search_tool_result", "content": {"tool_references": []}},
        ),
        (
            "web_fetch",
            {"type": "error-text", "value": "not json"},
            {
                "type": "web_fetch_tool_result",
                "content": {"type": "web_fetch_tool_result_error", "error_code": "unavailable"},
            },
        ),
    ],
    ids=["found-tools", "advisor", "search-error", "fetch", "tool-search", "odd-error"],
)
def test_results_of_anthropics_tools_go_back_as_they_came(
    name: str, output: Any, block: dict[str, Any]
) -> None:
    messages = built(
        user("a"),
        assistant(
            call("s1", {}, name=name, providerExecuted=True), result("s1", output, name=name)
        ),
        user("b"),
    )

    assert messages[1]["content"][1] == {**block, "tool_use_id": "s1"}


def test_who_made_a_call_is_told_again() -> None:
    metadata = {"anthropic": {"caller": {"type": "code_execution", "toolId": "s1"}}}

    messages = built(user("a"), assistant(call("c1", providerOptions=metadata)))

    assert messages[1]["content"][0]["caller"] == {"type": "code_execution", "tool_id": "s1"}


def test_an_input_that_could_not_be_read_is_still_an_object() -> None:
    messages = built(user("a"), assistant(call("c1", '{"ci'), call("c2", "")))

    inputs = [block["input"] for block in messages[1]["content"]]
    assert inputs == [{"rawInvalidInput": '{"ci'}, {}]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            file("image/png", PNG),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
            },
        ),
        (
            file("image/png", "https://e.com/a.png"),
            {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
        ),
        (
            file("image/png", {"type": "url", "url": "https://e.com/a.png"}),
            {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
        ),
        (
            file("image/png", {"type": "reference", "reference": {"anthropic": "file_1"}}),
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            file("application/pdf", PDF, filename="a.pdf"),
            {
                "type": "document",
                "source": {
                    "type": "base64",
                    "media_type": "application/pdf",
                    "data": "JVBERi0=",
                },
                "title": "a.pdf",
            },
        ),
        (
            file("text/markdown", "data:text/markdown,%23%20Hello"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "# Hello"},
            },
        ),
    ],
    ids=["image", "image-url", "image-v7", "reference", "pdf", "text"],
)
def test_a_file_becomes_the_block_of_its_kind(part: Any, block: dict[str, Any]) -> None:
    assert built(user(part)) == [{"role": "user", "content": [block]}]


def test_a_file_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(ProviderRejected) as caught:
        built(user(file("video/mp4", "https://e.com/a.mp4")))

    assert str(caught.value) == "anthropic:m cannot be sent a file of the type 'video/mp4'"


def test_empty_text_is_left_out_and_the_end_of_a_prefix_is_trimmed() -> None:
    assert built(user("a"), assistant("", "Once upon ")) == [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Once upon"}]},
    ]


def test_instructions_lead_wherever_they_stand() -> None:
    request = body(
        {"role": "system", "content": "one", "providerOptions": {"anthropic": CACHE}},
        user("a"),
        {"role": "system", "content": "two"},
        system="zero",
    )

    assert request["system"] == [
        {"type": "text", "text": "zero"},
        {"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "two"},
    ]


def test_a_breakpoint_of_a_message_goes_on_its_last_block() -> None:
    message = {**user("a", "b"), "providerOptions": {"anthropic": CACHE}}

    assert [("cache_control" in block) for block in built(message)[0]["content"]] == [False, True]


def test_of_too_many_breakpoints_the_last_four_stay(caplog: pytest.LogCaptureFixture) -> None:
    request = body(
        user(*(text(str(number), anthropic=CACHE) for number in range(5))),
        tools=(ToolSpec("weather", provider_options={"anthropic": CACHE}),),
    )

    marked = ["cache_control" in block for block in request["messages"][0]["content"]]
    assert marked == [False, True, True, True, True]
    assert "cache_control" not in request["tools"][0]
    assert caplog.text.count("one is left out") == 2


def test_a_native_tool_is_sent_as_it_stands() -> None:
    native = {"type": "web_search_20260318", "name": "web_search", "max_uses": 3}

    request = body(user("a"), tools=(ToolSpec("web_search", native=native),))

    assert request["tools"] == [native]


def test_what_leaves_nothing_to_say_is_left_out() -> None:
    assert built(user("a"), assistant(reasoning("cut off"))) == built(user("a"))
    assert built(user("a"), {"role": "system", "content": ""}) == built(user("a"))


def test_who_made_a_call_must_be_told_in_full() -> None:
    messages = built(
        user("a"), assistant(call("c1", providerOptions={"anthropic": {"caller": "x"}}))
    )

    assert "caller" not in messages[1]["content"][0]


@pytest.mark.parametrize(
    "value", [[{"type": "odd"}], "plain", None, {"type": "web_fetch_result", "content": [1]}]
)
def test_an_odd_result_of_a_tool_of_anthropics_goes_back_as_it_is(value: Any) -> None:
    output = {"type": "json", "value": value}
    run = call("s1", {}, name="web_fetch", providerExecuted=True)

    messages = built(user("a"), assistant(run, result("s1", output, name="web_fetch")), user("b"))

    assert messages[1]["content"][1]["content"] == value


@pytest.mark.parametrize("value", [7, "[]", {"errorCode": "odd"}])
def test_an_error_of_a_tool_of_anthropics_has_a_code(value: Any) -> None:
    run = call("s1", {}, name="web_fetch", providerExecuted=True)
    output = {"type": "error-json", "value": value}

    messages = built(user("a"), assistant(run, result("s1", output, name="web_fetch")), user("b"))

    code = messages[1]["content"][1]["content"]["error_code"]
    assert code == ("odd" if isinstance(value, dict) else "unavailable")


def test_bytes_and_base64_are_files_as_well() -> None:
    raw = {"type": "image", "image": b"\x89PNG", "mediaType": "image/png"}
    plain = {"type": "image", "image": "iVBORw0KGgo="}

    sources = [block["source"] for block in built(user(raw, plain))[0]["content"]]

    assert sources == [
        {"type": "base64", "media_type": "image/png", "data": "iVBORw=="},
        {"type": "base64", "media_type": "image/jpeg", "data": "iVBORw0KGgo="},
    ]


def test_text_that_cannot_be_read_stays_a_file() -> None:
    messages = built(user(file("text/plain", "data:text/plain;base64,/w==")))

    assert messages[0]["content"][0]["source"]["type"] == "base64"


def test_approvals_are_never_told() -> None:
    question = {"type": "tool-approval-request", "approvalId": "a1", "toolCallId": "c1"}
    answer = {"type": "tool-approval-response", "approvalId": "a1", "approved": True}

    messages = built(
        user("a"), assistant(call("c1"), question), tools(answer, result("c1", "done"))
    )

    assert [block["type"] for block in messages[1]["content"]] == ["tool_use"]
    assert [block["type"] for block in messages[2]["content"]] == ["tool_result"]
