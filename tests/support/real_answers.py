"""Answers as the providers really give them, in the order and with the fields of their wires."""

from __future__ import annotations

from typing import Any

JSON = dict[str, Any]


# --- Anthropic ------------------------------------------------------------------------------


def anthropic(*blocks: list[JSON], stop: str = "end_turn", **end: Any) -> list[JSON]:
    """Return the events of an answer with these content blocks."""
    usage: JSON = {"input_tokens": 25, "cache_creation_input_tokens": 0}
    usage |= {"cache_read_input_tokens": 0, "output_tokens": 1, "service_tier": "standard"}
    message: JSON = {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude"}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    events: list[JSON] = [{"type": "message_start", "message": message}]
    for index, (content, *deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": content})
        events += [{"type": "ping"}] if index == 0 else []
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop, "stop_sequence": None, **end}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 15}})
    return [*events, {"type": "message_stop"}]


def _text(*pieces: str, cites: tuple[JSON, ...] = ()) -> list[JSON]:
    deltas = [{"type": "citations_delta", "citation": cited} for cited in cites]
    deltas += [{"type": "text_delta", "text": piece} for piece in pieces]
    return [{"type": "text", "text": ""}, *deltas]


def _input(*pieces: str) -> list[JSON]:
    return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


_PAGE = {"type": "web_search_result", "url": "https://e.test/", "title": "E", "page_age": "1 day"}
_CITED = {"type": "web_search_result_location", "url": "https://e.test/", "title": "E"}
_SEARCHED: list[list[JSON]] = [
    [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        *_input("", '{"query"', ': "claude"}'),
    ],
    [
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [{**_PAGE, "encrypted_content": "Enc"}],
            "caller": {"type": "direct"},
        }
    ],
]
_THOUGHT: list[JSON] = [
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "Let me see."},
    {"type": "signature_delta", "signature": "U2lnbmF0dXJl"},
]


def _call(number: int, *pieces: str, name: str = "weather", **fields: Any) -> list[JSON]:
    content = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}, **fields}
    return [content, *_input(*pieces)]


ANTHROPIC: dict[str, list[JSON]] = {
    "a web search and what is cited of it": anthropic(
        _text("I shall search."),
        *_SEARCHED,
        _text("It says ", "so.", cites=({**_CITED, "cited_text": "s", "encrypted_index": "I"},)),
    ),
    "a search that fails": anthropic(
        _SEARCHED[0],
        [
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": {
                    "type": "web_search_tool_result_error",
                    "error_code": "max_uses_exceeded",
                },
            }
        ],
        _text("No luck."),
    ),
    "web sources without a search of this answer": anthropic(
        _text("So.", cites=({**_CITED, "cited_text": "s", "encrypted_index": "I"},))
    ),
    "thinking, some of it redacted, before parallel calls": anthropic(
        _THOUGHT,
        [{"type": "redacted_thinking", "data": "UmVkYWN0ZWQ="}],
        _text("Both at once."),
        _call(1, "", '{"city": "Par', 'is"}'),
        _call(2, '{"city": "Rome"}', name="get-time"),
        stop="tool_use",
    ),
    "a call without input": anthropic(_call(1, ""), stop="tool_use"),
    "a call from code that the provider runs": anthropic(
        [
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": "weather",
                "input": {"city": "Paris"},
                "caller": {"type": "code_execution_20260120", "tool_id": "srvtoolu_7"},
            }
        ],
        stop="tool_use",
    ),
    "a refusal": anthropic(
        _text(),
        stop="refusal",
        stop_details={"type": "refusal", "category": "cyber", "explanation": "No."},
    ),
    "a refusal in mid-sentence": anthropic(_text("First, "), stop="refusal"),
    "a pause": anthropic(_text("Wait."), _SEARCHED[0], stop="pause_turn"),
    "no room left": anthropic(_text("It was a dark and"), stop="max_tokens"),
    "no room left inside a call's input": anthropic(_call(1, '{"city": "Pa'), stop="max_tokens"),
    "nothing at all": anthropic(),
}


# --- chat completions -----------------------------------------------------------------------


