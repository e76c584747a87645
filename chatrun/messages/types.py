"""UI messages and model messages, as the AI SDK writes them in JSON.

Sources: `ui-messages.ts` of the npm package `ai` and the model message types of
`@ai-sdk/provider-utils`, for AI SDK 6 and 7. They are what a page shows, a store keeps and a task
reads; keys not named here are kept. What is marked v7 appears only where clients of AI SDK 7 do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, TypeAlias, TypedDict, TypeGuard

from chatrun.wire.chunk_types import ProviderMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

ProviderOptions: TypeAlias = ProviderMetadata
Role = Literal["system", "user", "assistant"]

ToolState = Literal[
    "input-streaming",
    "input-available",
    "approval-requested",
    "approval-responded",
    "output-available",
    "output-error",
    "output-denied",
]
"""How far a tool call has come; the last three are final."""


class TextUIPart(TypedDict):
    """What was said. `state` is absent in messages that were never streamed."""

    type: Literal["text"]
    text: str
    state: NotRequired[Literal["streaming", "done"]]
    providerMetadata: NotRequired[ProviderMetadata]
    citations: NotRequired[list[dict[str, object]]]


class ReasoningUIPart(TypedDict):
    """What the model thought before it spoke."""

    type: Literal["reasoning"]
    text: str
    id: NotRequired[str]
    state: NotRequired[Literal["streaming", "done"]]
    providerMetadata: NotRequired[ProviderMetadata]


class FileUIPart(TypedDict):
    """A file, as a data: or http: URL; `providerReference` (v7) beats the URL."""

    type: Literal["file"]
    mediaType: str
    url: str
    filename: NotRequired[str]
    providerMetadata: NotRequired[ProviderMetadata]
    providerReference: NotRequired[dict[str, str]]


class ReasoningFileUIPart(TypedDict):
    """A file the model made while reasoning (v7)."""

    type: Literal["reasoning-file"]
    mediaType: str
    url: str
    providerMetadata: NotRequired[ProviderMetadata]


class SourceUrlUIPart(TypedDict):
    """A web page the answer rests on."""

    type: Literal["source-url"]
    sourceId: str
    url: str
    title: NotRequired[str]
    providerMetadata: NotRequired[ProviderMetadata]


class SourceDocumentUIPart(TypedDict):
    """A document the answer rests on."""

    type: Literal["source-document"]
    sourceId: str
    mediaType: str
    title: str
    filename: NotRequired[str]
    providerMetadata: NotRequired[ProviderMetadata]


class StepStartUIPart(TypedDict):
    """The border between two steps."""

    type: Literal["step-start"]


class CustomUIPart(TypedDict):
    """Content only its provider understands (v7)."""

    type: Literal["custom"]
    kind: str
    providerMetadata: NotRequired[ProviderMetadata]


class SteeringMessageUIPart(TypedDict):
    """A user message that joined the answer between two steps (v7)."""

    type: Literal["steering-message"]
    id: str
    parts: list[TextUIPart | FileUIPart]


class DataUIPart(TypedDict):
    """Data of the application's own; `type` is "data-" and a name."""

    type: str
    data: object
    id: NotRequired[str]


class ToolApproval(TypedDict):
    """A question whether a tool may run, and the answer once `approved` is there."""

    id: str
    approved: NotRequired[bool]
    reason: NotRequired[str]
    descriptor: NotRequired[object]
    signature: NotRequired[str]
    inputSchemaInput: NotRequired[object]
    requestReason: NotRequired[str]
    isAutomatic: NotRequired[bool]


class ToolUIPart(TypedDict):
    """A tool call with all that has become of it, in one part.

    `type` is "tool-" and the tool's name, or "dynamic-tool" with the name in `toolName`.
    Which of `input`, `output`, `errorText` and `approval` are there follows from `state`.
    """

    type: str
    toolCallId: str
    state: ToolState
    toolName: NotRequired[str]
    input: NotRequired[object]
    output: NotRequired[object]
    errorText: NotRequired[str]
    approval: NotRequired[ToolApproval]
    preliminary: NotRequired[bool]
    providerExecuted: NotRequired[bool]
    rawInput: NotRequired[object]
    inputEncoding: NotRequired[Literal["json", "text"]]
    title: NotRequired[str]
    toolMetadata: NotRequired[dict[str, object]]
    callProviderMetadata: NotRequired[ProviderMetadata]
    resultProviderMetadata: NotRequired[ProviderMetadata]
    dynamic: NotRequired[bool]


UIPart: TypeAlias = (
    TextUIPart
    | ReasoningUIPart
    | FileUIPart
    | ReasoningFileUIPart
    | SourceUrlUIPart
    | SourceDocumentUIPart
    | StepStartUIPart
    | CustomUIPart
    | SteeringMessageUIPart
    | ToolUIPart
    | DataUIPart
)


class UIMessage(TypedDict):
    """One message of a chat, in the form pages show and transcripts keep."""

    id: str
    role: Role
    parts: list[UIPart]
    metadata: NotRequired[object]


class TextPart(TypedDict):
    """Text for a model."""

    type: Literal["text"]
    text: str
    providerOptions: NotRequired[ProviderOptions]


class ReasoningPart(TypedDict):
    """Reasoning given back to the model that had it."""

    type: Literal["reasoning"]
    text: str
    providerOptions: NotRequired[ProviderOptions]


