"""What takes a difference that is meant out of an answer's chunks, or out of a request.

Each is applied to both sides, and does nothing to the one that has not got what it takes out.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JSON = dict[str, Any]
Answer = list[JSON]


def without_kinds(*kinds: str) -> Callable[[Answer], Answer]:
    """Return what drops chunks of these types."""
    return lambda chunks: [chunk for chunk in chunks if chunk["type"] not in kinds]


def without_keys(prefix: str, *keys: str) -> Callable[[Answer], Answer]:
    """Return what drops these keys from chunks whose type begins with `prefix`."""

    def even_out(chunks: Answer) -> Answer:
        return [
            {key: value for key, value in chunk.items() if key not in keys}
            if chunk["type"].startswith(prefix)
            else chunk
            for chunk in chunks
        ]

    return even_out


def usage_as_told(chunks: Answer) -> Answer:
    """Leave of the usage what both sides count: no zeros, no guesses, nothing raw."""
    *rest, last = chunks
    if last["type"] != "finish":
        return chunks
    usage = last["messageMetadata"]["usage"]
    details = {**usage.get("inputTokenDetails", {}), **usage.get("outputTokenDetails", {})}
    if not details.get("reasoningTokens"):
        details.pop("textTokens", None)
    totals = {key: usage.get(key) for key in ("inputTokens", "outputTokens", "totalTokens")}
    counted = {key: value for key, value in {**totals, **details}.items() if value}
    return [*rest, {**last, "messageMetadata": {"usage": counted}}]


def without_empty_pieces(chunks: Answer) -> Answer:
    """Drop deltas that bring nothing."""
    return [
        chunk
        for chunk in chunks
        if not chunk["type"].endswith("-delta")
        or chunk.get("delta", chunk.get("inputTextDelta"))
        or chunk.get("providerMetadata")
    ]


def without_empty_texts(chunks: Answer) -> Answer:
    """Drop text parts that nothing is written into."""
    written = {chunk["id"] for chunk in chunks if chunk["type"] == "text-delta"}
    return [
        chunk
        for chunk in chunks
        if chunk["type"] not in ("text-start", "text-end") or chunk["id"] in written
    ]


def texts_ended_at_once(chunks: Answer) -> Answer:
    """Put the end of a text behind the last of its pieces."""
    ends = {chunk["id"]: chunk for chunk in chunks if chunk["type"] == "text-end"}
    rest = [chunk for chunk in chunks if chunk["type"] != "text-end"]
    for part_id, end in ends.items():
        last = max(n for n, chunk in enumerate(rest) if chunk.get("id") == part_id)
        rest.insert(last + 1, end)
    return rest


def each_source_once(chunks: Answer) -> Answer:
    """Drop a source that names a page or file which was named before."""
    seen: set[str] = set()
    kept = []
    for chunk in chunks:
        if chunk["type"].startswith("source-"):
            named = chunk.get("url") or _openai(chunk)["fileId"]
            if named in seen:
                continue
            seen.add(named)
        kept.append(chunk)
    return kept


def sources_last(chunks: Answer) -> Answer:
    """Put the sources behind all that is said, in an order of their own."""
    sources = [chunk for chunk in chunks if chunk["type"].startswith("source-")]
    rest = [chunk for chunk in chunks if not chunk["type"].startswith("source-")]
    sources.sort(key=lambda chunk: json.dumps({**chunk, "sourceId": ""}, sort_keys=True))
    return [*rest, *sources]


def proven_reasoning(chunks: Answer) -> Answer:
    """Leave of reasoning what counts: its text, and the metadata at its end."""
    parts: dict[str, list[JSON]] = {}
    for chunk in chunks:
        if chunk["type"].startswith("reasoning-"):
            parts.setdefault(chunk["id"], []).append(chunk)
    empty = {
        part_id
        for part_id, part in parts.items()
        if len(part) == 2 and not _openai(part[-1]).get("reasoningEncryptedContent")
    }
    kept = []
    for chunk in chunks:
        if chunk["type"] in ("reasoning-start", "reasoning-delta"):
            chunk = {key: value for key, value in chunk.items() if key != "providerMetadata"}
        elif chunk["type"] == "reasoning-end":
            told = {key: value for key, value in _openai(chunk).items() if value is not None}
            chunk = {**chunk, "providerMetadata": {"openai": told}}
        if not chunk["type"].startswith("reasoning-") or chunk["id"] not in empty:
            kept.append(chunk)
    return kept


def _openai(chunk: Mapping[str, Any]) -> JSON:
    found: JSON = chunk["providerMetadata"]["openai"]
    return found


def one_code_tool(chunks: Answer) -> Answer:
    """Call all of Anthropic's code tools by one name, and leave that name out of their input."""
    calls = {
        chunk["toolCallId"]
        for chunk in chunks
        if chunk["type"] == "tool-input-start" and chunk["toolName"].endswith("code_execution")
    }
    kept = []
    for chunk in chunks:
        if chunk.get("toolCallId") not in calls:
            kept.append(chunk)
        elif chunk["type"] != "tool-input-delta":
            named: JSON = {"toolName": "code_execution"} if "toolName" in chunk else {}
            given = chunk.get("input")
            if isinstance(given, dict):
                named["input"] = {key: value for key, value in given.items() if key != "type"}
            kept.append({**chunk, **named})
    return kept


def ended_in_error(chunks: Answer) -> Answer:
    """Leave of an answer that failed what was said, and that it failed."""
    reasons = {chunk.get("finishReason") for chunk in chunks}
    if not reasons & {"error", "interrupted"} and "error" not in {c["type"] for c in chunks}:
        return chunks
    ends = ("start-step", "text-end", "reasoning-end", "finish-step", "finish", "error")
    return [*without_kinds(*ends)(chunks), {"type": "error"}]


def without_auto(body: JSON) -> JSON:
    """Drop a tool choice that leaves it to the model."""
    auto = body.get("tool_choice") in ("auto", {"type": "auto"})
    return {key: value for key, value in body.items() if key != "tool_choice" or not auto}


def include_in_order(body: JSON) -> JSON:
    """Sort what is to come with the answer."""
    return {**body, "include": sorted(body["include"])} if "include" in body else body


def texts_joined(body: JSON) -> JSON:
    """Join the pieces of a result that is told as JSON."""
    messages = []
    for message in body["messages"]:
        content = message["content"]
        if message["role"] == "tool" and content.startswith('[{"type":"text"'):
            told = [part["text"] for part in json.loads(content)]
            message = {**message, "content": "\n".join(told)}
        messages.append(message)
    return {**body, "messages": messages}


def numbers_as_python_writes_them(body: JSON) -> JSON:
    """Write the exponents of numbers inside JSON texts with two digits."""
    written = re.sub(r"(\d)e-(\d)(?!\d)", r"\1e-0\2", json.dumps(body))
    evened: JSON = json.loads(written)
    return evened


def without_empty_answers(body: JSON) -> JSON:
    """Drop answers that say nothing."""
    messages = body["messages"]
    told = [m for m in messages if m["role"] != "assistant" or m["content"] or "tool_calls" in m]
    return {**body, "messages": told}


def last_text_trimmed(body: JSON) -> JSON:
    """Cut white space off both ends of the text that the model is to go on from."""
    *before, last = body["messages"]
    *blocks, block = last["content"]
    if last["role"] != "assistant" or block["type"] != "text":
        return body
    trimmed = {**last, "content": [*blocks, {**block, "text": block["text"].strip()}]}
    return {**body, "messages": [*before, trimmed]}
