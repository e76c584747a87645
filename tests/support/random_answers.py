"""Random answers of Anthropic: event sequences that its wire allows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.random_chunks import random_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

JSON = dict[str, Any]

TEXTS = ("Hi", " there", "é", "😀", "\n", '"', "\\", "\u2028", "{", "x" * 30, " ", "1. ")
URLS = ("https://a.test/", "https://b.test/x?y=1", "https://c.test/#z")
TOOLS = ("weather", "get-time")


def pieces(rng: Random, text: str) -> list[str]:
    """Return `text` cut into a few pieces; some of them may be empty."""
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(4)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def some(rng: Random, most: int, make: Callable[[Random], Any]) -> list[Any]:
    """Return none or up to `most` of what `make` makes."""
    return [make(rng) for _ in range(rng.randrange(most + 1))]


def said(rng: Random) -> str:
    return rng.choice(TEXTS)


def tool_input(rng: Random) -> str:
    """Return the input of a call: an object, rarely nothing at all or no JSON."""
    text = json.dumps({f"k{n}": random_json(rng) for n in range(rng.randrange(3))})
    return rng.choices((text, "", text[: len(text) // 2]), (20, 2, 1))[0]


class AnthropicAnswer:
    """One answer of the Messages API."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.index = -1
        self.calls = 0

    def events(self) -> list[JSON]:
        """Return the events of the answer."""
        rng = self.rng
        usage = {"input_tokens": rng.randrange(99), "output_tokens": 1}
        for key in ("cache_read_input_tokens", "cache_creation_input_tokens"):
            if rng.random() < 0.5:
                usage[key] = rng.randrange(9)
        head: JSON = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
        head |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        makers = [self.text, self.text, self.thinking, self.redacted, self.call, self.call]
        makers += [self.fetch, self.execute, self.tool_search, self.mcp]
        # What is searched is searched before it is cited.
        blocks = self.search() if rng.random() < 0.3 else []
        blocks += [event for _ in range(rng.randrange(6)) for event in rng.choice(makers)()]
        pings = [{"type": "ping"}] * (rng.random() < 0.2)
        return [{"type": "message_start", "message": head}, *pings, *blocks, *self.end()]

    def end(self) -> list[JSON]:
        rng = self.rng
        reasons = ("end_turn", "stop_sequence", "tool_use", "max_tokens", "refusal", "pause_turn")
        reason = rng.choice((*reasons, "model_context_window_exceeded", "brand_new"))
        usage: JSON = {"output_tokens": rng.randrange(99)}
        if rng.random() < 0.3:
            usage |= {"input_tokens": rng.randrange(99), "cache_read_input_tokens": None}
        if rng.random() < 0.3:
            usage["output_tokens_details"] = {"thinking_tokens": usage["output_tokens"] // 2}
        delta = {"stop_reason": reason, "stop_sequence": None}
        last = {"type": "message_delta", "delta": delta, "usage": usage}
        return [last, {"type": "message_stop"}]

    def block(self, content: JSON, *deltas: JSON) -> list[JSON]:
        self.index += 1
        at = {"index": self.index}
        told = [{"type": "content_block_delta", **at, "delta": delta} for delta in deltas]
        start = {"type": "content_block_start", **at, "content_block": content}
        return [start, *told, {"type": "content_block_stop", **at}]

    def text(self) -> list[JSON]:
        texts = [{"type": "text_delta", "text": t} for t in some(self.rng, 4, said)]
        if self.rng.random() < 0.3:
            texts += [
                {"type": "citations_delta", "citation": c} for c in some(self.rng, 2, citation)
            ]
        return self.block({"type": "text", "text": ""}, *texts)

    def thinking(self) -> list[JSON]:
        deltas = [{"type": "thinking_delta", "thinking": t} for t in some(self.rng, 3, said)]
        signature = [{"type": "signature_delta", "signature": "U2ln"}] * (self.rng.random() < 0.9)
        return self.block(
            {"type": "thinking", "thinking": "", "signature": ""}, *deltas, *signature
        )

    def redacted(self) -> list[JSON]:
        return self.block({"type": "redacted_thinking", "data": "UmVk"})

    def call(self) -> list[JSON]:
        content: JSON = {"type": "tool_use", "id": self.call_id(), "name": self.rng.choice(TOOLS)}
        if self.rng.random() < 0.2:
            content["caller"] = {"type": "code_execution_20260120", "tool_id": "srvtoolu_9"}
            return self.block({**content, "input": {"city": "Paris"}})
        return self.block({**content, "input": {}}, *self.input(tool_input(self.rng)))

    def input(self, text: str) -> list[JSON]:
        return [
            {"type": "input_json_delta", "partial_json": piece} for piece in pieces(self.rng, text)
        ]

    def call_id(self) -> str:
        self.calls += 1
        return f"toolu_{self.calls}"

    def ran(self, name: str, given: JSON, kind: str, content: Any) -> list[JSON]:
        """Return a call of a tool that the provider runs, and its result."""
        call_id = self.call_id()
        use = {"type": "server_tool_use", "id": call_id, "name": name, "input": {}}
        result = {"type": f"{kind}_tool_result", "tool_use_id": call_id, "content": content}
        return [*self.block(use, *self.input(json.dumps(given))), *self.block(result)]

    def failed(self, kind: str) -> JSON:
        return {"type": f"{kind}_tool_result_error", "error_code": "unavailable"}

    def search(self) -> list[JSON]:
        found: Any = some(self.rng, 2, search_result)
        content = found if self.rng.random() < 0.8 else self.failed("web_search")
        return self.ran("web_search", {"query": "q"}, "web_search", content)

    def fetch(self) -> list[JSON]:
        source = {"type": "text", "media_type": "text/plain", "data": "A page"}
        page = {"type": "document", "title": "T", "source": source, "citations": {"enabled": True}}
        url = self.rng.choice(URLS)
        content: JSON = {"type": "web_fetch_result", "url": url, "content": page}
        content["retrieved_at"] = "2026-01-01T00:00:00Z"
        if self.rng.random() < 0.2:
            content = self.failed("web_fetch")
        return self.ran("web_fetch", {"url": url}, "web_fetch", content)

    def execute(self) -> list[JSON]:
        ran = {"stdout": "1\n", "stderr": "", "return_code": 0, "content": []}
        match self.rng.randrange(4):
            case 0:
                name, given = "bash_code_execution", {"command": "ls"}
                content: JSON = {"type": "bash_code_execution_result", **ran}
            case 1:
                name = "text_editor_code_execution"
                given = {"command": "view", "path": "/x"}
                content = {"type": "text_editor_code_execution_view_result", "file_type": "text"}
                content |= {"content": "x", "num_lines": 1, "start_line": 1, "total_lines": 1}
            case 2:
                name, given = "code_execution", {"code": "1"}
                content = {"type": "code_execution_result", **ran}
            case _:
                name, given = "code_execution", {"code": "1"}
                content = self.failed("code_execution")
        return self.ran(name, given, name, content)

    def tool_search(self) -> list[JSON]:
        reference = {"type": "tool_reference", "tool_name": "weather"}
        content: JSON = {"type": "tool_search_tool_search_result", "tool_references": [reference]}
        if self.rng.random() < 0.2:
            content = self.failed("tool_search")
        name = self.rng.choice(("tool_search_tool_regex", "tool_search_tool_bm25"))
        given = {"pattern" if name.endswith("regex") else "query": "w"}
        return self.ran(name, given, "tool_search", content)

    def mcp(self) -> list[JSON]:
        call_id = self.call_id()
        use = {"type": "mcp_tool_use", "id": call_id, "name": "echo", "server_name": "s"}
        content = [{"type": "text", "text": "hey"}]
        result = {"type": "mcp_tool_result", "tool_use_id": call_id, "content": content}
        failed = self.rng.random() < 0.2
        return [
            *self.block({**use, "input": {"a": 1}}),
            *self.block({**result, "is_error": failed}),
        ]


def search_result(rng: Random) -> JSON:
    result: JSON = {
        "type": "web_search_result",
        "url": rng.choice(URLS),
        "encrypted_content": "Enc",
    }
    return {**result, "title": "A page", "page_age": rng.choice((None, "2 days ago"))}


def citation(rng: Random) -> JSON:
    cited = {"cited_text": "so", "document_index": 0, "document_title": "Doc"}
    match rng.randrange(3):
        case 0:
            found = {"type": "web_search_result_location", "url": rng.choice(URLS), "title": "A"}
            return {**found, "cited_text": "so", "encrypted_index": "Idx"}
        case 1:
            pages = {"start_page_number": 1, "end_page_number": 2}
            return {"type": "page_location", **cited, **pages}
        case _:
            chars = {"start_char_index": 0, "end_char_index": 9}
            return {"type": "char_location", **cited, **chars}


def anthropic_answer(rng: Random) -> list[JSON]:
    """Return the events of an answer of Anthropic's Messages API."""
    return AnthropicAnswer(rng).events()
