"""Tools that Anthropic runs itself (web search, web fetch, code execution): results and sources.

Results are kept in the form the AI SDK gives them, so that its components can show them and
`result_block` can send them back: a web search's results cannot be replayed without their
`encryptedContent`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.models.prompt import to_json

if TYPE_CHECKING:
    from chatrun.wire.chunks import Chunk

_SEARCH_KEYS: Final = {
    "type": "type",
    "url": "url",
    "title": "title",
    "page_age": "pageAge",
    "encrypted_content": "encryptedContent",
}

_FETCH_KEYS: Final = {"retrieved_at": "retrievedAt", "media_type": "mediaType"}


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


def result_chunks(block: Mapping[str, Any], *, id_prefix: str) -> list[Chunk]:
    """Return the output of a tool that the provider ran, and the pages that a search found."""
    content = block.get("content")
    call: dict[str, Any] = {"toolCallId": block["tool_use_id"], "providerExecuted": True}
    if isinstance(content, Mapping) and str(content.get("type")).endswith("_error"):
        error = {"type": content["type"], "errorCode": content.get("error_code")}
        failed = {"type": "tool-output-error", **call, "errorText": to_json(error)}
        return [cast("Chunk", failed)]
    found = _searched(content)
    output = found if found is not None else _fetched(content)
    chunk = cast("Chunk", {"type": "tool-output-available", **call, "output": output})
    return [chunk, *(_page(page, f"{id_prefix}{n}") for n, page in enumerate(found or ()))]


def source_chunks(citations: Sequence[Mapping[str, Any]], *, id_prefix: str) -> list[Chunk]:
    """Return the sources that citations name; a kind that is unknown has none."""
    sources = (_source(cited, f"{id_prefix}{n}") for n, cited in enumerate(citations))
    return [source for source in sources if source is not None]


def result_type(tool_name: str) -> str:
    """Return the type of the block that brings back the result of the tool's call."""
    if tool_name.startswith("tool_search_tool"):
        return "tool_search_tool_result"
    return f"{tool_name}_tool_result"


def result_block(tool_name: str, call_id: str, output: Mapping[str, Any]) -> dict[str, Any]:
    """Return the block that tells the model again what its own tool found."""
    value = output.get("value")
    content = value
    if str(output.get("type")).startswith("error-"):
        content = _error_content(tool_name, value)
    elif isinstance(value, list):
        content = [_search_result(page) for page in value]
    elif isinstance(value, Mapping) and value.get("type") == "web_fetch_result":
        content = _renamed(value, {new: old for old, new in _FETCH_KEYS.items()})
    return {"type": result_type(tool_name), "tool_use_id": call_id, "content": content}


def _searched(content: object) -> list[dict[str, Any]] | None:
    """Return a web search's results as the AI SDK has them; None for any other result."""
    if not isinstance(content, list):
        return None
    if any(page.get("type") != "web_search_result" for page in content):
        return None
    return [{new: page.get(old) for old, new in _SEARCH_KEYS.items()} for page in content]


def _fetched(content: object) -> object:
    """Return a page that was fetched as the AI SDK has it; any other result as it is."""
    if isinstance(content, Mapping) and content.get("type") == "web_fetch_result":
        return _renamed(content, _FETCH_KEYS)
    return content


def _renamed(value: object, names: Mapping[str, str]) -> object:
    if not isinstance(value, Mapping):
        return value
    return {names.get(key, key): _renamed(inner, names) for key, inner in value.items()}


def _search_result(page: object) -> object:
    if not isinstance(page, Mapping) or page.get("type") != "web_search_result":
        return page
    return {old: page.get(new, page.get(old)) for old, new in _SEARCH_KEYS.items()}


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
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except ValueError:
            found = None
    code = found.get("errorCode") if isinstance(found, Mapping) else None
    return {"type": f"{result_type(tool_name)}_error", "error_code": code or "unavailable"}
