"""From UI messages to the messages a model reads.

Source: `convert-to-model-messages.ts` of the npm package `ai`, 6.0.326 and 7.0.173; the two are
compared on random messages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict, cast

from chatrun.errors import InvalidInput
from chatrun.messages.convert_tools import ToolConverter, is_complete
from chatrun.messages.types import is_text_part, is_tool_part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from chatrun.messages.convert_tools import ToModelOutput
    from chatrun.messages.types import (
        AssistantContent,
        CustomPart,
        CustomUIPart,
        FilePart,
        FileReference,
        FileUIPart,
        FileUrl,
        ModelMessage,
        ReasoningFilePart,
        ReasoningFileUIPart,
        ReasoningPart,
        ReasoningUIPart,
        SteeringMessageUIPart,
        SystemModelMessage,
        TextPart,
        TextUIPart,
        UIMessage,
        UIPart,
        UserContent,
    )
    from chatrun.wire.chunks import Profile, ProviderMetadata

    _HasMetadata = TextUIPart | ReasoningUIPart | FileUIPart | ReasoningFileUIPart | CustomUIPart

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def convert_to_model_messages(
    messages: Iterable[UIMessage],
    *,
    profile: Profile = "v6",
    ignore_incomplete_tool_calls: bool = False,
    tool_outputs: Mapping[str, ToModelOutput] | None = None,
) -> list[ModelMessage]:
    """Return `messages` as a model reads them: for each step an assistant and a tool message.

    Sources and data parts are left out. With `ignore_incomplete_tool_calls`, so are tool calls
    that have neither a result nor an answer to their approval; else they stay open, see `heal`.
    `tool_outputs` tells, by tool name, what the model is shown of a result; by default that is
    text for a string and JSON for all else. "v7" drops approvals that a later user message has
    overtaken, and writes files as AI SDK 7 does.

    Raises:
        InvalidInput: A message has an unknown role or, in "v7", a file has no URL.
    """
    chosen = list(messages)
    converter = _Converter(profile, ToolConverter(profile, tool_outputs or {}))
    last_user = max((at for at, each in enumerate(chosen) if each["role"] == "user"), default=-1)
    result: list[ModelMessage] = []
    for at, message in enumerate(chosen):
        parts = message["parts"]
        if ignore_incomplete_tool_calls:
            parts = [part for part in parts if not is_tool_part(part) or is_complete(part)]
        if profile == "v7" and at < last_user:
            parts = [part for part in parts if not _awaits_approval(part)]
        result.extend(converter.convert(message, parts))
    return result


def _awaits_approval(part: UIPart) -> bool:
    return is_tool_part(part) and part["state"] == "approval-requested"


@dataclass(frozen=True, slots=True)
class _Converter:
    """Converts one message at a time."""

    profile: Profile
    tools: ToolConverter

    def convert(self, message: UIMessage, parts: Sequence[UIPart]) -> Iterable[ModelMessage]:
        """Return what becomes of a message that has `parts`."""
        match message["role"]:
            case "system":
                return [_system(parts)]
            case "user":
                return [{"role": "user", "content": self._user_content(parts)}]
            case "assistant":
                return self._assistant(parts)
            case role:  # from a store or a client, where no type checker has looked
                raise InvalidInput(f"a message has the role {role!r}, which no model knows")

    def _user_content(self, parts: Iterable[UIPart]) -> list[UserContent]:
        content: list[UserContent] = []
        for part in parts:
            if is_text_part(part):
                content.append(_text(part))
            elif part["type"] == "file":
                content.append(self._file(cast("FileUIPart", part)))
        return content

    def _assistant(self, parts: Iterable[UIPart]) -> Iterator[ModelMessage]:
        """Yield the messages of each step, and what users said between two of them."""
        step: list[UIPart] = []
        for part in parts:
            steers = part["type"] == "steering-message" and self.profile == "v7"
            if not steers and part["type"] != "step-start":
                step.append(part)
                continue
            yield from self._step(step)
            step = []
            if steers:
                said = cast("SteeringMessageUIPart", part)["parts"]
                yield {"role": "user", "content": self._user_content(said)}
        yield from self._step(step)

    def _step(self, parts: Iterable[UIPart]) -> Iterator[ModelMessage]:
        parts = list(parts)
        content = [item for part in parts for item in self._content(part)]
        if content:
            yield {"role": "assistant", "content": content}
        calls = [part for part in parts if is_tool_part(part)]
        results = [item for part in calls for item in self.tools.results(part)]
        if results:
            yield {"role": "tool", "content": results}

    def _content(self, part: UIPart) -> Iterable[AssistantContent]:
        """Return what the assistant message says of a part; nothing of sources and data."""
        if is_tool_part(part):
            return self.tools.call(part)
        match part["type"]:
            case "text":
                return [_text(cast("TextUIPart", part))]
            case "reasoning":
                return [_reasoning(cast("ReasoningUIPart", part))]
            case "file":
                return [self._file(cast("FileUIPart", part))]
            case "reasoning-file" if self.profile == "v7":
                return [_reasoning_file(cast("ReasoningFileUIPart", part))]
            case "custom" if self.profile == "v7":
                return [_custom(cast("CustomUIPart", part))]
            case _:
                return []

    def _file(self, part: FileUIPart) -> FilePart:
        data: str | FileUrl | FileReference = part["url"]
        if self.profile == "v7":
            reference = part.get("providerReference")
            data = _url(part["url"]) if reference is None else _reference(reference)
        file: FilePart = {"type": "file", "mediaType": part["mediaType"], "data": data}
        if part.get("filename") is not None:
            file["filename"] = part["filename"]
        return {**file, **_options(part)}


def _system(parts: Iterable[UIPart]) -> SystemModelMessage:
    texts = [part for part in parts if is_text_part(part)]
    message: SystemModelMessage = {
        "role": "system",
        "content": "".join(part["text"] for part in texts),
    }
    metadata: ProviderMetadata = {}
    for part in texts:
        metadata |= part.get("providerMetadata") or {}
    if metadata:
        message["providerOptions"] = metadata
    return message


class _Options(TypedDict, total=False):
    """What a provider wants back, as model messages carry it."""

    providerOptions: ProviderMetadata


def _options(part: _HasMetadata) -> _Options:
    metadata = part.get("providerMetadata")
    return {} if metadata is None else {"providerOptions": metadata}


def _text(part: TextUIPart) -> TextPart:
    return {"type": "text", "text": part["text"], **_options(part)}


def _reasoning(part: ReasoningUIPart) -> ReasoningPart:
    return {"type": "reasoning", "text": part["text"], **_options(part)}


def _reasoning_file(part: ReasoningFileUIPart) -> ReasoningFilePart:
    return {
        "type": "reasoning-file",
        "mediaType": part["mediaType"],
        "data": _url(part["url"]),
        **_options(part),
    }


def _custom(part: CustomUIPart) -> CustomPart:
    return {"type": "custom", "kind": part["kind"], **_options(part)}


def _reference(reference: dict[str, str]) -> FileReference:
    return {"type": "reference", "reference": reference}


def _url(url: str) -> FileUrl:
    """Return a URL as it came: the original also brings it to its normal form."""
    if not _SCHEME.match(url):
        raise InvalidInput(f"a file part has {url[:80]!r} where a URL must be")
    return {"type": "url", "url": url}
