"""Tools that Anthropic runs itself (web search, code execution, MCP, ...): results and sources.

Results are kept in the form the AI SDK gives them, so that its components can show them and
`result_block` can send them back: a web search's results cannot be replayed without their
`encryptedContent`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.models.prompt import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatrun.wire.chunks import Chunk

_SEARCH_KEYS: Final = {
    "type": "type",
    "url": "url",
    "title": "title",
    "page_age": "pageAge",
    "encrypted_content": "encryptedContent",
}

# Keys that the AI SDK spells in its own way, by the type of the result that they stand in.
_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "web_fetch_result": {"retrieved_at": "retrievedAt", "media_type": "mediaType"},
    "advisor_result": {"stop_reason": "stopReason"},
    "advisor_redacted_result": {
        "stop_reason": "stopReason",
        "encrypted_content": "encryptedContent",
    },
}

_FOUND_TOOLS: Final = "tool_search_tool_search_result"
_MCP: Final = "mcp-tool-use"
"""What marks the calls of tools that are on an MCP server."""


def caller_metadata(caller: object) -> dict[str, object] | None:
    """Return who made a call (the model, or code that it runs) as the AI SDK keeps it."""
    if not isinstance(caller, Mapping):
        return None
    kept = {"type": caller.get("type"), "toolId": caller.get("tool_id")}
    return {key: value for key, value in kept.items() if value is not None}


def caller_block(metadata: object) -> dict[str, object] | None:
    """Return the same as the API wants it back."""
    if not isinstance(metadata, Mapping):
        return None
    kept = {"type": metadata.get("type"), "tool_id": metadata.get("toolId")}
    return {key: value for key, value in kept.items() if value is not None}


def mcp_call(block: Mapping[str, Any]) -> Chunk:
    """Return the call of a tool on an MCP server, which arrives in one piece."""
    metadata = {"anthropic": {"type": _MCP, "serverName": block.get("server_name")}}
    call = {"toolCallId": block["id"], "toolName": block["name"], "input": block.get("input")}
    flags = {"providerExecuted": True, "dynamic": True, "providerMetadata": metadata}
    return cast("Chunk", {"type": "tool-input-available", **call, **flags})


def mcp_block(part: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the block of such a call, or of its result; None when `part` is neither."""
    if options.get("type") != _MCP:
        return None
    if part["type"] == "tool-call":
        named = {"name": part["toolName"], "input": part.get("input")}
        server = {"server_name": options.get("serverName")}
        return {"type": "mcp_tool_use", "id": part["toolCallId"], **named, **server}
    output = part["output"]
    failed = output["type"] == "error-json"
    content = _parsed(output.get("value")) if failed else output.get("value")
    head = {"type": "mcp_tool_result", "tool_use_id": part["toolCallId"]}
    return {**head, "is_error": failed, "content": content}


def result_chunks(block: Mapping[str, Any], *, id_prefix: str) -> list[Chunk]:
    """Return the output of a tool that the provider ran, and the pages that a search found."""
    content = block.get("content")
    call: dict[str, Any] = {"toolCallId": block["tool_use_id"], "providerExecuted": True}
    if block["type"] == "mcp_tool_result":
        call["dynamic"] = True
        if block.get("is_error"):
            return [_failed(call, content)]
    elif isinstance(content, Mapping) and str(content.get("type")).endswith("_error"):
        return [_failed(call, {"type": content["type"], "errorCode": content.get("error_code")})]
    output = _output(content)
    chunk = cast("Chunk", {"type": "tool-output-available", **call, "output": output})
    found = output if block["type"] == "web_search_tool_result" else None
    pages = found if isinstance(found, list) else []
    return [chunk, *(_page(page, f"{id_prefix}{n}") for n, page in enumerate(pages))]


def _failed(call: Mapping[str, Any], error: object) -> Chunk:
    return cast("Chunk", {"type": "tool-output-error", **call, "errorText": to_json(error)})


def source_chunks(citations: Sequence[Mapping[str, Any]], *, id_prefix: str) -> list[Chunk]:
    """Return the sources that citations name; a kind that is unknown has none."""
    sources = (_source(cited, f"{id_prefix}{n}") for n, cited in enumerate(citations))
    return [source for source in sources if source is not None]


def result_type(tool_name: str) -> str:
    """Return the type of the block that brings back the result of the tool's call."""
    if tool_name.startswith("tool_search_tool"):
        return "tool_search_tool_result"
    return f"{tool_name}_tool_result"


