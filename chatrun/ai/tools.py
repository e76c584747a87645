"""Tools: typed functions that a model may call.

    @tool
    async def weather(city: str) -> str:
        \"\"\"Tell the weather in `city`.\"\"\"

The name, the description and the JSON schema of the input come from the function. An
`async def` runs in the event loop, a `def` in a thread; what a generator yields are preliminary
outputs, the last one is the result.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property, partial
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Required,
    TypeAlias,
    TypedDict,
    TypeVar,
    cast,
    overload,
)

from chatrun.ai.tool_schema import Signature, json_value, make_signature
from chatrun.errors import InvalidInput
from chatrun.messages.types import ToolState, is_tool_part, tool_name
from chatrun.models.base import ToolSpec
from chatrun.models.threads import ThreadedIterator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from chatrun.messages.types import ModelMessage, ToolResultOutput, UIMessage
    from chatrun.models.base import Runs


Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool. A tool's function gets it through a parameter of this type."""

    tool_call_id: str
    """The model's id of the call; unlike any other in the session."""
    tool_name: str
    input: Mapping[str, object]
    """The input as JSON."""
    messages: Sequence[ModelMessage] = ()
    """The conversation up to the message that holds the call."""


NeedsApproval: TypeAlias = bool | Callable[[ToolCall], bool | Awaitable[bool]]
ToModelOutput: TypeAlias = Callable[[Any], "ToolResultOutput | str"]


class Tool:
    """A tool. Make one with `@tool`, or from a JSON schema with `Tool.from_schema`.

    Calling it calls its function.
    """

    def __init__(
        self,
        function: Callable[..., Any] | None,
        *,
        name: str,
        description: str | None = None,
        needs_approval: NeedsApproval = False,
        client: bool = False,
        strict: bool | None = None,
        to_model_output: ToModelOutput | None = None,
        provider_options: Mapping[str, Mapping[str, object]] | None = None,
        input_schema: Mapping[str, object] | None = None,
        native: Mapping[str, object] | None = None,
    ) -> None:
        self.name = name
        self.client = client or function is None
        """Whether the client answers it; it is never run here."""
        self.needs_approval = needs_approval
        self.native = native
        self._function = function
        self._description = description
        self._strict = strict
        self._to_model_output = to_model_output
        self._provider_options = provider_options or {}
        self._given_schema = input_schema

    @classmethod
    def from_schema(
        cls,
        name: str,
        input_schema: Mapping[str, object],
        function: Callable[[dict[str, Any]], Any] | None = None,
        **options: Any,
    ) -> Tool:
        """Return a tool with a JSON schema of one's own; `function` gets the input as a dict.

        The input is checked to be an object and no further. Options are those of `@tool`.
        """
        return cls(function, name=name, input_schema=input_schema, **options)

    @classmethod
    def native_of(cls, definition: Mapping[str, object]) -> Tool:
        """Return a tool that the provider runs itself, such as its web search.

        `definition` is sent as it stands: `{"type": "web_search_20260318", "name": "web_search"}`.
        """
        name = str(definition.get("name") or definition.get("type"))
        return cls(None, name=name, native=definition)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the tool's function."""
        if self._function is None:
            raise InvalidInput(f"the tool {self.name!r} has no function that could be called here")
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Tool {self.name!r}>"

    @cached_property
    def signature(self) -> Signature:
        """What the tool takes."""
        if self._given_schema is not None or self._function is None:
            return Signature.of_schema(self._given_schema or {"type": "object"})
        return make_signature(self._function, context_type=ToolCall, tool_name=self.name)

    @property
    def streams(self) -> bool:
        """Whether what it yields before its result is shown."""
        function = self._function
        return inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)

    @cached_property
    def spec(self) -> ToolSpec:
        """The tool as a model is told of it."""
        return ToolSpec(
            name=self.name,
            description=self._description or self.signature.description,
            input_schema=self.signature.schema,
            strict=self._strict,
            native=self.native,
            runs=self._runs(),
            provider_options=self._provider_options,
        )

    def _runs(self) -> Runs:
        if self.client:
            return "in-client"
        return "here" if self.needs_approval is False else "after-approval"

    def check(self, value: object) -> str | None:
        """Return what is wrong with an input, in words for the model; None when it fits."""
        return self.signature.check(value)

    async def wants_approval(self, call: ToolCall) -> bool:
        """Tell whether the user must allow this call first."""
        if isinstance(self.needs_approval, bool):
            return self.needs_approval
        answer = self.needs_approval(call)
        return bool(await answer if inspect.isawaitable(answer) else answer)

    async def run(self, call: ToolCall) -> AsyncGenerator[object]:
        """Run the tool; yield its outputs as JSON values, the last of which is the result.

        Raises:
            Exception: Whatever the function raises.
        """
        assert self._function is not None, "a tool without a function is the client's to run"
        arguments = self.signature.arguments(call.input, call)
        if self._given_schema is not None:
            made = partial(self._function, arguments)
        else:
            made = partial(self._function, **arguments)
        async with aclosing(_outputs(made)) as outputs:
            async for output in outputs:
                yield json_value(output)

    def model_output(self, output: Any, *, input: object, tool_call_id: str) -> ToolResultOutput:
        """Return what the model is shown of an output: text for a string, JSON for all else."""
        shown = output if self._to_model_output is None else self._to_model_output(output)
        if isinstance(shown, str):
            return {"type": "text", "value": shown}
        if self._to_model_output is None:
            return {"type": "json", "value": shown}
        return cast("ToolResultOutput", shown)


