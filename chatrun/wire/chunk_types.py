"""The chunks of the AI SDK's UI message stream, as types.

Source: `ui-message-chunks.ts` of the npm package `ai`, 6.0.0 to 7.0.173. Keys marked `NotRequired`
are absent when they have no value: every client refuses a null in their place.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

Profile = Literal["v6", "v7"]
"""Which clients are spoken to: "v6" is understood by every AI SDK 6 and 7, "v7" by 7.0.173 on."""

FinishReason = Literal[
    "stop", "length", "content-filter", "tool-calls", "error", "other", "interrupted"
]
"""Why an answer ended; "interrupted" is known to "v7" only and sent as "other" elsewhere."""

ProviderMetadata: TypeAlias = dict[str, dict[str, object]]
"""Provider name → what it wants back unchanged; kept byte for byte."""


class StartChunk(TypedDict):
    """Opens the answer and gives the message its id."""

    type: Literal["start"]
    messageId: NotRequired[str]
    messageMetadata: NotRequired[object]


class StartStepChunk(TypedDict):
    """Opens a step: one call of a model and the tools it asked for."""

    type: Literal["start-step"]


class FinishStepChunk(TypedDict):
    """Closes a step."""

    type: Literal["finish-step"]


class ResetStepChunk(TypedDict):
    """Takes back the parts of the current step (v7)."""

    type: Literal["reset-step"]


class FinishChunk(TypedDict):
    """Closes the answer."""

    type: Literal["finish"]
    finishReason: NotRequired[FinishReason]
    messageMetadata: NotRequired[object]


class AbortChunk(TypedDict):
    """The answer was stopped; nothing follows."""

    type: Literal["abort"]
    reason: NotRequired[str]


class ErrorChunk(TypedDict):
    """Something failed; the text is shown to the user."""

    type: Literal["error"]
    errorText: str


class MessageMetadataChunk(TypedDict):
    """An object merged deeply into the message's metadata."""

    type: Literal["message-metadata"]
    messageMetadata: object


class TextStartChunk(TypedDict):
    """Opens a text part; its id must not have been used in this message before."""

    type: Literal["text-start"]
    id: str
    providerMetadata: NotRequired[ProviderMetadata]


class TextDeltaChunk(TypedDict):
    """A piece of an open text part."""

    type: Literal["text-delta"]
    id: str
    delta: str
    providerMetadata: NotRequired[ProviderMetadata]


class TextEndChunk(TypedDict):
    """Closes a text part."""

    type: Literal["text-end"]
    id: str
    providerMetadata: NotRequired[ProviderMetadata]
    citations: NotRequired[list[dict[str, object]]]


class ReasoningStartChunk(TypedDict):
    """Opens a reasoning part; its id must not have been used in this message before."""

    type: Literal["reasoning-start"]
    id: str
    providerMetadata: NotRequired[ProviderMetadata]


class ReasoningDeltaChunk(TypedDict):
    """A piece of an open reasoning part."""

    type: Literal["reasoning-delta"]
    id: str
    delta: str
    providerMetadata: NotRequired[ProviderMetadata]


class ReasoningEndChunk(TypedDict):
    """Closes a reasoning part."""

    type: Literal["reasoning-end"]
    id: str
    providerMetadata: NotRequired[ProviderMetadata]


class FileChunk(TypedDict):
    """A file the model made, as a data: or http: URL."""

    type: Literal["file"]
    url: str
    mediaType: str
    providerMetadata: NotRequired[ProviderMetadata]


class ReasoningFileChunk(TypedDict):
    """A file the model made while reasoning (v7)."""

    type: Literal["reasoning-file"]
    url: str
    mediaType: str
    providerMetadata: NotRequired[ProviderMetadata]


class CustomChunk(TypedDict):
    """Content only its provider understands; `kind` is "provider.type" (v7)."""

    type: Literal["custom"]
    kind: str
    providerMetadata: NotRequired[ProviderMetadata]


class SourceUrlChunk(TypedDict):
    """A web page the answer rests on."""

    type: Literal["source-url"]
    sourceId: str
    url: str
    title: NotRequired[str]
    providerMetadata: NotRequired[ProviderMetadata]


class SourceDocumentChunk(TypedDict):
    """A document the answer rests on."""

    type: Literal["source-document"]
    sourceId: str
    mediaType: str
    title: str
    filename: NotRequired[str]
    providerMetadata: NotRequired[ProviderMetadata]


class SteeringMessageChunk(TypedDict):
    """A user message that joined the answer between two steps (v7)."""

    type: Literal["steering-message"]
    id: str
    parts: list[dict[str, object]]


