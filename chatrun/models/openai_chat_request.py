"""Model messages → the request of OpenAI's chat completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chatrun.models import prompt
from chatrun.models.base import NamedTool
from chatrun.models.openai_names import is_reasoning_model, sampling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatrun.models.base import ModelRequest, ToolSpec
    from chatrun.models.prompt import Said

PROVIDER: Final = "openai"
_AUDIO: Final = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def request_body(name: str, request: ModelRequest, *, model: str) -> dict[str, object]:
    """Return the body of the request for the model `name`; `model` stands in errors.

    Raises:
        ProviderRejected: A message holds what the API has no form for.
    """
    system, messages = prompt.split_system(request)
    limit = "max_completion_tokens" if is_reasoning_model(name) else "max_tokens"
    role = "developer" if is_reasoning_model(name) else "system"
    instructions = [{"role": role, "content": item["text"]} for item in system]
    body = {
        "model": name,
        "messages": [*instructions, *_messages(messages, model)],
        limit: request.max_output_tokens,
        **sampling(name, request, model=model),
        "stop": list(request.stop_sequences) or None,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _tool_choice(request),
        "response_format": _response_format(request),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return prompt.merged(body, request.provider_options.get(PROVIDER, {}))


def _messages(messages: Sequence[Said], model: str) -> list[dict[str, Any]]:
    built: list[dict[str, Any]] = []
    for message in messages:
        parts = prompt.parts_of(message)
        match message["role"]:
            case "user":
                built.append({"role": "user", "content": _user_content(parts, model)})
            case "assistant":
                built += _assistant(parts)
            case "tool":
                built += [_result(part) for part in parts if part["type"] == "tool-result"]
    return built


def _user_content(parts: Sequence[Mapping[str, Any]], model: str) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return [_user_part(part, model) for part in parts]


def _user_part(part: Mapping[str, Any], model: str) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    file = prompt.file_of(part, provider=PROVIDER)
    if file.kind == "image":
        detail = prompt.options_of(part, PROVIDER).get("imageDetail")
        image = {"url": file.data_url} | ({"detail": detail} if detail else {})
        return {"type": "image_url", "image_url": image}
    if file.media_type in _AUDIO and file.base64:
        audio = {"data": file.base64, "format": _AUDIO[file.media_type]}
        return {"type": "input_audio", "input_audio": audio}
    if file.file_id:
        return {"type": "file", "file": {"file_id": file.file_id}}
    if file.media_type == "application/pdf" and file.base64:
        name = file.filename or "document.pdf"
        return {"type": "file", "file": {"filename": name, "file_data": file.data_url}}
    if file.kind == "text" and file.text is not None:
        return {"type": "text", "text": file.text}
    where = "a link to a file" if file.url else "a file"
    raise prompt.unsupported(model, f"{where} of the type {file.media_type!r}")


def _assistant(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the message of one step; reasoning is left out, as the API takes none back."""
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    calls = [_call(p) for p in parts if p["type"] == "tool-call" and not p.get("providerExecuted")]
    if not text and not calls:
        return []
    message = {"role": "assistant", "content": text or None}
    return [{**message, "tool_calls": calls} if calls else message]


def _call(part: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": part["toolName"], "arguments": prompt.openai_arguments(part)}
    return {"id": part["toolCallId"], "type": "function", "function": function}


def _result(part: Mapping[str, Any]) -> dict[str, Any]:
    content = prompt.openai_output(part["output"])
    return {"role": "tool", "tool_call_id": part["toolCallId"], "content": content}


def _tool(tool: ToolSpec) -> Mapping[str, Any]:
    if tool.native is not None:
        return tool.native
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(request: ModelRequest) -> str | dict[str, Any] | None:
    choice = request.tool_choice
    if not request.tools or choice is None:
        return None
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _response_format(request: ModelRequest) -> dict[str, Any] | None:
    wanted = request.response_format
    if wanted is None:
        return None
    if wanted.schema is None:
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": dict(wanted.schema), "strict": True}
    return {"type": "json_schema", "json_schema": schema}
