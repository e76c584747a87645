"""The JSON schema of a function's parameters, and the way from JSON to arguments and back."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from chatrun.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

_SECTION: Final = re.compile(
    r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?):\s*$", re.MULTILINE
)
_ENTRY: Final = re.compile(r"^(\s+)\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Signature:
    """What a tool takes: the schema, and how to make arguments of an input that fits it."""

    schema: Mapping[str, object]
    description: str | None = None
    model: type[BaseModel] | None = None
    """The pydantic model of the parameters; None when only a schema is known."""
    context_parameter: str | None = None
    """The parameter that gets the call itself."""

    @classmethod
    def of_schema(cls, schema: Mapping[str, object]) -> Signature:
        """Return the signature of a function that takes its input as one dict."""
        return cls(schema)

    def check(self, value: object) -> str | None:
        """Return what is wrong with an input, in words for the model; None when it fits."""
        if not isinstance(value, dict):
            return "the input must be a JSON object"
        if self.model is None:
            return None
        from pydantic import ValidationError

        try:
            self.model.model_validate(value)
        except ValidationError as exc:
            return "; ".join(_problem(error) for error in exc.errors(include_url=False))
        return None

    def arguments(self, value: Mapping[str, object], context: object) -> dict[str, Any]:
        """Return the arguments that an input which fits stands for."""
        if self.model is None:
            return dict(value)
        parsed = self.model.model_validate(value)
        arguments = {name: getattr(parsed, name) for name in type(parsed).model_fields}
        if self.context_parameter is not None:
            arguments[self.context_parameter] = context
        return arguments


def make_signature(
    function: Callable[..., Any], *, context_type: type, tool_name: str
) -> Signature:
    """Return what `function` takes, from its annotations and docstring.

    Raises:
        InvalidInput: A parameter has no type, a type that has no JSON schema, or no name to be
            given by.
    """
    hints = _hints(function, tool_name)
    text, notes = read_docstring(inspect.getdoc(function) or "")
    fields: dict[str, Any] = {}
    context: str | None = None
    for name, parameter in inspect.signature(function).parameters.items():
        if hints.get(name) is context_type:
            context = name
            continue
        fields[name] = _field(parameter, hints, notes.get(name), tool_name)
    model = _model(tool_name, fields)
    return Signature(_schema(model, tool_name), text or None, model, context)


def json_value(output: object) -> object:
    """Return what a tool gave as a JSON value; models, dataclasses and dates become plain.

    Raises:
        TypeError: There is something in it that JSON has no form for.
    """
    if output is None or isinstance(output, str | bool | int):
        return output
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        plain: object = to_jsonable_python(output, inf_nan_mode="null")
    except PydanticSerializationError as exc:
        raise TypeError(f"a tool's output must be JSON: {exc}") from None
    return plain


def read_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Return the description in a docstring, and what its `Args` say of each parameter."""
    first = _SECTION.search(doc)
    text = doc[: first.start()] if first else doc
    notes: dict[str, str] = {}
    for section in _SECTION.finditer(doc):
        if section[1] in ("Args", "Arguments", "Parameters"):
            following = _SECTION.search(doc, section.end())
            body = doc[section.end() : following.start() if following else len(doc)]
            notes |= _entries(body)
    return text.strip(), notes


def _entries(body: str) -> dict[str, str]:
    """Return the entries of an `Args` section: `name: text`, further lines indented deeper."""
    entries: dict[str, str] = {}
    indent, name = None, None
    for line in body.splitlines():
        entry = _ENTRY.match(line)
        if entry and (indent is None or len(entry[1]) <= indent):
            indent, name = len(entry[1]), entry[2]
            entries[name] = entry[3].strip()
        elif name is not None and line.strip():
            entries[name] = f"{entries[name]} {line.strip()}".strip()
    return entries


def _hints(function: Callable[..., Any], tool_name: str) -> dict[str, Any]:
    # What it returns does not matter, and may well be imported for type checkers only.
    plain = inspect.unwrap(function)
    annotations = dict(getattr(plain, "__annotations__", {}))
    annotations.pop("return", None)
    scope = getattr(plain, "__globals__", {})
    holder = SimpleNamespace(__annotations__=annotations)
    try:
        return get_type_hints(holder, globalns=scope, include_extras=True)
    except NameError as exc:
        raise InvalidInput(
            f"the tool {tool_name!r} has a type that cannot be found: {exc}; types of its "
            "parameters must be importable from its module when it runs"
        ) from exc


def _field(
    parameter: inspect.Parameter, hints: Mapping[str, Any], note: str | None, tool_name: str
) -> tuple[Any, Any]:
    from pydantic import Field

    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise InvalidInput(f"the tool {tool_name!r} cannot take *{parameter.name}")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise InvalidInput(f"the tool {tool_name!r} cannot take {parameter.name!r} by place only")
    if parameter.name not in hints:
        raise InvalidInput(
            f"the parameter {parameter.name!r} of the tool {tool_name!r} needs a type"
        )
    default = ... if parameter.default is parameter.empty else parameter.default
    return hints[parameter.name], Field(default, description=note) if note else default


def _model(tool_name: str, fields: dict[str, Any]) -> type[BaseModel]:
    from pydantic import ConfigDict, create_model
    from pydantic.errors import PydanticUserError

    config = ConfigDict(arbitrary_types_allowed=False, protected_namespaces=())
    try:
        return create_model(tool_name, __config__=config, **fields)
    except (PydanticUserError, NameError, TypeError) as exc:
        raise InvalidInput(f"the tool {tool_name!r} cannot be described: {exc}") from exc


def _schema(model: type[BaseModel], tool_name: str) -> dict[str, object]:
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        schema = model.model_json_schema()
    except PydanticInvalidForJsonSchema as exc:
        raise InvalidInput(f"the tool {tool_name!r} cannot be described: {exc}") from exc
    return {**_untitled(schema), "additionalProperties": False}


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without the titles that pydantic makes of names: tokens that say nothing."""
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            result[key] = {name: _untitled(inner) for name, inner in value.items()}
        elif key in ("anyOf", "allOf", "oneOf", "prefixItems"):
            result[key] = [_untitled(inner) for inner in value]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            result[key] = _untitled(value)
        elif key != "title":
            result[key] = value
    return result


def _problem(error: Mapping[str, Any]) -> str:
    where = ".".join(str(place) for place in error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"])