async def _outputs(call: partial[Any]) -> AsyncGenerator[object]:
    """Make `call` in whichever way its function wants to be called; yield what comes of it."""
    function = call.func
    if inspect.isgeneratorfunction(function):
        async with ThreadedIterator(call()) as items:
            async for item in items:
                yield item
        return
    in_loop = inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function)
    result = call() if in_loop else await asyncio.to_thread(call)
    if inspect.isawaitable(result):
        result = await result
    if not inspect.isasyncgen(result):
        yield result
        return
    async with aclosing(result) as generated:
        async for item in generated:
            yield item


class ToolPart(TypedDict, Generic[Out], total=False):
    """A call of one tool as a message holds it, its output in the tool's own type."""

    type: Required[str]
    toolCallId: Required[str]
    state: Required[ToolState]
    input: Any
    output: Out
    """There in the state `output-available` only."""
    errorText: str
    preliminary: bool


class TypedTool(Tool, Generic[Out]):
    """A tool that was made from a function, and so knows what it gives."""

    def parts_of(self, message: UIMessage) -> list[ToolPart[Out]]:
        """Return the calls of this tool that `message` holds, in order."""
        return [
            cast("ToolPart[Out]", part)
            for part in message["parts"]
            if is_tool_part(part) and tool_name(part) == self.name
        ]


# What awaits or iterates is also a plain value, so the order of these tells them apart.
@overload
def tool(function: Callable[..., AsyncIterator[Out]], /) -> TypedTool[Out]: ...


@overload
def tool(function: Callable[..., Awaitable[Out]], /) -> TypedTool[Out]: ...


@overload
def tool(function: Callable[..., Out], /) -> TypedTool[Out]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    needs_approval: NeedsApproval = False,
    client: bool = False,
    strict: bool | None = None,
    to_model_output: ToModelOutput | None = None,
    provider_options: Mapping[str, Mapping[str, object]] | None = None,
) -> Callable[[Callable[..., Any]], TypedTool[Any]]: ...


def tool(
    function: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any
) -> TypedTool[Any] | Callable[[Callable[..., Any]], TypedTool[Any]]:
    """Make a function a tool; used bare or with options.

    Args:
        function: The function; its parameters are what the model gives. A parameter of the type
            `ToolCall` gets the call itself instead.
        name: The tool's name; the function's by default.
        description: What the model is told; by default the docstring up to its `Args`.
        needs_approval: Whether the user must allow each call: True, or a function that is asked
            for each one.
        client: The client answers the call; the function only describes it and is never run.
        strict: Whether the provider must keep the input to the schema.
        to_model_output: What the model is shown of an output, as text or as a tool result's
            output; by default the output itself.
        provider_options: Provider name → options of its own, such as a cache breakpoint.
        options: The options above from `description` on.
    """
    if function is None:
        return lambda decorated: _make(decorated, name, options)
    return _make(function, name, options)


def _make(
    function: Callable[..., Any], name: str | None, options: dict[str, Any]
) -> TypedTool[Any]:
    return TypedTool(function, name=name or function.__name__, **options)