def chat(*deltas: JSON, finish: str = "stop", **last: Any) -> list[JSON]:
    """Return the chunks of an answer with these deltas."""
    head: JSON = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt",
    }
    head |= {"service_tier": "default", "system_fingerprint": "fp_1"}
    choices: list[JSON]
    choices = [{"index": 0, "delta": d, "logprobs": None, "finish_reason": None} for d in deltas]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish})
    usage: JSON = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29, **last}
    usage |= {"prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0}}
    usage |= {"completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0}}
    told = [{**head, "choices": [choice], "usage": None} for choice in choices]
    return [*told, {**head, "choices": [], "usage": usage}]


_ROLE = {"role": "assistant", "content": "", "refusal": None}


def _chat_call(index: int, text: str, **opening: Any) -> JSON:
    function = {"arguments": text, **({"name": opening.pop("name")} if opening else {})}
    return {"tool_calls": [{"index": index, **opening, "function": function}]}


def _chat_start(index: int, name: str) -> JSON:
    return _chat_call(index, "", name=name, id=f"call_{index}", type="function")


CHAT: dict[str, list[JSON]] = {
    "a few words": chat(_ROLE, {"content": "Hello"}, {"content": "!"}),
    "parallel calls": chat(
        {**_ROLE, "content": None},
        _chat_start(0, "weather"),
        _chat_call(0, '{"city"'),
        _chat_call(0, ': "Paris"}'),
        _chat_start(1, "get-time"),
        _chat_call(1, "{}"),
        finish="tool_calls",
    ),
    "a word before a call": chat(
        _ROLE,
        {"content": "Wait."},
        _chat_start(0, "weather"),
        _chat_call(0, "{}"),
        finish="tool_calls",
    ),
    "a refusal": chat(
        {"role": "assistant", "content": None, "refusal": ""},
        {"refusal": "I cannot"},
        {"refusal": " do that."},
    ),
    "a page that is cited": chat(
        _ROLE,
        {"content": "So they say."},
        {
            "annotations": [
                {
                    "type": "url_citation",
                    "url_citation": {
                        "url": "https://e.test/",
                        "title": "E",
                        "start_index": 0,
                        "end_index": 2,
                    },
                }
            ]
        },
    ),
    "no room left": chat(_ROLE, {"content": "It was a"}, finish="length"),
    "a filter that steps in": chat(_ROLE, {"content": "It"}, finish="content_filter"),
    "nothing at all": chat(_ROLE),
}


# --- Responses ------------------------------------------------------------------------------


def responses(
    *items: tuple[JSON, list[JSON], JSON], status: str = "completed", **end: Any
) -> list[JSON]:
    """Return the events of an answer with these output items: how each opens, goes and ends."""
    head: JSON = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt"}
    head |= {"error": None, "incomplete_details": None, "output": [], "usage": None}
    events: list[JSON] = [
        {"type": f"response.{moment}", "response": {**head, "status": "in_progress"}}
        for moment in ("created", "in_progress")
    ]
    for index, (opening, told, ending) in enumerate(items):
        at = {"output_index": index}
        events.append({"type": "response.output_item.added", **at, "item": opening})
        events += [{**event, **at, "item_id": opening["id"]} for event in told]
        item = {**opening, "status": "completed", **ending}
        events.append({"type": "response.output_item.done", **at, "item": item})
    usage: JSON = {"input_tokens": 30, "output_tokens": 12, "total_tokens": 42}
    usage |= {"input_tokens_details": {"cached_tokens": 0}}
    usage |= {"output_tokens_details": {"reasoning_tokens": 4}}
    response = {**head, "status": status, "usage": usage, **end}
    events.append({"type": f"response.{status}", "response": response})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _message(*told: JSON, **ending: Any) -> tuple[JSON, list[JSON], JSON]:
    item = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    opening = {"type": "response.content_part.added", "content_index": 0, "part": part}
    closing = {"type": "response.content_part.done", "content_index": 0, "part": part}
    return {**item, "status": "in_progress"}, [opening, *told, closing], ending


def _said(text: str, kind: str = "output_text") -> JSON:
    return {"type": f"response.{kind}.delta", "content_index": 0, "delta": text}


def _noted(number: int, **annotation: Any) -> JSON:
    kind = "response.output_text.annotation.added"
    at = {"content_index": 0, "annotation_index": number}
    return {"type": kind, **at, "annotation": annotation}


def _reasoned(*summaries: str, encrypted: str | None) -> tuple[JSON, list[JSON], JSON]:
    told: list[JSON] = []
    for number, text in enumerate(summaries):
        at = {"summary_index": number}
        part = {"type": "summary_text", "text": text}
        empty = {**part, "text": ""}
        told.append({"type": "response.reasoning_summary_part.added", **at, "part": empty})
        told.append({"type": "response.reasoning_summary_text.delta", **at, "delta": text})
        told.append({"type": "response.reasoning_summary_text.done", **at, "text": text})
        told.append({"type": "response.reasoning_summary_part.done", **at, "part": part})
    opening: JSON = {"type": "reasoning", "id": "rs_1", "summary": []}
    # What stands in the opening is not the whole of it.
    return {**opening, "encrypted_content": "Zmly"}, told, {"encrypted_content": encrypted}


def _called(number: int, name: str, *pieces: str) -> tuple[JSON, list[JSON], JSON]:
    kind = "response.function_call_arguments"
    told: list[JSON] = [{"type": f"{kind}.delta", "delta": piece} for piece in pieces]
    whole = "".join(pieces)
    item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}"}
    opening = {**item, "name": name, "arguments": "", "status": "in_progress"}
    return opening, [*told, {"type": f"{kind}.done", "arguments": whole}], {"arguments": whole}


def _ran(kind: str, *told: JSON, **ending: Any) -> tuple[JSON, list[JSON], JSON]:
    return {"type": kind, "id": f"{kind}_1", "status": "in_progress"}, list(told), ending


_URL = {"type": "url_citation", "url": "https://e.test/", "title": "E"}
_AT = {"start_index": 0, "end_index": 5}
_FILE = {"type": "file_citation", "file_id": "file_1", "filename": "a.txt", "index": 4}

RESPONSES: dict[str, list[JSON]] = {
    "reasoning in two summaries, and an answer": responses(
        _reasoned("First.", "Second.", encrypted="RW5jcnlwdGVk"),
        _message(_said("Done"), _said(".")),
    ),
    "reasoning that is only proven": responses(
        _reasoned(encrypted="RW5jcnlwdGVk"), _message(_said("Done."))
    ),
    "reasoning that nothing is told of": responses(
        _reasoned(encrypted=None), _message(_said("Done."))
    ),
    "parallel calls": responses(
        _called(1, "weather", '{"ci', 'ty":"Paris"}'), _called(2, "get-time", "{}")
    ),
    "annotations of every kind": responses(
        _message(
            _said("So they say."),
            _noted(0, **_URL, **_AT),
            _noted(1, **_FILE),
            _noted(
                2,
                type="container_file_citation",
                container_id="cntr_1",
                file_id="cfile_1",
                filename="plot.png",
                **_AT,
            ),
            _noted(3, type="file_path", file_id="file_9", index=2),
            _noted(4, **_URL, **_AT),
        )
    ),
    "a web search and what is cited of it": responses(
        _ran(
            "web_search_call",
            {"type": "response.web_search_call.in_progress"},
            {"type": "response.web_search_call.searching"},
            {"type": "response.web_search_call.completed"},
            action={
                "type": "search",
                "query": "q",
                "queries": ["q"],
                "sources": [{"type": "url", "url": "https://e.test/"}],
            },
        ),
        _message(_said("So."), _noted(0, **_URL, **_AT)),
    ),
    "a page that is opened": responses(
        _ran("web_search_call", action={"type": "open_page", "url": "https://e.test/"})
    ),
    "a search of files": responses(
        _ran(
            "file_search_call",
            queries=["q"],
            results=[
                {"file_id": "file_1", "filename": "a.txt", "score": 0.9, "text": "so"}
                | {"attributes": {}}
            ],
        ),
        _message(_said("So."), _noted(0, **_FILE)),
    ),
    "an image that is drawn": responses(
        _ran(
            "image_generation_call",
            {
                "type": "response.image_generation_call.partial_image",
                "partial_image_index": 0,
                "partial_image_b64": "UGFydA==",
            },
            result="SW1hZ2U=",
        )
    ),
    "a refusal": responses(_message(_said("I can", "refusal"), _said("not.", "refusal"))),
    "two messages, each in its phase": responses(
        _message(_said("Let me look."), phase="commentary"),
        _message(_said("Done."), phase="final_answer"),
    ),
    "no room left": responses(
        _message(_said("It was a")),
        status="incomplete",
        incomplete_details={"reason": "max_output_tokens"},
    ),
    "a filter that steps in": responses(
        _message(_said("It")),
        status="incomplete",
        incomplete_details={"reason": "content_filter"},
    ),
    "nothing at all": responses(),
}
