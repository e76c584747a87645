"""Anthropic's events as chunks: what no other wire has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatrun.models.anthropic_events import AnthropicEvents

if TYPE_CHECKING:
    from chatrun.models.base import ModelFinish

JSON = dict[str, Any]


def block(content: JSON, *deltas: JSON, index: int = 0) -> list[JSON]:
    """Return the events of one content block."""
    start = {"type": "content_block_start", "index": index, "content_block": content}
    told = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [start, *told, {"type": "content_block_stop", "index": index}]


def end(reason: str = "end_turn", **usage: Any) -> list[JSON]:
    """Return the events that close an answer."""
    delta = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}
    return [delta, {"type": "message_stop"}]


def converted(*events: JSON) -> tuple[list[Any], ModelFinish | None]:
    converter = AnthropicEvents(model="anthropic:m")
    chunks = [chunk for event in events for chunk in converter.feed(event)]
    return [*chunks, *converter.close()], converter.finish


def chunks_of(*events: JSON) -> list[Any]:
    return converted(*events)[0]


def test_redacted_thinking_keeps_its_data() -> None:
    assert chunks_of(*block({"type": "redacted_thinking", "data": "R"})) == [
        {
            "type": "reasoning-start",
            "id": "0",
            "providerMetadata": {"anthropic": {"redactedData": "R"}},
        },
        {"type": "reasoning-end", "id": "0"},
    ]


def test_what_stands_in_the_opening_of_a_block_is_not_lost() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "S"}

    assert chunks_of(
        *block({"type": "text", "text": "Hel"}, {"type": "text_delta", "text": "lo"}),
        *block(thinking, index=1),
        *block({"type": "tool_use", "id": "c1", "name": "t", "input": {"a": 1}}, index=2),
    ) == [
        {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "Hel"},
        {"type": "text-delta", "id": "0", "delta": "lo"},
        {"type": "text-end", "id": "0"},
        {"type": "reasoning-start", "id": "1"},
        {"type": "reasoning-delta", "id": "1", "delta": "hm"},
        {
            "type": "reasoning-delta",
            "id": "1",
            "delta": "",
            "providerMetadata": {"anthropic": {"signature": "S"}},
        },
        {"type": "reasoning-end", "id": "1"},
        {"type": "tool-input-start", "toolCallId": "c1", "toolName": "t"},
        {"type": "tool-input-available", "toolCallId": "c1", "toolName": "t", "input": {"a": 1}},
    ]


@pytest.mark.parametrize("pieces", [(), ("",), (" ",)])
def test_no_input_is_an_empty_object(pieces: tuple[str, ...]) -> None:
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]

    chunks = chunks_of(*block({"type": "tool_use", "id": "c1", "name": "t", "input": {}}, *deltas))

    assert chunks[-1]["input"] == {}


def test_who_made_a_call_is_kept() -> None:
    caller = {"type": "code_execution_20250825", "tool_id": "s1"}
    use = {"type": "tool_use", "id": "c1", "name": "t", "input": {}, "caller": caller}

    assert chunks_of(*block(use))[-1]["providerMetadata"] == {
        "anthropic": {"caller": {"type": "code_execution_20250825", "toolId": "s1"}}
    }


PAGE = {"type": "web_search_result", "url": "https://a.com", "title": "A", "page_age": "1 day"}


def test_a_web_search_brings_its_results_and_their_sources() -> None:
    use = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    found = {**PAGE, "encrypted_content": "E"}
    result = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [found]}

    assert chunks_of(
        *block(use, {"type": "input_json_delta", "partial_json": '{"query":"q"}'}),
        *block(result, index=1),
    ) == [
        {
            "type": "tool-input-start",
            "toolCallId": "s1",
            "toolName": "web_search",
            "providerExecuted": True,
        },
        {"type": "tool-input-delta", "toolCallId": "s1", "inputTextDelta": '{"query":"q"}'},
        {
            "type": "tool-input-available",
            "toolCallId": "s1",
            "toolName": "web_search",
            "input": {"query": "q"},
            "providerExecuted": True,
        },
        {
            "type": "tool-output-available",
            "toolCallId": "s1",
            "output": [
                {
                    "type": "web_search_result",
                    "url": "https://a.com",
                    "title": "A",
                    "pageAge": "1 day",
                    "encryptedContent": "E",
                }
            ],
            "providerExecuted": True,
        },
        {
            "type": "source-url",
            "sourceId": "1:0",
            "url": "https://a.com",
            "title": "A",
            "providerMetadata": {"anthropic": {"pageAge": "1 day"}},
        },
    ]


def test_a_failed_search_is_an_error_of_its_tool() -> None:
    error = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    result = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": error}

    assert chunks_of(*block(result)) == [
        {
            "type": "tool-output-error",
            "toolCallId": "s1",
            "errorText": '{"type":"web_search_tool_result_error","errorCode":"max_uses_exceeded"}',
            "providerExecuted": True,
        }
    ]


def test_a_fetched_page_has_the_ai_sdks_names() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "hello"}
    page = {"type": "web_fetch_result", "retrieved_at": "now", "content": {"source": source}}
    result = {"type": "web_fetch_tool_result", "tool_use_id": "s1", "content": page}

    assert chunks_of(*block(result))[0]["output"] == {
        "type": "web_fetch_result",
        "retrievedAt": "now",
        "content": {"source": {"type": "text", "mediaType": "text/plain", "data": "hello"}},
    }


@pytest.mark.parametrize(
    "content",
    [
        {"type": "bash_code_execution_result", "stdout": "1", "return_code": 0},
        [{"type": "brand_new_result"}],
    ],
)
def test_any_other_result_is_kept_as_it_is(content: Any) -> None:
    result = {"type": "code_execution_tool_result", "tool_use_id": "s1", "content": content}

    assert chunks_of(*block(result)) == [
        {
            "type": "tool-output-available",
            "toolCallId": "s1",
            "output": content,
            "providerExecuted": True,
        }
    ]


def test_tools_that_were_found_are_told_by_their_names() -> None:
    found = {"type": "tool_reference", "tool_name": "weather"}
    content = {"type": "tool_search_tool_search_result", "tool_references": [found]}
    result = {"type": "tool_search_tool_result", "tool_use_id": "s1", "content": content}

    assert [chunk["output"] for chunk in chunks_of(*block(result))] == [
        [{"type": "tool_reference", "toolName": "weather"}]
    ]


@pytest.mark.parametrize("failed", [False, True])
def test_a_tool_on_an_mcp_server_is_a_call_of_its_own(failed: bool) -> None:
    use = {"type": "mcp_tool_use", "id": "m1", "name": "echo", "server_name": "s"}
    content = [{"type": "text", "text": "hey"}]
    result = {"type": "mcp_tool_result", "tool_use_id": "m1", "content": content}

    told = chunks_of(
        *block({**use, "input": {"a": 1}}), *block({**result, "is_error": failed}, index=1)
    )

    flags = {"providerExecuted": True, "dynamic": True}
    call = {"toolCallId": "m1", "toolName": "echo", "input": {"a": 1}, **flags}
    metadata = {"anthropic": {"type": "mcp-tool-use", "serverName": "s"}}
    ended = {"type": "tool-output-available", "output": content}
    if failed:
        error = '[{"type":"text","text":"hey"}]'
        ended = {"type": "tool-output-error", "errorText": error}
    assert told == [
        {"type": "tool-input-available", **call, "providerMetadata": metadata},
        {"toolCallId": "m1", **flags, **ended},
    ]


def test_a_page_without_a_title_is_a_source_all_the_same() -> None:
    found = {"type": "web_search_result", "url": "https://a"}
    cited = {"type": "web_search_result_location", "url": "https://b"}
    result = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [found]}
    text = block({"type": "text", "text": "", "citations": [cited]})

    sources = [c for c in chunks_of(*text, *block(result, index=1)) if c["type"] == "source-url"]

    assert [(source["url"], source.get("title")) for source in sources] == [
        ("https://b", None),
        ("https://a", None),
    ]


def test_what_is_cited_of_a_search_was_shown_with_its_results() -> None:
    result = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [PAGE]}
    cited = {"type": "web_search_result_location", "url": "https://a.com", "title": "A"}
    text = block({"type": "text", "text": "", "citations": [cited]}, index=1)

    chunks = chunks_of(*block(result), *text)

    assert [chunk["type"] for chunk in chunks if "source" in chunk["type"]] == ["source-url"]
    assert chunks[-1]["providerMetadata"] == {"anthropic": {"citations": [cited]}}


def test_citations_become_sources_and_stay_with_the_text() -> None:
    web = {
        "type": "web_search_result_location",
        "url": "https://e.com/",
        "title": "E",
        "cited_text": "c",
        "encrypted_index": "i",
    }
    page = {
        "type": "page_location",
        "document_title": "Doc",
        "cited_text": "p",
        "start_page_number": 1,
        "end_page_number": 2,
    }
    chars = {"type": "char_location", "start_char_index": 3, "end_char_index": 9}
    odd = {"type": "brand_new_location"}
    cited = [{"type": "citations_delta", "citation": c} for c in (web, page, chars, odd)]

    chunks = chunks_of(*block({"type": "text", "text": "x"}, *cited))

    assert chunks[2:] == [
        {
            "type": "source-url",
            "sourceId": "0:1:0",
            "url": "https://e.com/",
            "title": "E",
            "providerMetadata": {"anthropic": {"citedText": "c", "encryptedIndex": "i"}},
        },
        {
            "type": "source-document",
            "sourceId": "0:2:0",
            "mediaType": "application/pdf",
            "title": "Doc",
            "providerMetadata": {
                "anthropic": {"citedText": "p", "startPageNumber": 1, "endPageNumber": 2}
            },
        },
        {
            "type": "source-document",
            "sourceId": "0:3:0",
            "mediaType": "text/plain",
            "title": "Document",
            "providerMetadata": {
                "anthropic": {"citedText": None, "startCharIndex": 3, "endCharIndex": 9}
            },
        },
        {
            "type": "text-end",
            "id": "0",
            "providerMetadata": {"anthropic": {"citations": [web, page, chars, odd]}},
        },
    ]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("tool_use", "tool-calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content-filter"),
        ("brand_new", "other"),
    ],
)
def test_every_stop_reason_has_its_finish_reason(raw: str, reason: str) -> None:
    finish = converted(*end(raw, output_tokens=1))[1]

    assert finish is not None
    assert (finish.reason, finish.raw_reason) == (reason, raw)


def test_usage_keeps_what_a_later_event_leaves_out() -> None:
    start = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}

    finish = converted(
        {"type": "message_start", "message": {"id": "m1", "model": "c", "usage": start}},
        *end(output_tokens=9, input_tokens=None, output_tokens_details={"thinking_tokens": 4}),
    )[1]

    assert finish is not None
    assert finish.usage.to_json() == {
        "inputTokens": 15,
        "inputTokenDetails": {"noCacheTokens": 10, "cacheReadTokens": 5},
        "outputTokens": 9,
        "outputTokenDetails": {"textTokens": 5, "reasoningTokens": 4},
        "totalTokens": 24,
    }


def test_an_answer_that_only_said_why_it_stops_is_complete() -> None:
    assert converted(*end()[:1])[1] is not None
    assert converted({"type": "message_start", "message": {}})[1] is None


def test_a_delta_of_an_unknown_kind_is_passed_over() -> None:
    start, _ = block({"type": "text", "text": ""})
    odd = {"type": "content_block_delta", "index": 0, "delta": {"type": "brand_new_delta"}}

    assert [chunk["type"] for chunk in chunks_of(start, odd)] == ["text-start", "text-end"]


def test_an_open_part_is_closed_at_the_end_and_an_open_call_is_not() -> None:
    text = block({"type": "text", "text": "a"})[:1]
    use = block({"type": "tool_use", "id": "c1", "name": "t", "input": {}}, index=1)[:1]

    kinds = [chunk["type"] for chunk in chunks_of(*text, *use)]

    assert kinds == ["text-start", "text-delta", "tool-input-start", "text-end"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "ping"},
        {"type": "brand_new"},
        {"no": "type"},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_stop", "index": 7},
        {"type": "message_delta", "delta": {}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "brand_new"}},
        {"type": "text", "text": "Hel", "snapshot": "Hel"},
    ],
)
def test_what_is_unknown_is_passed_over(event: JSON) -> None:
    assert chunks_of(event) == []
