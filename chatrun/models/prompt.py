"""What the request builders of all providers share: reading model messages."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from chatrun.errors import ProviderRejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chatrun.messages.types import (
        AssistantModelMessage,
        ModelMessage,
        ToolModelMessage,
        ToolResultOutput,
        UserModelMessage,
    )
    from chatrun.models.base import ModelRequest

    Said: TypeAlias = UserModelMessage | AssistantModelMessage | ToolModelMessage

DENIED = "Tool call execution denied."


@dataclass(frozen=True, slots=True)
class FileData:
    """A file of a message, wherever it is."""

    media_type: str
    url: str | None = None
    base64: str | None = None
    file_id: str | None = None
    filename: str | None = None

    @property
    def kind(self) -> str:
        """The first half of the media type: "image", "audio", "application", ..."""
        return self.media_type.partition("/")[0]

    @property
    def data_url(self) -> str:
        """The file as one URL, which is a data: URL when it has no address."""
        return self.url or f"data:{self.media_type};base64,{self.base64 or ''}"

    @property
    def text(self) -> str | None:
        """The file's content when it is here and can be read as text."""
        try:
            return None if self.base64 is None else base64.b64decode(self.base64).decode()
        except ValueError:
            return None


def parts_of(message: ModelMessage) -> list[dict[str, Any]]:
    """Return the content of a message as parts, also where it is a plain string."""
    content = message["content"]
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast("list[dict[str, Any]]", content)


def split_system(request: ModelRequest) -> tuple[list[dict[str, Any]], Sequence[Said]]:
    """Return the instructions (text, and options of each) and the messages behind them.

    `request.system` comes first; a system message further down is moved up to the others, as
    most models take instructions only there.
    """
    system: list[dict[str, Any]] = [{"text": request.system}] if request.system else []
    rest: list[Said] = []
    for message in request.messages:
        if message["role"] != "system":
            rest.append(message)
        elif message["content"]:
            options = message.get("providerOptions") or {}
            system.append({"text": message["content"], "options": options})
    return system, rest


def options_of(item: Mapping[str, Any], provider: str) -> Mapping[str, Any]:
    """Return what a message or part carries for `provider`."""
    options = item.get("providerOptions") or {}
    found = options.get(provider)
    return found if isinstance(found, dict) else {}


def file_of(part: Mapping[str, Any], *, provider: str) -> FileData:
    """Return the file that a file or image part carries."""
    media_type = part.get("mediaType") or ("image/*" if part["type"] == "image" else "")
    filename = part.get("filename")
    data = part.get("data", part.get("image", part.get("url")))
    if isinstance(data, dict):
        if data.get("type") == "reference":
            file_id = (data.get("reference") or {}).get(provider)
            return FileData(media_type, file_id=file_id, filename=filename)
        data = data.get("url", data.get("data"))
    if isinstance(data, bytes):
        return FileData(media_type, base64=base64.b64encode(data).decode(), filename=filename)
    text = str(data)
    if text.startswith("data:"):
        return _from_data_url(text, media_type, filename)
    if text.startswith(("http://", "https://")):
        return FileData(media_type, url=text, filename=filename)
    return FileData(media_type, base64=text, filename=filename)


def _from_data_url(url: str, media_type: str, filename: str | None) -> FileData:
    head, _, payload = url.removeprefix("data:").partition(",")
    stated, *flags = head.split(";")
    if "base64" not in flags:
        from urllib.parse import unquote_to_bytes

        payload = base64.b64encode(unquote_to_bytes(payload)).decode()
    kind = stated if stated and (not media_type or media_type.endswith("/*")) else media_type
    return FileData(kind or "application/octet-stream", base64=payload, filename=filename)


def output_text(output: ToolResultOutput) -> str:
    """Return a tool's result as text, for the wires that take nothing else."""
    match output["type"]:
        case "text" | "error-text":
            return str(output["value"])
        case "execution-denied":
            return output.get("reason") or DENIED
        case _:
            return to_json(output["value"])


def is_error(output: ToolResultOutput) -> bool:
    """Tell whether a tool's result says that it failed; a denial does not."""
    return output["type"] in ("error-text", "error-json")


def openai_output(output: ToolResultOutput) -> str:
    """Return a tool's result as OpenAI's wires take it, which know errors by their form only."""
    if is_error(output):
        return to_json({"error": output.get("value")})
    content = output["value"] if output["type"] == "content" else ()
    if content and all(item["type"] == "text" for item in content):
        return "\n".join(str(item["text"]) for item in content)
    return output_text(output)


def openai_arguments(call: Mapping[str, Any]) -> str:
    """Return a call's input as JSON; one that could not be read is told of as empty."""
    given = call.get("input")
    return to_json(given if isinstance(given, dict) else {})


def to_json(value: object) -> str:
    """Return `value` as compact JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def merged(body: Mapping[str, object], options: Mapping[str, object]) -> dict[str, object]:
    """Return the request with the user's own parameters over ours; None is left out."""
    return {key: value for key, value in {**body, **options}.items() if value is not None}


def unsupported(model: str, what: str) -> ProviderRejected:
    """Return the error of content that a provider's wire has no form for."""
    return ProviderRejected(f"{model} cannot be sent {what}", model=model)


def grouped(messages: Iterable[Said]) -> list[tuple[str, list[Said]]]:
    """Return the messages in runs of one side: "user" with the tools' results, or "assistant"."""
    runs: list[tuple[str, list[Said]]] = []
    for message in messages:
        side = "assistant" if message["role"] == "assistant" else "user"
        if not runs or runs[-1][0] != side:
            runs.append((side, []))
        runs[-1][1].append(message)
    return runs
