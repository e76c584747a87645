"""JSON from outside, read strictly: what this lets through, every store and client can hold.

The standard library accepts much that breaks something later: NaN, `1e999`, lone surrogates,
keys given twice, UTF-16, nesting without bound. Here all of these are refused at the edge.
"""

from __future__ import annotations

import json

import orjson

from chatrun.errors import InvalidInput

MAX_DEPTH = 64
"""How deeply arrays and objects may be nested."""

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_INT_LENGTH = len(str(_INT_MIN))


def parse_json(raw: bytes | str, *, what: str) -> object:
    """Return the value that `raw` holds; `what` names it in the error, as in "the request body".

    Objects come back as dicts, arrays as lists.

    Raises:
        InvalidInput: It is not JSON in UTF-8, is nested more than 64 deep, names a key twice, or
            holds a lone surrogate, NaN, Infinity or a number that does not fit.
    """
    try:
        text = raw.encode() if isinstance(raw, str) else raw
        value: object = orjson.loads(text)
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} holds a lone surrogate, which is not text") from None
    except orjson.JSONDecodeError as exc:
        raise InvalidInput(f"{what} is not valid JSON: {exc}") from None
    _check_depth(value, what)
    # orjson keeps the last of two equal keys and rounds whole numbers beyond 64 bits. Text that
    # it writes back unchanged held neither, which is so for what JavaScript clients send.
    return value if orjson.dumps(value) == text else _read_carefully(text, what)


def parse_json_object(raw: bytes | str, *, what: str) -> dict[str, object]:
    """Return the JSON object that `raw` holds.

    Raises:
        InvalidInput: As `parse_json` does, or it is another kind of value.
    """
    value = parse_json(raw, what=what)
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} must be a JSON object")
    return value


def _check_depth(value: object, what: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        nested = [item for item in level if isinstance(item, dict | list)]
        if not nested:
            return
        level = [child for item in nested for child in _children(item)]
    raise InvalidInput(f"{what} is nested more than {MAX_DEPTH} levels deep")


def _children(item: dict[str, object] | list[object]) -> list[object]:
    return list(item.values()) if isinstance(item, dict) else item


def _read_carefully(text: bytes, what: str) -> object:
    """Read `text`, which orjson has accepted, refusing the two things that it overlooks."""

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) != len(items):
            raise InvalidInput(f"{what} names a key twice in one object")
        return found

    def integer(literal: str) -> int:
        # Length first: turning a very long literal into an int is itself slow.
        if len(literal) > _INT_LENGTH or not _INT_MIN <= int(literal) <= _INT_MAX:
            raise InvalidInput(f"{what} holds a whole number beyond 64 bits")
        return int(literal)

    value: object = json.loads(text.decode(), object_pairs_hook=pairs, parse_int=integer)
    return value
