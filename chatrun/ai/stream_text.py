"""`stream_text`: a model's answer to a conversation, tools included, as a stream of chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeAlias
from weakref import ref

from chatrun.ai.loop import StepLoop
from chatrun.ai.scope import current_scope
from chatrun.ai.settings import MAX_STEPS, Settings, step_count, tool_choice_of
from chatrun.ai.toolbox import TOGETHER, Toolbox
from chatrun.errors import InvalidInput
from chatrun.models.base import CHUNK_TIMEOUT_S
from chatrun.models.find import find_model

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from chatrun.ai.scope import TurnScope
    from chatrun.ai.settings import PrepareStep, StopCondition
    from chatrun.ai.step import Step
    from chatrun.ai.tools import Tool
    from chatrun.messages.types import ModelMessage
    from chatrun.models.base import Model, ResponseFormat, ToolChoice, Usage
    from chatrun.wire.chunks import Chunk, FinishReason

MessageMetadata: TypeAlias = (
    "Mapping[str, object] | Callable[[TextStream], Mapping[str, object] | None]"
)


class TextStream:
    """An answer in the making.

    Nothing happens until it is iterated, which can be done once: `async for chunk in stream`, or
    by giving it to a task's `return` or `yield`. It gives the chunks of all steps, without `start`
    and `finish`, which whoever sends the answer adds. What goes wrong at the model is raised as a
    `ProviderError`. Cancelling the iteration, and `aclose`, close the model's connection and
    cancel the tools that run. `steps`, `usage`, `finish_reason` and `new_messages` grow as steps
    end.
    """

    def __init__(self, loop: StepLoop, *, metadata: MessageMetadata | None = None) -> None:
        self._loop = loop
        self._metadata = metadata
        # Weak: a loop that is left by `break` drops the generator, which closes the model then.
        self._chunks: ref[AsyncGenerator[Chunk]] | None = None

    @property
    def steps(self) -> Sequence[Step]:
        """The steps that are over, oldest first."""
        return self._loop.steps

    @property
    def usage(self) -> Usage:
        """The tokens of all steps."""
        return self._loop.usage

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the last step ended, None before any has."""
        return self._loop.finish_reason

    @property
    def new_messages(self) -> Sequence[ModelMessage]:
        """The model messages that the answer has added to the conversation."""
        return self._loop.new_messages

    def __aiter__(self) -> AsyncGenerator[Chunk]:
        """Begin the answer.

        Raises:
            InvalidInput: It was begun before.
        """
        if self._chunks is not None:
            raise InvalidInput("a stream_text result can be iterated once only")
        chunks = self._run()
        self._chunks = ref(chunks)
        return chunks

    async def text(self) -> str:
        """Run the answer to its end and return the text of its last step."""
        async with aclosing(aiter(self)) as chunks:
            async for _ in chunks:
                pass
        return self.steps[-1].text if self.steps else ""

    async def aclose(self) -> None:
        """End the answer where it is."""
        chunks = self._chunks() if self._chunks is not None else None
        if chunks is not None:
            await chunks.aclose()

    async def _run(self) -> AsyncGenerator[Chunk]:
        if isinstance(self._metadata, Mapping):
            yield {"type": "message-metadata", "messageMetadata": dict(self._metadata)}
        async with aclosing(self._loop.run()) as chunks:
            async for chunk in chunks:
                yield chunk
        if callable(self._metadata):
            metadata = self._metadata(self)
            if metadata is not None:
                yield {"type": "message-metadata", "messageMetadata": dict(metadata)}


