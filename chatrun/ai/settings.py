"""What one answer is asked for with, what may change between its steps, and when it stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from chatrun.models.base import CHUNK_TIMEOUT_S, ModelRequest, NamedTool

if TYPE_CHECKING:
    from chatrun.ai.step import Step
    from chatrun.ai.toolbox import Toolbox
    from chatrun.messages.types import ModelMessage
    from chatrun.models.base import Model, ResponseFormat, ToolChoice

MAX_STEPS = 20
"""How many steps an answer may take unless said otherwise."""

StopCondition: TypeAlias = "Callable[[Sequence[Step]], bool | Awaitable[bool]]"


def step_count(count: int) -> StopCondition:
    """Stop after `count` steps."""
    return lambda steps: len(steps) >= count


def tool_called(*names: str) -> StopCondition:
    """Stop after a step that called one of these tools; without names, any tool."""

    def stops(steps: Sequence[Step]) -> bool:
        called = {call.tool_name for call in steps[-1].calls}
        return bool(called.intersection(names)) if names else bool(called)

    return stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the model is asked in every step."""

    model: Model
    system: str | None = None
    tool_choice: ToolChoice | None = None
    active_tools: Sequence[str] | None = None
    """The only tools that are offered, by name; None is all of them."""
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: Sequence[str] = ()
    response_format: ResponseFormat | None = None
    provider_options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    max_retries: int = 2
    chunk_timeout_s: float | None = CHUNK_TIMEOUT_S

    def request(
        self, messages: Sequence[ModelMessage], tools: Toolbox, *, id_prefix: str
    ) -> ModelRequest:
        """Return the request of one step."""
        return ModelRequest(
            messages=messages,
            system=self.system,
            tools=tuple(tool.spec for tool in tools.tools.values()),
            tool_choice=self.tool_choice,
            max_output_tokens=self.max_output_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop_sequences=self.stop_sequences,
            response_format=self.response_format,
            provider_options=self.provider_options,
            id_prefix=id_prefix,
            max_retries=self.max_retries,
            chunk_timeout_s=self.chunk_timeout_s,
        )


@dataclass(frozen=True, slots=True)
class NextStep:
    """A step that is about to begin: what `prepare_step` decides on."""

    number: int
    """From 0."""
    steps: Sequence[Step]
    """The steps that are over."""
    messages: Sequence[ModelMessage]
    """The whole conversation that the model would be sent."""
    model: Model


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChanges:
    """What `prepare_step` changes; None leaves a thing as it is.

    `messages` and `system` hold for the steps that follow, too; all else for this step only.
    """

    model: str | Model | None = None
    messages: Sequence[ModelMessage] | None = None
    system: str | None = None
    active_tools: Sequence[str] | None = None
    tool_choice: ToolChoice | str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    provider_options: Mapping[str, Mapping[str, object]] | None = None

    def only_system(self) -> StepChanges:
        """Return the change of the instructions alone."""
        return StepChanges(system=self.system)


PrepareStep: TypeAlias = Callable[[NextStep], StepChanges | None | Awaitable[StepChanges | None]]


def changed(settings: Settings, changes: StepChanges, *, model: Model) -> Settings:
    """Return the settings of a step with what `changes` says; `model` is the one it comes to."""
    options = {
        name: value
        for name in (
            "system",
            "active_tools",
            "max_output_tokens",
            "temperature",
            "provider_options",
        )
        if (value := getattr(changes, name)) is not None
    }
    if changes.tool_choice is not None:
        options["tool_choice"] = tool_choice_of(changes.tool_choice)
    return replace(settings, model=model, **options)


def tool_choice_of(choice: ToolChoice | str | None) -> ToolChoice | None:
    """Return a tool choice; a word that is none of "auto", "none" and "required" names a tool."""
    match choice:
        case None | NamedTool() | "auto" | "none" | "required":
            return choice
        case name:
            return NamedTool(name)
