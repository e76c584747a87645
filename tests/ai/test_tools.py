"""Tools: what the model is told of a function, and how its calls become arguments."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import threading
from collections.abc import Callable  # noqa: TC003 - read at run time
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from chatrun.ai.tools import Tool, ToolCall, tool
from chatrun.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Place(BaseModel):
    """Somewhere."""

    city: str
    country: str = "FR"


async def outputs(subject: Tool, **given: Any) -> list[Any]:
    call = ToolCall("c1", subject.name, given)
    async with aclosing(subject.run(call)) as found:
        return [output async for output in found]


@tool
async def weather(city: str, unit: Literal["C", "F"] = "C", days: int | None = None) -> str:
    """Tell the weather.

    It may be wrong.

    Args:
        city: The city's name,
            in English.
        unit (str): The unit.

    Returns:
        The weather.
    """
    return f"{city}: 20 {unit}, {days}"


def test_a_function_describes_itself() -> None:
    spec = weather.spec

    assert (spec.name, spec.description, spec.runs) == (
        "weather",
        "Tell the weather.\n\nIt may be wrong.",
        "here",
    )
    assert spec.input_schema == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city's name, in English."},
            "unit": {
                "type": "string",
                "enum": ["C", "F"],
                "default": "C",
                "description": "The unit.",
            },
            "days": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_models_and_annotations_of_parameters_are_part_of_the_schema() -> None:
    @tool
    def visit(places: list[Place], title: Annotated[str, Field(max_length=5)]) -> None: ...

    assert visit.spec.input_schema == {
        "type": "object",
        "properties": {
            "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
            "title": {"type": "string", "maxLength": 5},
        },
        "required": ["places", "title"],
        "additionalProperties": False,
        "$defs": {
            "Place": {
                "type": "object",
                "description": "Somewhere.",
                "properties": {
                    "city": {"type": "string"},
                    "country": {"type": "string", "default": "FR"},
                },
                "required": ["city"],
            }
        },
    }


def test_options_say_what_the_function_does_not() -> None:
    @tool(
        name="remove",
        description="Removes it.",
        needs_approval=True,
        strict=True,
        provider_options={"anthropic": {"cacheControl": {"type": "ephemeral"}}},
    )
    def delete() -> None: ...

    spec = delete.spec
    assert (spec.name, spec.description, spec.strict, spec.runs) == (
        *("remove", "Removes it.", True),
        "after-approval",
    )
    assert spec.provider_options == {"anthropic": {"cacheControl": {"type": "ephemeral"}}}


def test_a_client_tool_is_only_described() -> None:
    @tool(client=True)
    def ask(question: str) -> None: ...

    assert ask.client
    assert ask.spec.runs == "in-client"
    assert ask.spec.input_schema["required"] == ["question"]


def test_a_tool_is_still_its_function() -> None:
    assert asyncio.run(weather("Paris", days=2)) == "Paris: 20 C, 2"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"city": "Paris"}, None),
        ({"city": "Paris", "extra": 1}, None),
        ({"city": "Paris", "days": "3"}, None),
        ({}, "city: Field required"),
        ({"city": "P", "unit": "K"}, "unit: Input should be 'C' or 'F'"),
        (
            {"city": 1, "days": "x"},
            "city: Input should be a valid string; days: Input should be a valid integer, unable "
            "to parse string as an integer",
        ),
        ("Paris", "the input must be a JSON object"),
        (None, "the input must be a JSON object"),
    ],
)
def test_what_is_wrong_with_an_input_is_said_in_words(given: object, problem: str | None) -> None:
    assert weather.check(given) == problem


async def test_arguments_have_their_types() -> None:
    seen: list[Any] = []

    @tool
    async def note(place: Place, at: dt.date, call: ToolCall, tags: set[str] | None = None) -> None:
        seen.extend((place, at, call.tool_call_id, call.input["at"], tags))

    given = {"place": {"city": "Paris"}, "at": "2026-01-02", "tags": ["a"]}
    assert note.check(given) is None
    assert await outputs(note, **given) == [None]
    assert seen == [Place(city="Paris"), dt.date(2026, 1, 2), "c1", "2026-01-02", {"a"}]
    assert "call" not in note.spec.input_schema["properties"]  # type: ignore[operator]


async def test_a_plain_function_runs_in_a_thread_and_in_the_callers_context() -> None:
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("seen")
    loop_thread = threading.get_ident()

    @tool
    def plain() -> list[Any]:
        return [variable.get(), threading.get_ident() != loop_thread]

    assert await outputs(plain) == [["seen", True]]


async def test_generators_give_one_output_after_the_other() -> None:
    @tool
    async def steps() -> AsyncIterator[int]:
        yield 1
        yield 2

    @tool
    def plain_steps() -> Iterator[int]:
        yield 1
        yield 2

    @tool
    async def nothing() -> AsyncIterator[int]:
        return
        yield 1

    for subject in (steps, plain_steps):
        assert await outputs(subject) == [1, 2]
        assert subject.streams
    assert await outputs(nothing) == []
    assert not weather.streams


@dataclasses.dataclass
class Reading:
    """A value with a date."""

    at: dt.datetime
    value: float


async def test_outputs_become_json() -> None:
    @tool
    async def read() -> list[Any]:
        at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
        return [
            Place(city="P"),
            Reading(at, float("nan")),
            {
                1,
            },
            b"x",
            None,
        ]

    assert await outputs(read) == [
        [
            {"city": "P", "country": "FR"},
            {"at": "2026-01-02T00:00:00Z", "value": None},
            [1],
            "x",
            None,
        ]
    ]


async def test_an_output_that_is_no_json_is_an_error() -> None:
    @tool
    async def lock() -> object:
        return threading.Lock()

    with pytest.raises(TypeError, match="a tool's output must be JSON"):
        await outputs(lock)


async def test_closing_a_run_closes_the_generator() -> None:
    closed = asyncio.Event()

    @tool
    async def steps() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.set()

    async with aclosing(steps.run(ToolCall("c1", "steps", {}))) as run:
        assert await anext(run) == 1

    assert closed.is_set()


def test_what_the_model_is_shown_can_be_chosen() -> None:
    @tool(to_model_output=lambda output: f"{len(output)} rows")
    def rows() -> None: ...

    @tool(to_model_output=lambda output: {"type": "content", "value": output})
    def parts() -> None: ...

    shown = [
        subject.model_output(output, input={}, tool_call_id="c1")
        for subject, output in ((weather, "sun"), (weather, [1]), (rows, [1, 2]), (parts, []))
    ]

    assert shown == [
        {"type": "text", "value": "sun"},
        {"type": "json", "value": [1]},
        {"type": "text", "value": "2 rows"},
        {"type": "content", "value": []},
    ]


async def test_approval_may_depend_on_the_call() -> None:
    async def is_costly(call: ToolCall) -> bool:
        return call.input["amount"] > 10  # type: ignore[operator]

    @tool(needs_approval=is_costly)
    def pay(amount: int) -> None: ...

    @tool(needs_approval=lambda call: False)
    def free() -> None: ...

    asked = [
        await subject.wants_approval(ToolCall("c1", subject.name, given))
        for subject, given in ((pay, {"amount": 11}), (pay, {"amount": 9}), (free, {}))
    ]

    assert asked == [True, False, False]
    assert pay.spec.runs == "after-approval"


async def test_a_tool_may_have_a_schema_of_its_own() -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}

    async def search(given: dict[str, Any]) -> str:
        return f"found {given['q']}"

    found = Tool.from_schema("search", schema, search, description="Searches.")

    assert (found.spec.input_schema, found.spec.description) == (schema, "Searches.")
    assert found.check({"q": 7}) is None
    assert found.check([]) == "the input must be a JSON object"
    assert await outputs(found, q="x") == ["found x"]
    assert Tool.from_schema("ask", schema).client


def test_a_tool_of_the_providers_own_is_passed_on() -> None:
    definition = {"type": "web_search_20260318", "name": "web_search"}

    spec = Tool.native_of(definition).spec

    assert (spec.name, spec.native) == ("web_search", definition)
    with pytest.raises(InvalidInput, match="has no function"):
        Tool.native_of(definition)()


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda city: None, "the parameter 'city' of the tool 't' needs a type"),
        (lambda *args: None, r"cannot take \*args"),
        (lambda **options: None, r"cannot take \*options"),
        (lambda x, /: None, "cannot take 'x' by place only"),
    ],
)
def test_a_function_that_cannot_be_described_is_refused(function: Any, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        _ = tool(name="t")(function).spec


def test_a_type_that_pydantic_checks_but_cannot_describe_is_refused() -> None:
    def run(x: Callable[[], None]) -> None: ...

    with pytest.raises(InvalidInput, match="the tool 't' cannot be described"):
        _ = tool(name="t")(run).spec


def test_a_tool_is_shown_by_its_name() -> None:
    assert repr(weather) == "<Tool 'weather'>"


def test_types_without_a_schema_are_refused() -> None:
    def lock(x: threading.Event) -> None: ...

    def hidden(x: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function in (lock, hidden):
        with pytest.raises(InvalidInput, match="the tool 't'"):
            _ = tool(name="t")(function).spec
