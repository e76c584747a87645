"""Model messages → the request of Anthropic's Messages API."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from chatrun.models import anthropic_server_tools as server_tools
from chatrun.models import prompt
from chatrun.models.base import NamedTool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatrun.models.base import ModelRequest, ToolSpec
    from chatrun.models.prompt import Said

logger = logging.getLogger(__name__)

PROVIDER: Final = "anthropic"
_IMAGES: Final = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp", "image/*"))
_CHOICES: Final = {"auto": "auto", "required": "any", "none": "none"}
_BREAKPOINTS: Final = 4
"""How many cache breakpoints the API takes in one request."""

# The most that each family may write. The API demands a limit; a low one would cut answers short.
_OUTPUT_LIMITS: Final = (
    (re.compile(r"claude-3-(opus|sonnet|haiku)"), 4_096),
    (re.compile(r"claude-3-5"), 8_192),
    (re.compile(r"claude-opus-4-(0|1|2025\d{4})\b"), 32_000),
    (re.compile(r"claude-"), 64_000),
)
_OTHER_LIMIT: Final = 8_192


def request_body(name: str, request: ModelRequest, *, model: str) -> dict[str, object]:
    """Return the body of the request for the model `name`; `model` stands in errors.

    Raises:
        ProviderRejected: A message holds what the API has no form for.
    """
    system, messages = prompt.split_system(request)
    options = request.provider_options.get(PROVIDER, {})
    for refused in ("temperature", "top_p"):
        if getattr(request, refused) is not None:
            logger.warning("%s takes no %s; it is left out", model, refused)
    body = {
        "model": name,
        "max_tokens": _max_tokens(name, request, options),
        "system": [_system_block(item) for item in system] or None,
        "messages": _messages(messages, model),
        "stop_sequences": list(request.stop_sequences) or None,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": _tool_choice(request),
        "output_config": _output_config(request, options),
        "stream": True,
    }
    whole = prompt.merged(body, {k: v for k, v in options.items() if k != "output_config"})
    _keep_breakpoints(whole, model)
    return whole


def _max_tokens(name: str, request: ModelRequest, options: Mapping[str, Any]) -> int:
    family = next((limit for form, limit in _OUTPUT_LIMITS if form.match(name)), _OTHER_LIMIT)
    asked = request.max_output_tokens
    if asked is None:
        return family
    # The API counts reasoning in; who asks for 1,000 tokens means 1,000 tokens of answer.
    return int(asked + ((options.get("thinking") or {}).get("budget_tokens") or 0))


def _output_config(request: ModelRequest, options: Mapping[str, Any]) -> dict[str, Any] | None:
    config = dict(options.get("output_config") or {})
    wanted = request.response_format
    if wanted is not None and wanted.schema is not None:
        config["format"] = {"type": "json_schema", "schema": dict(wanted.schema)}
    return config or None


def _system_block(item: Mapping[str, Any]) -> dict[str, Any]:
    cached = _cache({"providerOptions": item.get("options")})
    return {"type": "text", "text": item["text"], **cached}


def _cache(*items: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cache breakpoint of the first of `items` that asks for one."""
    for item in items:
        options = prompt.options_of(item, PROVIDER)
        control = options.get("cacheControl", options.get("cache_control"))
        if control:
            return {"cache_control": control}
    return {}


def _messages(messages: Sequence[Said], model: str) -> list[dict[str, Any]]:
    runs = prompt.grouped(messages)
    built: list[dict[str, Any]] = []
    for side, run in runs:
        blocks = [block for message in run for block in _blocks(message, model)]
        if side == "assistant":
            blocks = _calls_last(blocks)
        if blocks:
            built.append({"role": side, "content": blocks})
    if built and built[-1]["role"] == "assistant":
        _trim_end(built[-1]["content"])
    return built


def _blocks(message: Said, model: str) -> list[dict[str, Any]]:
    """Return the blocks of one message; a breakpoint of the message goes on its last block."""
    parts = prompt.parts_of(message)
    own = _cache(message)
    blocks: list[dict[str, Any]] = []
    for part in parts:
        block = _block(message["role"], part, model)
        if block is None:
            continue
        last = own if part is parts[-1] else {}
        cached = _cache(part) or last
        if cached and "thinking" not in block["type"]:
            block = {**block, **cached}
        blocks.append(block)
    return blocks


def _block(role: str, part: Mapping[str, Any], model: str) -> dict[str, Any] | None:
    """Return the block of one part; None for parts that the API is not told of."""
    match part["type"]:
        case "text":
            return _text_block(role, part)
        case "reasoning":
            return _reasoning_block(part, model)
        case "file" | "image" if role == "user":
            return _file_block(part, model)
        case "tool-call":
            return _call_block(part)
        case "tool-result" if role == "assistant":
            return server_tools.result_block(part, prompt.options_of(part, PROVIDER))
        case "tool-result":
            return _result_block(part, model)
        case _:
            return None


def _text_block(role: str, part: Mapping[str, Any]) -> dict[str, Any] | None:
    if not part["text"].strip():
        return None
    citations = prompt.options_of(part, PROVIDER).get("citations")
    cited = {"citations": citations} if citations and role == "assistant" else {}
    return {"type": "text", "text": part["text"], **cited}


