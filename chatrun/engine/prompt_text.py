"""Prompt templates: text with `{{name}}` and `{{#name}}...{{/name}}`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatrun.ai.tool_schema import json_value
from chatrun.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TAG: Final = re.compile(r"\{\{\s*([#/^]?)\s*([\w.-]+)\s*\}\}")
_NAME: Final = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class _Variable:
    name: str


@dataclass(frozen=True, slots=True)
class _Section:
    """What stands between `{{#name}}` and `{{/name}}`."""

    name: str
    nodes: list[_Node]


_Node = str | _Variable | _Section


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places for values.

    `{{name}}` stands for a value, `{{#name}}...{{/name}}` for what is between if the value is
    there and neither false, 0 nor empty. All else is text, braces included; what a value brings
    along is never read as a template.
    """

    nodes: list[_Node]

    @property
    def names(self) -> frozenset[str]:
        """The names of all values that it has places for."""
        return frozenset(_names(self.nodes))

    def fill(self, values: Mapping[str, object]) -> str:
        """Return the text with `values` in their places.

        Text goes in as it is, None as nothing, all else as JSON.

        Raises:
            KeyError: A value that a `{{name}}` needs is not there.
            TypeError: A value has no form as text.
        """
        return "".join(_filled(self.nodes, values))


def parse_template(text: str) -> Template:
    """Return the template that `text` holds.

    Raises:
        InvalidInput: A section is not closed, or a name cannot be one; the line is named.
    """
    nodes: list[_Node] = []
    open_sections: list[tuple[_Section, int]] = []
    end = 0
    for tag in _TAG.finditer(text):
        line = text.count("\n", 0, tag.start()) + 1
        kind, name = tag[1], tag[2]
        if kind == "^" or not _NAME.fullmatch(name):
            raise InvalidInput(
                f"line {line}: {tag[0]!r} is not one of {{{{name}}}}, {{{{#name}}}} and "
                "{{/name}}; names are letters, digits and underscores"
            )
        inner = open_sections[-1][0].nodes if open_sections else nodes
        inner.append(text[end : tag.start()])
        end = tag.end()
        if kind == "#":
            section = _Section(name, [])
            inner.append(section)
            open_sections.append((section, line))
        elif kind == "/":
            if not open_sections or open_sections[-1][0].name != name:
                raise InvalidInput(f"line {line}: {tag[0]!r} closes no section that is open here")
            open_sections.pop()
        else:
            inner.append(_Variable(name))
    if open_sections:
        section, line = open_sections[-1]
        raise InvalidInput(f"line {line}: the section {section.name!r} is never closed")
    nodes.append(text[end:])
    return Template(nodes)


def _filled(nodes: list[_Node], values: Mapping[str, object]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, _Variable):
            yield _as_text(node.name, values[node.name])
        elif values.get(node.name):
            yield from _filled(node.nodes, values)


def _names(nodes: list[_Node]) -> Iterator[str]:
    for node in nodes:
        if not isinstance(node, str):
            yield node.name
        if isinstance(node, _Section):
            yield from _names(node.nodes)


def _as_text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        plain = json_value(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name!r} is of the type {kind}, which is no text") from None
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
