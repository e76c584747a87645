"""Tools that OpenAI runs itself (searches, images, code, MCP): calls, results and sources.

Results have the form that the AI SDK gives them, so that its components can show them and a web
search can be sent back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.models.converting import call_end
from chatrun.models.prompt import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chatrun.wire.chunks import Chunk

KINDS: Final = frozenset(
    (
        "web_search_call",
        "file_search_call",
        "image_generation_call",
        "code_interpreter_call",
        "mcp_call",
    )
)
"""The items that are calls of such tools."""

WHOLE: Final = frozenset(("web_search_call", "file_search_call", "image_generation_call"))
"""Those that take no input: the call is told of in full when its item opens."""

# Where a web search went, in the API's words and in the AI SDK's.
_ACTIONS: Final = {"search": "search", "open_page": "openPage", "find_in_page": "findInPage"}
_KEYS: Final = ("query", "queries", "url", "pattern")


def begun(item: Mapping[str, Any]) -> list[Chunk]:
    """Return what is told of a call when its item opens."""
    match item["type"]:
        case "web_search_call":
            return [_start(item), *called(item)]
        case "file_search_call" | "image_generation_call":
            return called(item)
        case "code_interpreter_call":
            opening = f'{{"containerId":{to_json(item.get("container_id"))},"code":"'
            return [_start(item), _input_delta(item["id"], opening)]
        case _:  # an MCP call is told of once its input is there
            return []


def called(item: Mapping[str, Any]) -> list[Chunk]:
    """Return the call with its whole input."""
    match item["type"]:
        case "mcp_call":
            named = {"toolCallId": item["id"], "toolName": f"mcp.{item['name']}"}
            flags = {"providerExecuted": True, "dynamic": True}
            return [call_end({**named, **flags}, item.get("arguments") or "")]
        case "code_interpreter_call":
            return code_called(item["id"], item.get("container_id"), item.get("code") or "")
        case kind:
            return [_call(item["id"], kind.removesuffix("_call"), {})]


def ended(item: Mapping[str, Any]) -> list[Chunk]:
    """Return what the tool has brought."""
    call_id = item["id"]
    match item["type"]:
        case "web_search_call":
            status = item.get("status") or "completed"
            if status != "completed":
                failed = {"toolCallId": call_id, "errorText": to_json({"status": status})}
                flags = {"providerExecuted": True}
                return [cast("Chunk", {"type": "tool-output-error", **failed, **flags})]
            return [_output(call_id, _searched(item.get("action") or {}))]
        case "file_search_call":
            results = item.get("results")
            shown = None if results is None else [_file(result) for result in results]
            return [_output(call_id, {"queries": item.get("queries"), "results": shown})]
        case "code_interpreter_call":
            return [_output(call_id, {"outputs": item.get("outputs")})]
        case "mcp_call":
            return [_output(call_id, _mcp(item))]
        case _:
            return [_output(call_id, {"result": item.get("result")})]


def partial_image(call_id: str, image: object) -> Chunk:
    """Return an image as far as it has been drawn."""
    return _output(call_id, {"result": image}, preliminary=True)


def input_piece(call_id: str, code: str) -> Chunk:
    """Return a piece of code as a piece of the JSON string that it stands in."""
    return _input_delta(call_id, to_json(code)[1:-1])


def code_called(call_id: str, container: object, code: str) -> list[Chunk]:
    """Return the end of the code interpreter's input, and its call."""
    given = {"code": code, "containerId": container}
    return [_input_delta(call_id, '"}'), _call(call_id, "code_interpreter", given)]


def found(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the pages and files that a search has found, to be shown as sources."""
    if item["type"] == "web_search_call":
        action = item.get("action") or {}
        sources = (action.get("sources") or ()) if action.get("type") == "search" else ()
        yield from ({**s, "type": "url"} for s in sources if s.get("type", "url") == "url")
    elif item["type"] == "file_search_call":
        yield from ({**result, "type": "file_search"} for result in item.get("results") or ())


def source(told: Mapping[str, Any], source_id: str) -> Chunk:
    """Return the source that an annotation or a search names."""
    if told.get("url"):
        title = {"title": told["title"]} if told.get("title") else {}
        page = {"type": "source-url", "sourceId": source_id, "url": told["url"], **title}
        return cast("Chunk", page)
    kind, file_id = told.get("type"), told.get("file_id")
    name = file_id if kind == "file_path" else told.get("filename") or file_id
    where = {"containerId": told.get("container_id"), "index": told.get("index")}
    details = {"type": kind, "fileId": file_id, **where}
    document = {
        "type": "source-document",
        "sourceId": source_id,
        "mediaType": "application/octet-stream" if kind == "file_path" else "text/plain",
        "title": name,
        "filename": name,
        "providerMetadata": {"openai": {k: v for k, v in details.items() if v is not None}},
    }
    return cast("Chunk", document)


def web_search_item(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the item that tells the model again where it has searched; None for other results."""
    output = part["output"]
    value = output.get("value") if output.get("type") == "json" else None
    action = value.get("action") if isinstance(value, dict) else None
    names = {new: old for old, new in _ACTIONS.items()}
    if not isinstance(value, dict) or not isinstance(action, dict):
        return None
    kind = names.get(str(action.get("type")))
    if kind is None:
        return None
    told = {"type": kind, **{key: action[key] for key in _KEYS if action.get(key) is not None}}
    if value.get("sources") is not None:
        told["sources"] = value["sources"]
    head = {"type": "web_search_call", "id": part["toolCallId"], "status": "completed"}
    return {**head, "action": told}


def _searched(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a web search went, and what it found there."""
    kind = _ACTIONS.get(str(action.get("type")))
    if kind is None:
        return {}
    told = {"type": kind, **{key: action[key] for key in _KEYS if action.get(key) is not None}}
    sources = action.get("sources")
    return {"action": told} if sources is None else {"action": told, "sources": sources}


def _file(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a passage of a file that a search found."""
    kept = {key: result.get(key) for key in ("attributes", "filename", "score", "text")}
    return {**kept, "fileId": result.get("file_id")}


def _mcp(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a tool on an MCP server has answered."""
    named = {"serverLabel": item.get("server_label"), "name": item["name"]}
    ends = {key: item[key] for key in ("output", "error") if item.get(key) is not None}
    return {"type": "call", **named, "arguments": item.get("arguments"), **ends}


def _start(item: Mapping[str, Any]) -> Chunk:
    call = {"toolCallId": item["id"], "toolName": item["type"].removesuffix("_call")}
    return cast("Chunk", {"type": "tool-input-start", **call, "providerExecuted": True})


def _input_delta(call_id: str, text: str) -> Chunk:
    return {"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": text}


def _call(call_id: str, name: str, given: object, **flags: Any) -> Chunk:
    call = {"toolCallId": call_id, "toolName": name, "input": given, "providerExecuted": True}
    return cast("Chunk", {"type": "tool-input-available", **call, **flags})


def _output(call_id: str, output: object, **flags: Any) -> Chunk:
    told = {"toolCallId": call_id, "output": output, "providerExecuted": True}
    return cast("Chunk", {"type": "tool-output-available", **told, **flags})
