"""The simplest input of a tool: what the demo model calls it with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def example_of(schema: Mapping[str, Any], *, root: Mapping[str, Any]) -> object:
    """Return the simplest value of a JSON schema: its default, its first choice, or its type's."""
    if "default" in schema:
        return schema["default"]
    for key in ("enum", "examples"):
        if schema.get(key):
            return schema[key][0]
    if "const" in schema:
        return schema["const"]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example_of(root.get("$defs", {}).get(name, {}), root=root)
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        return example_of(branches[0], root=root)
    return _example_of_type(schema, root)


def _example_of_type(schema: Mapping[str, Any], root: Mapping[str, Any]) -> object:
    match schema.get("type", "object" if "properties" in schema else None):
        case "object":
            properties = schema.get("properties", {})
            needed = schema.get("required", ())
            return {name: example_of(properties[name], root=root) for name in needed}
        case "array":
            count = schema.get("minItems", 0)
            return [example_of(schema.get("items", {}), root=root) for _ in range(count)]
        case "integer" | "number":
            return math.ceil(schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1))
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "demo".ljust(schema.get("minLength", 0), "o")
