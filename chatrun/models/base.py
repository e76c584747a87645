"""What every model is to the rest of the house: one request in, the chunks of one step out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from chatrun.messages.types import ModelMessage
    from chatrun.wire.chunks import Chunk, FinishReason

CHUNK_TIMEOUT_S = 600.0
"""How long a model may be silent unless said otherwise: reasoning models think for minutes."""


Runs: TypeAlias = Literal["here", "after-approval", "in-client"]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model is told of it."""

    name: str
    description: str | None = None
    input_schema: Mapping[str, object] = field(default_factory=lambda: {"type": "object"})
    """JSON schema of the input: always an object."""
    strict: bool | None = None
    """Whether the provider must keep the input to the schema; None leaves it to the provider."""
    native: Mapping[str, object] | None = None
    """A tool of the provider's own (web search and such), sent as it stands here."""
    runs: Runs = "here"
    """Who runs it. Providers are not told; the demo model picks tools by it."""
    provider_options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A tool choice: the model must call this very tool."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The answer must be JSON, of this JSON schema when there is one."""

    schema: Mapping[str, object] | None = None
    name: str = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One call of a model. What is None or empty is left to the provider."""

    messages: Sequence[ModelMessage]
    """The conversation; system messages may lead it."""
    system: str | None = None
    tools: Sequence[ToolSpec] = ()
    tool_choice: ToolChoice | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: Sequence[str] = ()
    response_format: ResponseFormat | None = None
    provider_options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Provider name → parameters of its own API, put into the request as they stand."""
    id_prefix: str = ""
    """What the ids of text and reasoning parts begin with; no two steps of one message share it."""
    max_retries: int = 2
    """How often the request is sent again when the provider refuses it for now."""
    chunk_timeout_s: float | None = CHUNK_TIMEOUT_S
    """How long the model may be silent; its pings do not count as speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that were counted; None is what the provider did not tell. Sums with `+`."""

    input_tokens: int | None = None
    """All of the input, what was cached included."""
    no_cache_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    """All of the output, reasoning included."""
    text_tokens: int | None = None
    reasoning_tokens: int | None = None

    @property
    def total_tokens(self) -> int | None:
        """Input and output together."""
        return _sum(self.input_tokens, self.output_tokens)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=_sum(self.input_tokens, other.input_tokens),
            no_cache_tokens=_sum(self.no_cache_tokens, other.no_cache_tokens),
            cache_read_tokens=_sum(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens=_sum(self.cache_write_tokens, other.cache_write_tokens),
            output_tokens=_sum(self.output_tokens, other.output_tokens),
            text_tokens=_sum(self.text_tokens, other.text_tokens),
            reasoning_tokens=_sum(self.reasoning_tokens, other.reasoning_tokens),
        )

    def to_json(self) -> dict[str, object]:
        """Return the AI SDK's `LanguageModelUsage`; what is unknown is absent."""
        return _known(
            inputTokens=self.input_tokens,
            inputTokenDetails=_known(
                noCacheTokens=self.no_cache_tokens,
                cacheReadTokens=self.cache_read_tokens,
                cacheWriteTokens=self.cache_write_tokens,
            ),
            outputTokens=self.output_tokens,
            outputTokenDetails=_known(
                textTokens=self.text_tokens, reasoningTokens=self.reasoning_tokens
            ),
            totalTokens=self.total_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFinish:
    """How one call of a model ended: always the last item of its stream."""

    reason: FinishReason
    usage: Usage = field(default_factory=Usage)
    response_id: str | None = None
    model: str | None = None
    """The model as the provider names it."""
    raw_reason: str | None = None
    """The reason in the provider's own word."""


ModelItem: TypeAlias = "Chunk | ModelFinish"


@runtime_checkable
class Model(Protocol):
    """Something that answers."""

    @property
    def name(self) -> str:
        """Return the provider and the model, as in "anthropic:claude-…"; errors carry it."""
        ...

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelItem]]:
        """Answer `request` with the chunks of one step, then exactly one `ModelFinish`.

        The chunks are those of content: text, reasoning, tool input, sources, files, and the
        outputs of tools that the provider ran itself. `start`, `start-step`, `finish-step` and
        `finish` are added by who runs the steps. The request is sent when the context is entered.
        Leaving the context closes the connection, on every path, within milliseconds.

        Raises:
            ProviderError: One of its leaves, on entering or while iterating. Nothing else but
                `CancelledError` is raised.
        """
        ...


def _sum(left: int | None, right: int | None) -> int | None:
    return None if left is None and right is None else (left or 0) + (right or 0)


def _known(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}
