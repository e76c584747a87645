"""OpenAI's events as chunks: what only its wires have, and the liberties of other servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from chatrun.models.openai_chat_events import ChatEvents
from chatrun.models.openai_responses_events import ResponsesEvents
from tests.support.models import brief

if TYPE_CHECKING:
    from chatrun.models.base import ModelFinish

JSON = dict[str, Any]


def chat(*deltas: JSON, finish: str | None = "stop") -> tuple[list[Any], ModelFinish | None]:
    converter = ChatEvents(model="openai-chat:m")
    events: list[JSON] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks = [chunk for event in events for chunk in converter.feed(event)]
    return [*chunks, *converter.close()], converter.finish


def calls_of(*pieces: JSON) -> list[tuple[str, Any]]:
    """Return the name and input of each tool call that the pieces come to."""
    chunks, _ = chat(*({"tool_calls": [piece]} for piece in pieces))
    whole = [chunk for chunk in chunks if chunk["type"] == "tool-input-available"]
    assert all(chunk["toolCallId"] for chunk in whole)
    assert len({chunk["toolCallId"] for chunk in whole}) == len(whole)
    return [(chunk["toolName"], chunk["input"]) for chunk in whole]


def function(name: str | None, arguments: Any) -> JSON:
    return {"function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    "pieces",
    [
        (
            {"index": 0, "id": "a", **function("t", '{"x"')},
            {"index": 0, **function(None, ": 1}")},
            {"index": 1, "id": "b", **function("u", "")},
        ),
        (
            {"index": 0, "id": "a", **function("t", '{"x"')},
            {"index": 0, "id": "a", **function("", ": 1}")},
            {"index": 1, "id": "b", **function("u", "{}")},
        ),
        ({"id": "a", **function("t", '{"x": 1}')}, {"id": "b", **function("u", "")}),
        (
            {"id": "a", **function("t", '{"x"')},
            {**function(None, ": 1}")},
            {"id": "b", **function("u", None)},
        ),
        ({"index": 0, **function("t", {"x": 1})}, {"index": 1, **function("u", {})}),
        (
            {"index": 0, "id": "a", **function("t", '{"x": 1}')},
            {"index": 0, "id": "b", **function("u", "{}")},
        ),
        (
            {"index": 0, "id": "a", **function("", '{"x"')},
            {"index": 0, **function("t", ": 1}")},
            {"index": 1, "id": "b", **function("u", "")},
        ),
    ],
    ids=["openai", "repeated-ids", "no-index", "only-new-ids", "objects", "one-index", "late-name"],
)
def test_tool_calls_are_understood_however_a_server_tells_them(pieces: tuple[JSON, ...]) -> None:
    assert calls_of(*pieces) == [("t", {"x": 1}), ("u", {})]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_of_other_servers_is_a_part_of_its_own(key: str) -> None:
    chunks, _ = chat({key: "Let "}, {key: "me."}, {"content": "Hi"}, {key: "Hm."}, {"content": "!"})

    assert brief(chunks) == [
        ["reasoning", "Let me."],
        ["text", "Hi"],
        ["reasoning", "Hm."],
        ["text", "!"],
    ]
    assert len({chunk["id"] for chunk in chunks}) == 4


def test_text_ends_before_a_call_begins() -> None:
    piece = {"index": 0, "id": "a", **function("t", "{}")}

    kinds = [chunk["type"] for chunk in chat({"content": "Hi"}, {"tool_calls": [piece]})[0]]

    assert kinds == [
        "text-start",
        "text-delta",
        "text-end",
        "tool-input-start",
        "tool-input-delta",
        "tool-input-available",
    ]


def test_a_refusal_is_text_that_ends_for_its_content() -> None:
    chunks, finish = chat({"content": "Well, "}, {"refusal": "no."})

    assert brief(chunks) == [["text", "Well, no."]]
    assert finish is not None
    assert finish.reason == "content-filter"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content-filter"),
        ("tool_calls", "tool-calls"),
        ("function_call", "tool-calls"),
        ("brand_new", "other"),
    ],
)
def test_every_finish_reason_is_known(raw: str, reason: str) -> None:
    finish = chat(finish=raw)[1]

    assert finish is not None
    assert (finish.reason, finish.raw_reason) == (reason, raw)


def test_no_finish_reason_means_that_the_answer_broke_off() -> None:
    assert chat({"content": "Hi"}, finish=None)[1] is None


def test_cited_pages_of_a_chat_become_sources() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://u", "title": "T"}}

    bare = {"type": "url_citation", "url_citation": {"url": "https://v"}}

    chunks, _ = chat({"content": "a"}, {"annotations": [cited, {"type": "odd"}, bare]})

    assert (chunks[3]["url"], "title" in chunks[3]) == ("https://v", False)
    assert chunks[2] == {
        "type": "source-url",
        "sourceId": chunks[2]["sourceId"],
        "url": "https://u",
        "title": "T",
    }


# --- Responses ------------------------------------------------------------------------------


def responses(*events: JSON, prefix: str = "") -> tuple[list[Any], ModelFinish | None]:
    converter = ResponsesEvents(model="openai:m", id_prefix=prefix)
    chunks = [chunk for event in events for chunk in converter.feed(event)]
    return [*chunks, *converter.close()], converter.finish


def item(moment: str, index: int, kind: str, **fields: Any) -> JSON:
    told = {"type": kind, **fields}
    return {"type": f"response.output_item.{moment}", "output_index": index, "item": told}


def delta(kind: str, index: int, text: str) -> JSON:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": text}


def part_added(index: int) -> JSON:
    return {"type": "response.reasoning_summary_part.added", "output_index": index}


def ended(status: str = "completed", **fields: Any) -> JSON:
    return {"type": f"response.{status}", "response": {"status": status, **fields}}


def metadata(**fields: Any) -> JSON:
    return {"providerMetadata": {"openai": fields}}


def test_each_summary_is_a_part_and_the_last_has_the_encrypted_content() -> None:
    chunks, _ = responses(
        item("added", 0, "reasoning", id="rs_1", encrypted_content="not yet whole"),
        part_added(0),
        delta("reasoning_summary_text", 0, "one"),
        part_added(0),
        delta("reasoning_summary_text", 0, "two"),
        item("done", 0, "reasoning", id="rs_1", encrypted_content="E"),
    )

    first, second = chunks[0]["id"], chunks[3]["id"]
    assert first != second
    assert chunks == [
        {"type": "reasoning-start", "id": first, **metadata(itemId="rs_1")},
        {"type": "reasoning-delta", "id": first, "delta": "one"},
        {"type": "reasoning-end", "id": first, **metadata(itemId="rs_1")},
        {"type": "reasoning-start", "id": second, **metadata(itemId="rs_1")},
        {"type": "reasoning-delta", "id": second, "delta": "two"},
        {
            "type": "reasoning-end",
            "id": second,
            **metadata(itemId="rs_1", reasoningEncryptedContent="E"),
        },
    ]


def test_reasoning_without_a_summary_is_kept_as_an_empty_part() -> None:
    chunks, _ = responses(
        item("added", 0, "reasoning", id="rs_1"),
        item("done", 0, "reasoning", id="rs_1", encrypted_content="E"),
    )

    assert [chunk["type"] for chunk in chunks] == ["reasoning-start", "reasoning-end"]
    assert chunks[1]["providerMetadata"]["openai"]["reasoningEncryptedContent"] == "E"


def test_reasoning_that_is_told_in_full_is_shown() -> None:
    chunks, _ = responses(
        item("added", 0, "reasoning", id="rs_1"),
        delta("reasoning_text", 0, "hm"),
        item("done", 0, "reasoning", id="rs_1"),
    )

    assert brief(chunks) == [["reasoning", "hm"]]


def test_the_phase_of_a_message_is_kept() -> None:
    chunks, _ = responses(
        item("added", 0, "message", id="msg_1", phase="commentary"),
        delta("output_text", 0, "a"),
        item("done", 0, "message", id="msg_1", phase="final_answer"),
    )

    assert chunks[0]["providerMetadata"] == {"openai": {"itemId": "msg_1", "phase": "commentary"}}
    assert chunks[-1]["providerMetadata"] == {
        "openai": {"itemId": "msg_1", "phase": "final_answer"}
    }


def annotation(**fields: Any) -> JSON:
    kind = "response.output_text.annotation.added"
    return {"type": kind, "output_index": 0, "annotation": fields}


def test_a_source_is_shown_once_and_its_annotations_stay_with_the_text() -> None:
    page = {"type": "url_citation", "url": "https://u", "title": "T"}
    cited_file = {"type": "file_citation", "file_id": "f1", "filename": "a.txt"}

    chunks, _ = responses(
        item("added", 0, "message", id="msg_1"),
        annotation(**page),
        annotation(**page),
        annotation(**cited_file),
        item("done", 0, "message", id="msg_1"),
    )

    assert [chunk["type"] for chunk in chunks] == [
        "text-start",
        "source-url",
        "source-document",
        "text-end",
    ]
    assert chunks[1] == {**chunks[1], "url": "https://u", "title": "T"}
    assert chunks[2] == {
        **chunks[2],
        "mediaType": "text/plain",
        "title": "a.txt",
        "filename": "a.txt",
        **metadata(fileId="f1", type="file_citation"),
    }
    assert chunks[3]["providerMetadata"]["openai"]["annotations"] == [page, page, cited_file]


def test_a_web_search_brings_its_action_and_sources() -> None:
    action = {"type": "search", "query": "q", "sources": [{"type": "url", "url": "https://s"}]}

    chunks, _ = responses(
        item("added", 0, "web_search_call", id="ws_1"),
        item("done", 0, "web_search_call", id="ws_1", action=action),
    )

    named = {"toolCallId": "ws_1", "toolName": "web_search"}
    assert chunks == [
        {"type": "tool-input-start", **named, "providerExecuted": True},
        {"type": "tool-input-available", **named, "input": {}, "providerExecuted": True},
        {
            "type": "tool-output-available",
            "toolCallId": "ws_1",
            "output": {
                "action": {"type": "search", "query": "q"},
                "sources": [{"type": "url", "url": "https://s"}],
            },
            "providerExecuted": True,
        },
        {"type": "source-url", "sourceId": chunks[3]["sourceId"], "url": "https://s"},
    ]


def test_a_web_search_that_failed_is_an_error() -> None:
    chunks, _ = responses(
        item("added", 0, "web_search_call", id="ws_1"),
        item("done", 0, "web_search_call", id="ws_1", status="failed"),
    )

    assert chunks[2:] == [
        {
            "type": "tool-output-error",
            "toolCallId": "ws_1",
            "errorText": '{"status":"failed"}',
            "providerExecuted": True,
        }
    ]


@pytest.mark.parametrize(
    ("action", "output"),
    [
        (
            {"type": "open_page", "url": "https://u"},
            {"action": {"type": "openPage", "url": "https://u"}},
        ),
        (
            {"type": "find_in_page", "url": "https://u", "pattern": "x"},
            {"action": {"type": "findInPage", "url": "https://u", "pattern": "x"}},
        ),
        ({"type": "brand_new"}, {}),
    ],
)
def test_a_web_search_tells_where_it_went(action: JSON, output: JSON) -> None:
    chunks, _ = responses(
        item("added", 0, "web_search_call", id="ws_1"),
        item("done", 0, "web_search_call", id="ws_1", action=action),
    )

    assert [chunk["output"] for chunk in chunks[2:]] == [output]


def test_what_is_cited_of_a_search_was_shown_with_its_results() -> None:
    action = {"type": "search", "sources": [{"type": "url", "url": "https://s"}]}
    found = {"file_id": "f1", "filename": "a.txt", "score": 0.5, "text": "so", "attributes": {}}

    chunks, _ = responses(
        item("added", 0, "web_search_call", id="ws_1"),
        item("done", 0, "web_search_call", id="ws_1", action=action),
        item("added", 1, "file_search_call", id="fs_1"),
        item("done", 1, "file_search_call", id="fs_1", queries=["q"], results=[found]),
        item("added", 0, "message", id="msg_1"),
        annotation(type="url_citation", url="https://other", title="T"),
        annotation(type="file_citation", file_id="f2", filename="b.txt"),
        annotation(type="file_path", file_id="f3", index=1),
        item("done", 0, "message", id="msg_1"),
    )

    sources = [chunk for chunk in chunks if chunk["type"].startswith("source-")]
    assert [source.get("url") or source["title"] for source in sources] == [
        "https://s",
        "a.txt",
        "f3",
    ]
    assert chunks[5]["output"] == {
        "queries": ["q"],
        "results": [
            {"fileId": "f1", "filename": "a.txt", "score": 0.5, "text": "so", "attributes": {}}
        ],
    }
    assert sources[2]["mediaType"] == "application/octet-stream"


@pytest.mark.parametrize("streamed", [True, False])
def test_the_code_of_an_interpreter_is_the_input_of_its_call(streamed: bool) -> None:
    ran = {"id": "ci_1", "container_id": "c1"}
    code = {"type": "response.code_interpreter_call_code.delta", "output_index": 0}
    told = [
        {**code, "delta": 'print("'},
        {**code, "delta": '")'},
        {**code, "type": "response.code_interpreter_call_code.done", "code": 'print("")'},
    ]

    chunks, _ = responses(
        item("added", 0, "code_interpreter_call", **ran),
        *(told if streamed else []),
        item("done", 0, "code_interpreter_call", **ran, code='print("")', outputs=None),
    )

    pieces = [c["inputTextDelta"] for c in chunks if c["type"] == "tool-input-delta"]
    assert orjson.loads("".join(pieces)) == {
        "containerId": "c1",
        "code": 'print("")' if streamed else "",
    }
    assert chunks[-2:] == [
        {
            "type": "tool-input-available",
            "toolCallId": "ci_1",
            "toolName": "code_interpreter",
            "input": {"code": 'print("")', "containerId": "c1"},
            "providerExecuted": True,
        },
        {
            "type": "tool-output-available",
            "toolCallId": "ci_1",
            "output": {"outputs": None},
            "providerExecuted": True,
        },
    ]


def test_a_tool_on_an_mcp_server_is_a_call_of_its_own() -> None:
    named = {"id": "mcp_1", "name": "echo", "server_label": "s"}

    chunks, _ = responses(
        item("added", 0, "mcp_call", **named, arguments=""),
        item("done", 0, "mcp_call", **named, arguments='{"a":1}', output="hey", error=None),
    )

    assert chunks == [
        {
            "type": "tool-input-available",
            "toolCallId": "mcp_1",
            "toolName": "mcp.echo",
            "input": {"a": 1},
            "providerExecuted": True,
            "dynamic": True,
        },
        {
            "type": "tool-output-available",
            "toolCallId": "mcp_1",
            "output": {
                "type": "call",
                "serverLabel": "s",
                "name": "echo",
                "arguments": '{"a":1}',
                "output": "hey",
            },
            "providerExecuted": True,
        },
    ]


def test_an_image_is_shown_as_it_grows() -> None:
    partial = {"type": "response.image_generation_call.partial_image", "output_index": 0}

    chunks, _ = responses(
        item("added", 0, "image_generation_call", id="ig_1"),
        {**partial, "partial_image_b64": "AAA"},
        item("done", 0, "image_generation_call", id="ig_1", result="BBB"),
    )

    assert [(chunk["output"], chunk.get("preliminary")) for chunk in chunks[1:]] == [
        ({"result": "AAA"}, True),
        ({"result": "BBB"}, None),
    ]


def test_a_custom_tool_takes_plain_text() -> None:
    head = {"id": "ct_1", "call_id": "c1", "name": "sql"}

    chunks, finish = responses(
        item("added", 0, "custom_tool_call", **head, input=""),
        delta("custom_tool_call_input", 0, "SELECT 1"),
        item("done", 0, "custom_tool_call", **head, input="SELECT 1"),
        ended(),
    )

    named = {"toolCallId": "c1", "toolName": "sql"}
    assert chunks == [
        {"type": "tool-input-start", **named, "inputEncoding": "text"},
        {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": "SELECT 1"},
        {
            "type": "tool-input-available",
            **named,
            "input": "SELECT 1",
            **metadata(itemId="ct_1"),
        },
    ]
    assert finish is not None
    assert finish.reason == "tool-calls"


@pytest.mark.parametrize(
    ("event", "reason", "raw"),
    [
        (ended(), "stop", "completed"),
        (
            ended("incomplete", incomplete_details={"reason": "max_output_tokens"}),
            "length",
            "max_output_tokens",
        ),
        (
            ended("incomplete", incomplete_details={"reason": "content_filter"}),
            "content-filter",
            "content_filter",
        ),
        (ended("incomplete", incomplete_details={"reason": "odd"}), "other", "odd"),
    ],
)
def test_how_a_response_ends(event: JSON, reason: str, raw: str) -> None:
    finish = responses(event)[1]

    assert finish is not None
    assert (finish.reason, finish.raw_reason) == (reason, raw)


def test_a_refusal_in_responses_is_text_that_ends_for_its_content() -> None:
    chunks, finish = responses(
        item("added", 0, "message", id="msg_1"), delta("refusal", 0, "no"), ended()
    )

    assert brief(chunks) == [["text", "no"]]
    assert finish is not None
    assert finish.reason == "content-filter"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.in_progress", "response": {}},
        {"type": "response.brand_new"},
        {"no": "type"},
        item("added", 0, "brand_new_item", id="x"),
        item("done", 7, "message", id="x"),
        delta("output_text", 7, "x"),
        delta("function_call_arguments", 7, "x"),
        delta("reasoning_summary_text", 7, "x"),
        part_added(7),
        {"type": "response.image_generation_call.partial_image", "output_index": 7},
        annotation(type="url_citation", url="https://u"),
    ],
)
def test_what_is_unknown_in_responses_is_passed_over(event: JSON) -> None:
    assert responses(event) == ([], None)