class ToolInputStartChunk(TypedDict):
    """Opens a tool call whose input is about to stream."""

    type: Literal["tool-input-start"]
    toolCallId: str
    toolName: str
    providerExecuted: NotRequired[bool]
    dynamic: NotRequired[bool]
    title: NotRequired[str]
    providerMetadata: NotRequired[ProviderMetadata]
    toolMetadata: NotRequired[dict[str, object]]
    inputEncoding: NotRequired[Literal["json", "text"]]


class ToolInputDeltaChunk(TypedDict):
    """A piece of a tool call's input, as the text of its JSON."""

    type: Literal["tool-input-delta"]
    toolCallId: str
    inputTextDelta: str


class ToolInputAvailableChunk(TypedDict):
    """A tool call with its whole input."""

    type: Literal["tool-input-available"]
    toolCallId: str
    toolName: str
    input: object
    providerExecuted: NotRequired[bool]
    providerMetadata: NotRequired[ProviderMetadata]
    dynamic: NotRequired[bool]
    title: NotRequired[str]
    toolMetadata: NotRequired[dict[str, object]]


class ToolInputErrorChunk(TypedDict):
    """A tool call that cannot run: its input is wrong or there is no such tool."""

    type: Literal["tool-input-error"]
    toolCallId: str
    toolName: str
    input: object
    errorText: str
    providerExecuted: NotRequired[bool]
    providerMetadata: NotRequired[ProviderMetadata]
    dynamic: NotRequired[bool]
    title: NotRequired[str]
    toolMetadata: NotRequired[dict[str, object]]


class ToolApprovalRequestChunk(TypedDict):
    """A tool call waits for the user's yes or no."""

    type: Literal["tool-approval-request"]
    approvalId: str
    toolCallId: str
    approvalDescriptor: NotRequired[object]
    inputSchemaInput: NotRequired[object]
    signature: NotRequired[str]
    reason: NotRequired[str]
    isAutomatic: NotRequired[bool]


class ToolApprovalResponseChunk(TypedDict):
    """The yes or no to a tool call, when the server decides it (v7)."""

    type: Literal["tool-approval-response"]
    approvalId: str
    approved: bool
    reason: NotRequired[str]
    providerExecuted: NotRequired[bool]
    providerMetadata: NotRequired[ProviderMetadata]


class ToolOutputAvailableChunk(TypedDict):
    """What a tool answered; `preliminary` when more may follow."""

    type: Literal["tool-output-available"]
    toolCallId: str
    output: object
    providerExecuted: NotRequired[bool]
    dynamic: NotRequired[bool]
    preliminary: NotRequired[bool]
    providerMetadata: NotRequired[ProviderMetadata]
    toolMetadata: NotRequired[dict[str, object]]


class ToolOutputErrorChunk(TypedDict):
    """A tool failed."""

    type: Literal["tool-output-error"]
    toolCallId: str
    errorText: str
    providerExecuted: NotRequired[bool]
    dynamic: NotRequired[bool]
    providerMetadata: NotRequired[ProviderMetadata]
    toolMetadata: NotRequired[dict[str, object]]


class ToolOutputDeniedChunk(TypedDict):
    """The user's no to a tool call has been taken into account."""

    type: Literal["tool-output-denied"]
    toolCallId: str


class DataChunk(TypedDict):
    """Data of the application's own. `type` is "data-" and a name.

    With an `id`, a later chunk of the same type and id replaces the data; with `transient` the
    page is told and nothing is kept.
    """

    type: str
    data: object
    id: NotRequired[str]
    transient: NotRequired[bool]


Chunk: TypeAlias = (
    StartChunk
    | StartStepChunk
    | FinishStepChunk
    | ResetStepChunk
    | FinishChunk
    | AbortChunk
    | ErrorChunk
    | MessageMetadataChunk
    | TextStartChunk
    | TextDeltaChunk
    | TextEndChunk
    | ReasoningStartChunk
    | ReasoningDeltaChunk
    | ReasoningEndChunk
    | FileChunk
    | ReasoningFileChunk
    | CustomChunk
    | SourceUrlChunk
    | SourceDocumentChunk
    | SteeringMessageChunk
    | ToolInputStartChunk
    | ToolInputDeltaChunk
    | ToolInputAvailableChunk
    | ToolInputErrorChunk
    | ToolApprovalRequestChunk
    | ToolApprovalResponseChunk
    | ToolOutputAvailableChunk
    | ToolOutputErrorChunk
    | ToolOutputDeniedChunk
    | DataChunk
)