def result_block(part: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the block that tells the model again what its own tool found.

    `options` is what the part carries for Anthropic.
    """
    mcp = mcp_block(part, options)
    if mcp is not None:
        return mcp
    name, output = part["toolName"], part["output"]
    failed = str(output.get("type")).startswith("error-")
    value = output.get("value")
    content = _error_content(name, value) if failed else _content(value)
    caller = caller_block(options.get("caller"))
    block = {"type": result_type(name), "tool_use_id": part["toolCallId"], "content": content}
    return {**block, "caller": caller} if caller and name.startswith("web_") else block


def _output(content: object) -> object:
    """Return what a tool has brought as the AI SDK has it; what is unknown stays as it is."""
    if isinstance(content, list):
        return [_searched(page) for page in content]
    if not isinstance(content, Mapping):
        return content
    kind = str(content.get("type"))
    if kind == _FOUND_TOOLS:
        tools = content.get("tool_references") or ()
        return [{"type": tool.get("type"), "toolName": tool.get("tool_name")} for tool in tools]
    if kind in ("code_execution_result", "encrypted_code_execution_result"):
        return {**content, "content": content.get("content") or []}
    return _renamed(content, _RENAMED.get(kind, {}))


def _content(value: object) -> object:
    """Return the same as the API wants it back."""
    if isinstance(value, list):
        if any(isinstance(item, Mapping) and "toolName" in item for item in value):
            tools = [{"type": tool["type"], "tool_name": tool["toolName"]} for tool in value]
            return {"type": _FOUND_TOOLS, "tool_references": tools}
        return [_search_result(page) for page in value]
    kind = str(value.get("type")) if isinstance(value, Mapping) else ""
    return _renamed(value, {new: old for old, new in _RENAMED.get(kind, {}).items()})


def _searched(page: object) -> object:
    """Return a page that a search found; any other item of a result as it is."""
    if not isinstance(page, Mapping) or page.get("type") != "web_search_result":
        return page
    found = {new: page.get(old) for old, new in _SEARCH_KEYS.items()}
    return {key: value for key, value in found.items() if value is not None or key != "title"}


def _renamed(value: object, names: Mapping[str, str]) -> object:
    if not isinstance(value, Mapping):
        return value
    return {names.get(key, key): _renamed(inner, names) for key, inner in value.items()}


def _search_result(page: object) -> object:
    if not isinstance(page, Mapping) or page.get("type") != "web_search_result":
        return page
    found = {old: page.get(new, page.get(old)) for old, new in _SEARCH_KEYS.items()}
    return {key: value for key, value in found.items() if value is not None or key == "page_age"}


def _page(page: Mapping[str, Any], source_id: str) -> Chunk:
    chunk = {"type": "source-url", "sourceId": source_id, "url": page["url"]}
    if page.get("title"):
        chunk["title"] = page["title"]
    metadata = {"anthropic": {"pageAge": page.get("pageAge")}}
    return cast("Chunk", {**chunk, "providerMetadata": metadata})


def _source(cited: Mapping[str, Any], source_id: str) -> Chunk | None:
    kind = cited.get("type")
    details: dict[str, object] = {"citedText": cited.get("cited_text")}
    if kind == "web_search_result_location":
        details["encryptedIndex"] = cited.get("encrypted_index")
        chunk = {"type": "source-url", "sourceId": source_id, "url": cited["url"]}
        if cited.get("title"):
            chunk["title"] = cited["title"]
    elif kind in ("page_location", "char_location"):
        unit = "Page" if kind == "page_location" else "Char"
        stem = "page_number" if kind == "page_location" else "char_index"
        number = "Number" if kind == "page_location" else "Index"
        details |= {f"start{unit}{number}": cited.get(f"start_{stem}")}
        details |= {f"end{unit}{number}": cited.get(f"end_{stem}")}
        media_type = "application/pdf" if kind == "page_location" else "text/plain"
        chunk = {"type": "source-document", "sourceId": source_id, "mediaType": media_type}
        chunk["title"] = cited.get("document_title") or "Document"
    else:
        return None
    return cast("Chunk", {**chunk, "providerMetadata": {"anthropic": details}})


def _error_content(tool_name: str, value: object) -> dict[str, Any]:
    """Return the error of a tool as its result block wants it."""
    found = _parsed(value)
    code = found.get("errorCode") if isinstance(found, Mapping) else None
    return {"type": f"{result_type(tool_name)}_error", "error_code": code or "unavailable"}


def _parsed(value: object) -> object:
    """Return what a text says as JSON; whatever is no such text stays as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
