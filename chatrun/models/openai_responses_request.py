"""Model messages → the request of OpenAI's Responses API.

Nothing is stored at the provider (`store: false`): the history is ours, so each request carries
all of it. Reasoning goes back encrypted, as the provider gave it; an id alone would point at what
somebody stored, and a client could forge one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chatrun.models import openai_server_tools as server_tools
from chatrun.models import prompt
from chatrun.models.base import NamedTool
from chatrun.models.openai_names import is_reasoning_model, sampling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatrun.models.base import ModelRequest, ToolSpec
    from chatrun.models.prompt import Said

PROVIDER: Final = "openai"


def request_body(name: str, request: ModelRequest, *, model: str) -> dict[str, object]:
    """Return the body of the request for the model `name`; `model` stands in errors.

    Raises:
        ProviderRejected: A message holds what the API has no form for.
    """
    system, messages = prompt.split_system(request)
    options = dict(request.provider_options.get(PROVIDER, {}))
    role = "developer" if is_reasoning_model(name) else "system"
    instructions = [{"role": role, "content": item["text"]} for item in system]
    body = {
        "model": name,
        "input": [*instructions, *_input(messages, model)],
        "max_output_tokens": request.max_output_tokens,
        **sampling(name, request, model=model),
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _tool_choice(request),
        "text": _text_format(request, options.pop("text", None)),
        "include": _include(name, request, options.pop("include", None)),
        "store": False,
        "stream": True,
    }
    return prompt.merged(body, options)


def _include(name: str, request: ModelRequest, asked: object) -> list[str] | None:
    """Return what the answer shall bring along that it would not by itself."""
    wanted = list(asked) if isinstance(asked, list | tuple) else []
    if is_reasoning_model(name):
        wanted.append("reasoning.encrypted_content")
    natives = [str((tool.native or {}).get("type")) for tool in request.tools]
    if any(kind.startswith("web_search") for kind in natives):
        wanted.append("web_search_call.action.sources")
    if "code_interpreter" in natives:
        wanted.append("code_interpreter_call.outputs")
    return list(dict.fromkeys(wanted)) or None


def _text_format(request: ModelRequest, asked: object) -> dict[str, Any] | None:
    text = dict(asked) if isinstance(asked, dict) else {}
    wanted = request.response_format
    if wanted is not None and wanted.schema is None:
        text["format"] = {"type": "json_object"}
    elif wanted is not None:
        schema = {"name": wanted.name, "schema": dict(wanted.schema or {}), "strict": True}
        text["format"] = {"type": "json_schema", **schema}
    return text or None


def _input(messages: Sequence[Said], model: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for message in messages:
        parts = prompt.parts_of(message)
        match message["role"]:
            case "user":
                content = [_user_part(part, model) for part in parts]
                items.append({"role": "user", "content": content})
            case "assistant":
                items += _assistant(parts)
            case "tool":
                results = [part for part in parts if part["type"] == "tool-result"]
                items += [_result(part, model) for part in results]
    return items


def _user_part(part: Mapping[str, Any], model: str) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "input_text", "text": part["text"]}
    file = prompt.file_of(part, provider=PROVIDER)
    detail = prompt.options_of(part, PROVIDER).get("imageDetail")
    if file.kind == "image":
        image = {"file_id": file.file_id} if file.file_id else {"image_url": file.data_url}
        return {"type": "input_image", **image, **({"detail": detail} if detail else {})}
    if file.file_id:
        return {"type": "input_file", "file_id": file.file_id}
    if file.url:
        return {"type": "input_file", "file_url": file.url}
    if file.media_type == "application/pdf":
        name = file.filename or "document.pdf"
        return {"type": "input_file", "filename": name, "file_data": file.data_url}
    if file.kind == "text" and file.text is not None:
        return {"type": "input_text", "text": file.text}
    raise prompt.unsupported(model, f"a file of the type {file.media_type!r}")


def _assistant(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the items of one step.

    Of the tools that the provider ran itself only web searches are told of again: the API takes no
    others without what it has stored.
    """
    items: list[dict[str, Any]] = []
    reasoning: dict[str, dict[str, Any]] = {}
    for part in parts:
        match part["type"]:
            case "text" if part["text"]:
                items.append(_said(part))
            case "reasoning":
                _add_reasoning(part, reasoning, items)
            case "tool-call" if not part.get("providerExecuted"):
                items.append(_call(part))
            case "tool-result":
                searched = server_tools.web_search_item(part)
                items += [searched] if searched is not None else []
            case _:
                pass
    return [
        item for item in items if item.get("type") != "reasoning" or "encrypted_content" in item
    ]


def _said(part: Mapping[str, Any]) -> dict[str, Any]:
    phase = prompt.options_of(part, PROVIDER).get("phase")
    message = {"role": "assistant", "content": part["text"]}
    return {**message, "phase": phase} if phase else message


def _add_reasoning(
    part: Mapping[str, Any], known: dict[str, dict[str, Any]], items: list[dict[str, Any]]
) -> None:
    """Add a part of reasoning to its item: all parts with one item id are one item."""
    options = prompt.options_of(part, PROVIDER)
    item_id = options.get("itemId")
    if not isinstance(item_id, str):
        return
    item = known.get(item_id)
    if item is None:
        item = known[item_id] = {"type": "reasoning", "id": item_id, "summary": []}
        items.append(item)
    if part["text"]:
        item["summary"].append({"type": "summary_text", "text": part["text"]})
    if encrypted := options.get("reasoningEncryptedContent"):
        item["encrypted_content"] = encrypted


def _call(part: Mapping[str, Any]) -> dict[str, Any]:
    head = {"type": "function_call", "call_id": part["toolCallId"], "name": part["toolName"]}
    return {**head, "arguments": prompt.openai_arguments(part)}


def _result(part: Mapping[str, Any], model: str) -> dict[str, Any]:
    output = part["output"]
    content: object = prompt.openai_output(output)
    if output["type"] == "content":
        content = [_content_item(item, model) for item in output["value"]]
    return {"type": "function_call_output", "call_id": part["toolCallId"], "output": content}


def _content_item(item: Mapping[str, Any], model: str) -> dict[str, Any]:
    if item["type"] == "text":
        return {"type": "input_text", "text": item["text"]}
    media_type = item.get("mediaType") or ("image/*" if "image" in item["type"] else "")
    return _user_part({**item, "type": "file", "mediaType": media_type}, model)


def _tool(tool: ToolSpec) -> Mapping[str, Any]:
    if tool.native is not None:
        return tool.native
    spec = {"type": "function", "name": tool.name, "parameters": tool.input_schema}
    if tool.description:
        spec["description"] = tool.description
    # The API keeps to the schema unless it is told not to, and refuses schemas it cannot keep to.
    return {**spec, "strict": bool(tool.strict)}


def _tool_choice(request: ModelRequest) -> str | dict[str, Any] | None:
    choice = request.tool_choice
    if not request.tools or choice is None:
        return None
    if not isinstance(choice, NamedTool):
        return choice
    native = next((t.native for t in request.tools if t.name == choice.name and t.native), None)
    if native is not None:
        return {"type": native.get("type")}
    return {"type": "function", "name": choice.name}