def _reasoning_block(part: Mapping[str, Any], model: str) -> dict[str, Any] | None:
    """Return reasoning as the model itself wrote it; what it cannot verify it would refuse."""
    options = prompt.options_of(part, PROVIDER)
    if signature := options.get("signature"):
        return {"type": "thinking", "thinking": part["text"], "signature": signature}
    if data := options.get("redactedData"):
        return {"type": "redacted_thinking", "data": data}
    logger.debug("reasoning that %s did not sign is left out", model)
    return None


def _call_block(part: Mapping[str, Any]) -> dict[str, Any]:
    options, given = prompt.options_of(part, PROVIDER), part.get("input")
    mcp = server_tools.mcp_block(part, options)
    if mcp is not None:
        return mcp
    block = {
        "type": "server_tool_use" if part.get("providerExecuted") else "tool_use",
        "id": part["toolCallId"],
        "name": part["toolName"],
        # A call whose input could not be read is told of with what there was of it.
        "input": given if isinstance(given, dict) else {"rawInvalidInput": given} if given else {},
    }
    caller = server_tools.caller_block(options.get("caller"))
    return {**block, "caller": caller} if caller else block


def _result_block(part: Mapping[str, Any], model: str) -> dict[str, Any]:
    output = part["output"]
    content: object = prompt.output_text(output) if output["type"] != "content" else None
    if content is None:
        content = [_content_block(item, model) for item in output["value"]]
    block = {"type": "tool_result", "tool_use_id": part["toolCallId"], "content": content}
    return {**block, "is_error": True} if prompt.is_error(output) else block


def _content_block(item: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return one piece of a tool's result: text, or a file under any of the SDK's names."""
    if item["type"] == "text":
        return {"type": "text", "text": item["text"]}
    media_type = item.get("mediaType") or ("image/*" if "image" in item["type"] else "")
    return _file_block({**item, "type": "file", "mediaType": media_type}, model)


def _file_block(part: Mapping[str, Any], model: str) -> dict[str, Any]:
    file = prompt.file_of(part, provider=PROVIDER)
    kind = file.media_type
    if kind in _IMAGES:
        return {"type": "image", "source": _source(file)}
    options = prompt.options_of(part, PROVIDER)
    extra = {key: options[key] for key in ("title", "context", "citations") if key in options}
    if file.filename:
        extra.setdefault("title", file.filename)
    if kind == "application/pdf":
        return {"type": "document", "source": _source(file), **extra}
    if file.kind == "text":
        text = {"type": "text", "media_type": "text/plain", "data": file.text}
        source = text if file.text is not None else _source(file)
        return {"type": "document", "source": source, **extra}
    raise prompt.unsupported(model, f"a file of the type {kind!r}")


def _source(file: prompt.FileData) -> dict[str, Any]:
    if file.file_id:
        return {"type": "file", "file_id": file.file_id}
    if file.url:
        return {"type": "url", "url": file.url}
    media_type = "image/jpeg" if file.media_type == "image/*" else file.media_type
    return {"type": "base64", "media_type": media_type, "data": file.base64}


def _calls_last(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks with calls behind text, as the API wants it before their results.

    Thinking keeps its place before what it led to: each block of it begins a stretch of its own.
    """
    ordered: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in blocks:
        if "thinking" in block["type"]:
            ordered, calls = [*ordered, *calls], []
        (calls if block["type"] == "tool_use" else ordered).append(block)
    return [*ordered, *calls]


def _trim_end(blocks: list[dict[str, Any]]) -> None:
    """Cut white space off the text that the model is to go on from; the API refuses it there."""
    if blocks[-1]["type"] == "text":
        blocks[-1] = {**blocks[-1], "text": blocks[-1]["text"].rstrip()}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    cached = _cache({"providerOptions": tool.provider_options})
    if tool.native is not None:
        return {**tool.native, **cached}
    spec: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "strict": tool.strict,
        "eager_input_streaming": True,
        **cached,
    }
    return {key: value for key, value in spec.items() if value is not None}


def _tool_choice(request: ModelRequest) -> dict[str, Any] | None:
    choice = request.tool_choice
    if choice is None or not request.tools:
        return None
    if isinstance(choice, NamedTool):
        return {"type": "tool", "name": choice.name}
    return {"type": _CHOICES[choice]}


def _keep_breakpoints(body: dict[str, Any], model: str) -> None:
    """Take away the cache breakpoints beyond the most that the API allows, the first ones first.

    Later breakpoints cover more, so they are the ones worth keeping.
    """
    places = [*(body.get("tools") or ()), *(body.get("system") or ())]
    places += [block for message in body["messages"] for block in message["content"]]
    marked = [place for place in places if isinstance(place, dict) and "cache_control" in place]
    for place in marked[: max(len(marked) - _BREAKPOINTS, 0)]:
        logger.warning("%s takes %d cache breakpoints; one is left out", model, _BREAKPOINTS)
        del place["cache_control"]