class FileUrl(TypedDict):
    """Where a file is (v7)."""

    type: Literal["url"]
    url: str


class FileReference(TypedDict):
    """Provider name → that provider's id of an uploaded file (v7)."""

    type: Literal["reference"]
    reference: dict[str, str]


class FilePart(TypedDict):
    """A file for a model; `data` is an http: or data: URL, or base64 without a prefix."""

    type: Literal["file"]
    mediaType: str
    data: str | FileUrl | FileReference
    filename: NotRequired[str]
    providerOptions: NotRequired[ProviderOptions]


class ReasoningFilePart(TypedDict):
    """A file made while reasoning, given back (v7)."""

    type: Literal["reasoning-file"]
    mediaType: str
    data: FileUrl
    providerOptions: NotRequired[ProviderOptions]


class CustomPart(TypedDict):
    """Content only its provider understands, given back (v7)."""

    type: Literal["custom"]
    kind: str
    providerOptions: NotRequired[ProviderOptions]


class ToolCallPart(TypedDict):
    """A tool call the model made. `input` is absent when none could be read."""

    type: Literal["tool-call"]
    toolCallId: str
    toolName: str
    input: NotRequired[object]
    providerExecuted: NotRequired[bool]
    providerOptions: NotRequired[ProviderOptions]


class TextOutput(TypedDict):
    """A tool's answer as text; "error-text" when it failed."""

    type: Literal["text", "error-text"]
    value: str
    providerOptions: NotRequired[ProviderOptions]


class JsonOutput(TypedDict):
    """A tool's answer as JSON; "error-json" when it failed."""

    type: Literal["json", "error-json"]
    value: object
    providerOptions: NotRequired[ProviderOptions]


class DeniedOutput(TypedDict):
    """The user did not allow the tool to run."""

    type: Literal["execution-denied"]
    reason: NotRequired[str]
    providerOptions: NotRequired[ProviderOptions]


class ContentOutput(TypedDict):
    """A tool's answer as content of several kinds, such as text and images."""

    type: Literal["content"]
    value: list[dict[str, object]]


ToolResultOutput: TypeAlias = TextOutput | JsonOutput | DeniedOutput | ContentOutput


class ToolResultPart(TypedDict):
    """What a tool answered. In an assistant message: a tool its provider ran."""

    type: Literal["tool-result"]
    toolCallId: str
    toolName: str
    output: ToolResultOutput
    providerOptions: NotRequired[ProviderOptions]


class ToolApprovalRequestPart(TypedDict):
    """A tool call that waited for the user; never sent to a model."""

    type: Literal["tool-approval-request"]
    approvalId: str
    toolCallId: str
    inputSchemaInput: NotRequired[object]
    signature: NotRequired[str]
    isAutomatic: NotRequired[bool]
    reason: NotRequired[str]


class ToolApprovalResponsePart(TypedDict):
    """The user's answer; sent only for tools that the provider runs."""

    type: Literal["tool-approval-response"]
    approvalId: str
    approved: bool
    reason: NotRequired[str]
    providerExecuted: NotRequired[bool]


class SystemModelMessage(TypedDict):
    """Instructions."""

    role: Literal["system"]
    content: str
    providerOptions: NotRequired[ProviderOptions]


UserContent: TypeAlias = TextPart | FilePart
AssistantContent: TypeAlias = (
    TextPart
    | FilePart
    | ReasoningPart
    | ReasoningFilePart
    | CustomPart
    | ToolCallPart
    | ToolResultPart
    | ToolApprovalRequestPart
)
ToolContent: TypeAlias = ToolResultPart | ToolApprovalResponsePart


class UserModelMessage(TypedDict):
    """What the user said."""

    role: Literal["user"]
    content: str | list[UserContent]
    providerOptions: NotRequired[ProviderOptions]


class AssistantModelMessage(TypedDict):
    """What the model said in one step."""

    role: Literal["assistant"]
    content: str | list[AssistantContent]
    providerOptions: NotRequired[ProviderOptions]


class ToolModelMessage(TypedDict):
    """What became of the tool calls of the step before."""

    role: Literal["tool"]
    content: list[ToolContent]
    providerOptions: NotRequired[ProviderOptions]


ModelMessage: TypeAlias = (
    SystemModelMessage | UserModelMessage | AssistantModelMessage | ToolModelMessage
)


def is_text_part(part: Mapping[str, object]) -> TypeGuard[TextUIPart]:
    """Tell whether a UI part is text."""
    return part["type"] == "text"


def is_tool_part(part: Mapping[str, object]) -> TypeGuard[ToolUIPart]:
    """Tell whether a UI part is a tool call, of a declared or a dynamic tool."""
    kind = str(part["type"])
    return kind.startswith("tool-") or kind == "dynamic-tool"


def is_data_part(part: Mapping[str, object]) -> TypeGuard[DataUIPart]:
    """Tell whether a UI part carries data of the application's own."""
    return str(part["type"]).startswith("data-")


def tool_name(part: ToolUIPart) -> str:
    """Return the name of the tool that a tool part calls; it may contain hyphens."""
    return part["toolName"] if part["type"] == "dynamic-tool" else part["type"][5:]


def message_text(message: UIMessage) -> str:
    """Return the text of a message: its text parts, one after the other."""
    return "".join(part["text"] for part in message["parts"] if is_text_part(part))


def user_message(text: str, *, message_id: str) -> UIMessage:
    """Return the message of a user who wrote `text`."""
    return {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}
