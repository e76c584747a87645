"""What the converters of all providers share: the end of a call, and the counting of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from chatrun.models.base import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.wire.chunks import Chunk


def call_end(common: Mapping[str, Any], text: str, given: object = None) -> Chunk:
    """Return a tool call with its whole input, or with the reason that it has none.

    `text` is the input as JSON; where it is empty, the input is `given`, else an empty object.
    """
    try:
        value = orjson.loads(text) if text.strip() else (given or {})
    except orjson.JSONDecodeError as exc:
        problem = f"Invalid input for tool {common['toolName']}: it is not JSON ({exc})."
        error = {"type": "tool-input-error", **common, "input": text, "errorText": problem}
        return cast("Chunk", error)
    return cast("Chunk", {"type": "tool-input-available", **common, "input": value})


def counted(
    *,
    all_input: int | None,
    read: int | None,
    written: int | None,
    output: int | None,
    thought: int | None,
) -> Usage:
    """Return the usage of a provider that counts cached input and reasoning in."""
    fresh = None if all_input is None else max(all_input - (read or 0) - (written or 0), 0)
    text = None if output is None or thought is None else max(output - thought, 0)
    return Usage(
        input_tokens=all_input,
        no_cache_tokens=fresh,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        text_tokens=text,
        reasoning_tokens=thought,
    )