def stream_text(
    model: str | Model,
    *,
    messages: Sequence[ModelMessage] | None = None,
    system: str | None = None,
    tools: Sequence[Tool] | None = None,
    tool_choice: ToolChoice | str | None = None,
    active_tools: Sequence[str] | None = None,
    stop_when: StopCondition | Sequence[StopCondition] | None = None,
    prepare_step: PrepareStep | None = None,
    max_output_tokens: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    stop_sequences: Sequence[str] = (),
    response_format: ResponseFormat | None = None,
    provider_options: Mapping[str, Mapping[str, object]] | None = None,
    message_metadata: MessageMetadata | None = None,
    max_retries: int = 2,
    retry_delay_s: float = 1.0,
    chunk_timeout_s: float | None = CHUNK_TIMEOUT_S,
    parallel_tools: int = TOGETHER,
) -> TextStream:
    """Return the answer of `model` to `messages`, to be iterated.

    The model is asked, the tools it calls are run, and it is asked again with their results,
    until it calls none, a call is left to the client or to the user's approval, or `stop_when`
    says so. Where the last message brings the user's answers to such questions, the tools that
    were allowed run first.

    Args:
        model: "anthropic:<name>", "openai:<name>", "openai-chat:<name>", "demo", or a model object.
        messages: The conversation as model messages; by default that of the current turn.
        system: Instructions, ahead of any in `messages`, behind those of the task.
        tools: What the model may call; by default the tools of the current turn's task.
        tool_choice: "auto", "none", "required", or the name of the tool that must be called.
        active_tools: The names of the only tools to offer.
        stop_when: One condition or several, asked whenever another step would follow:
            `step_count(n)`, `tool_called(name)` or a function of one's own. By default 20 steps.
        prepare_step: Asked before every step; what it returns changes that step.
        max_output_tokens: The most that the model may write in one step.
        temperature: How freely it chooses its words; models that take none are not given any.
        top_p: The like.
        stop_sequences: Texts that end the answer.
        response_format: The answer must be JSON.
        provider_options: Provider name → parameters of its own API, as its documentation spells
            them, such as `{"anthropic": {"thinking": {"type": "adaptive"}}}`.
        message_metadata: What to put into the message's metadata: an object, sent first, or a
            function of the finished stream, sent last.
        max_retries: How often a request that failed before any word is sent again.
        retry_delay_s: The wait before the second attempt of a step; it doubles with each one.
        chunk_timeout_s: How long the model may be silent; its pings do not count.
        parallel_tools: How many calls of one step run at a time.

    Raises:
        InvalidInput: The model is unknown, a message is not a model message, or a tool is none.
    """
    scope = current_scope()
    if messages is None:
        messages = scope.messages if scope is not None else _missing_messages()
    given = tools if tools is not None else scope.tools if scope is not None else ()
    settings = Settings(
        model=find_model(model),
        system=_instructions(scope, system),
        tool_choice=tool_choice_of(tool_choice),
        active_tools=active_tools,
        max_output_tokens=max_output_tokens,
        temperature=temperature,
        top_p=top_p,
        stop_sequences=stop_sequences,
        response_format=response_format,
        provider_options=provider_options or {},
        max_retries=max_retries,
        chunk_timeout_s=chunk_timeout_s,
    )
    loop = StepLoop(
        settings,
        messages=_checked(messages),
        toolbox=Toolbox.of(_with_skills(given, scope)),
        stop_when=_conditions(stop_when),
        prepare_step=prepare_step,
        scope=scope,
        together=parallel_tools,
        retry_delay_s=retry_delay_s,
    )
    return TextStream(loop, metadata=message_metadata)


def _with_skills(tools: Sequence[Tool], scope: TurnScope | None) -> Sequence[Tool]:
    """Return `tools` and those of the task's skills whose names they leave free."""
    more = scope.skill_tools if scope is not None else ()
    if not more:
        return tools
    taken = {tool.name for tool in tools}
    return (*tools, *(tool for tool in more if tool.name not in taken))


def _instructions(scope: TurnScope | None, system: str | None) -> str | None:
    """Return the task's instructions and the call's own, in this order."""
    texts = (scope.system if scope is not None else None, system)
    return "\n\n".join(text for text in texts if text) or None


def _missing_messages() -> Sequence[ModelMessage]:
    raise InvalidInput("stream_text needs messages=... where there is no current turn")


def _checked(messages: Sequence[ModelMessage]) -> Sequence[ModelMessage]:
    """Return `messages` if they are model messages; UI messages are the usual mistake."""
    for number, message in enumerate(messages):
        if "content" in message and "role" in message:
            continue
        hint = "turn.messages" if "parts" in message else 'objects with "role" and "content"'
        raise InvalidInput(f"message {number} is not a model message: stream_text takes {hint}")
    return messages


def _conditions(stop_when: StopCondition | Sequence[StopCondition] | None) -> list[StopCondition]:
    if stop_when is None:
        return [step_count(MAX_STEPS)]
    return [stop_when] if callable(stop_when) else list(stop_when)
