"""The value of JSON text that is still arriving, as every AI SDK page shows it.

`fix_json` takes the same decisions as `fix-json.ts` of the npm package `ai`, so that the server
and the page never disagree about half a tool input. It was written for this project after that
file, which is Copyright 2023 Vercel, Inc. and licensed under the Apache License, Version 2.0: you
may obtain a copy at http://www.apache.org/licenses/LICENSE-2.0. Unless required by applicable law
or agreed to in writing, software distributed under that License is distributed on an "AS IS"
BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, NoReturn

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatrun.wire.chunks import Profile

_LITERALS: Final = ("true", "false", "null")
_CLOSING: Final = {
    "string": '"',
    **dict.fromkeys(("object", "key", "after key", "before value", "member", "after comma"), "}"),
    **dict.fromkeys(("array", "item", "after item"), "]"),
}
_VALUE_STARTS: Final = {
    '"': "string",
    "{": "object",
    "[": "array",
    **dict.fromkeys("ftn", "literal"),
    **dict.fromkeys("-0123456789", "number"),
}
_STRING_RUN: Final = re.compile(r'[^"\\]+')
_KEY_RUN: Final = re.compile(r'[^"]+')
_HEX: Final = frozenset("0123456789abcdefABCDEF")
# What orjson refuses and JavaScript reads: half a surrogate pair, numbers that overflow.
_BEYOND_ORJSON: Final = re.compile(r"\\u[dD][89a-fA-F]|[eE]\+?\d{3}|\d{309}")


class PartialJson(NamedTuple):
    """What could be read of the text."""

    value: object
    """The value, or `None` when nothing could be read."""
    state: Literal["successful-parse", "repaired-parse", "failed-parse"]


def parse_partial_json(text: str, *, profile: Profile = "v6") -> PartialJson:
    """Return the value of `text`, repaired where it stops too early.

    Always a value that can be written as JSON again: half a surrogate pair becomes U+FFFD, a
    number beyond 64 bits a float or, beyond those, null. Objects with a key that would reach a
    JavaScript prototype fail, as they do on the page.
    """
    try:
        return PartialJson(_parse(text), "successful-parse")
    except ValueError:
        pass
    try:
        return PartialJson(_parse(fix_json(text, profile=profile)), "repaired-parse")
    except ValueError:
        return PartialJson(None, "failed-parse")


def fix_json(text: str, *, profile: Profile = "v6") -> str:
    """Return `text` cut behind its last usable character, with all that is open closed.

    One pass. Text that is not the beginning of JSON comes back as something no parser accepts.
    """
    scan = _Scan(text, keep_any_first_item=profile == "v6")
    handlers = scan.handlers()
    at = 0
    while at < len(text):
        handler = handlers.get(scan.stack[-1])
        at = handler(at) if handler else len(text)
    return scan.closed()


class _Scan:
    """The open containers and values of a text that is read from left to right.

    Each handler takes the index of a character met in its state, and returns the next index.
    """

    __slots__ = ("digits", "keep_any_first_item", "literal_at", "stack", "text", "usable")

    def __init__(self, text: str, *, keep_any_first_item: bool) -> None:
        self.text = text
        self.stack = ["root"]
        self.usable = 0
        """How much of the text can stand in the result."""
        self.literal_at = 0
        self.digits = 0
        self.keep_any_first_item = keep_any_first_item
        """AI SDK 6 keeps whatever follows a `[`, even where that cannot be parsed then."""

    def handlers(self) -> Mapping[str, Callable[[int], int]]:
        """Return the handler of each state; in any other one nothing more can follow."""
        return {
            "root": lambda at: self._value(at, "done"),
            "object": self._object,
            "key": self._key,
            "after key": lambda at: self._expect(at, ":", "before value"),
            "before value": lambda at: self._value(at, "member"),
            "member": self._after_value,
            "after comma": lambda at: self._expect(at, '"', "key"),
            "array": self._array,
            "item": self._item,
            "after item": lambda at: self._value(at, "item"),
            "string": self._string,
            "escape": self._escape,
            "unicode escape": self._unicode_escape,
            "number": self._number,
            "literal": self._literal,
        }

    def closed(self) -> str:
        """Return the usable text with what is open closed, innermost first."""
        tail = ""
        if self.stack[-1] == "literal":
            begun = self.text[self.literal_at :]
            tail = next(word for word in _LITERALS if word.startswith(begun))[len(begun) :]
        closing = "".join(_CLOSING.get(state, "") for state in reversed(self.stack))
        return self.text[: self.usable] + tail + closing

    def _value(self, at: int, then: str) -> int:
        """Begin a value, if one begins here; once it ends the state is `then`."""
        char = self.text[at]
        started = _VALUE_STARTS.get(char)
        if started is None:
            return at + 1
        if char != "-":
            self.usable = at + 1
        self.literal_at = at
        self.stack[-1] = then
        self.stack.append(started)
        return at + 1

    def _expect(self, at: int, char: str, then: str) -> int:
        if self.text[at] == char:
            self.stack[-1] = then
        return at + 1

    def _close(self, at: int) -> int:
        self.usable = at + 1
        self.stack.pop()
        return at + 1

    def _object(self, at: int) -> int:
        return self._close(at) if self.text[at] == "}" else self._expect(at, '"', "key")

    def _key(self, at: int) -> int:
        run = _KEY_RUN.match(self.text, at)
        return run.end() if run else self._expect(at, '"', "after key")

    def _array(self, at: int) -> int:
        if self.text[at] == "]":
            return self._close(at)
        if self.keep_any_first_item:
            self.usable = at + 1
        return self._value(at, "item")

    def _item(self, at: int) -> int:
        if self.text[at] not in ",]":
            self.usable = at + 1
        return self._after_value(at)

    def _after_value(self, at: int) -> int:
        """Take a comma or the closing of the container around a finished value."""
        comma, closing = {
            "member": ("after comma", "}"),
            "item": ("after item", "]"),
        }.get(self.stack[-1], ("", ""))
        char = self.text[at]
        if char == closing:
            return self._close(at)
        return self._expect(at, ",", comma) if comma else at + 1

    def _string(self, at: int) -> int:
        run = _STRING_RUN.match(self.text, at)
        if run:
            self.usable = run.end()
            return run.end()
        if self.text[at] == '"':
            return self._close(at)
        self.stack.append("escape")
        return at + 1

    def _escape(self, at: int) -> int:
        if self.text[at] != "u":
            return self._close(at)
        self.digits = 0
        self.stack[-1] = "unicode escape"
        return at + 1

    def _unicode_escape(self, at: int) -> int:
        if self.text[at] not in _HEX:
            return at + 1
        self.digits += 1
        return self._close(at) if self.digits == 4 else at + 1

    def _number(self, at: int) -> int:
        char = self.text[at]
        if char in "0123456789":
            self.usable = at + 1
        elif char not in "eE-.":
            self.stack.pop()
            if char in ",}]":
                return self._after_value(at)
        return at + 1

    def _literal(self, at: int) -> int:
        begun = self.text[self.literal_at : at + 1]
        if any(word.startswith(begun) for word in _LITERALS):
            self.usable = at + 1
            return at + 1
        self.stack.pop()
        return self._after_value(at)


def _parse(text: str) -> object:
    """Return the value of a whole JSON text. Raises `ValueError` when it is not one."""
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        if not _BEYOND_ORJSON.search(text):
            raise
        value = _parse_slowly(text)
    if '"__proto__"' in text or '"constructor"' in text or "\\u" in text:
        _refuse_prototypes(value)
    return value


def _parse_slowly(text: str) -> object:
    try:
        return _well_formed(_DECODER.decode(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(literal: str) -> float | None:
    value = float(literal)
    return value if math.isfinite(value) else None


def _integer(literal: str) -> float | int | None:
    return int(literal) if len(literal) < 19 else _finite(literal)


def _refuse_constant(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not JSON")


_DECODER: Final = json.JSONDecoder(
    parse_float=_finite, parse_int=_integer, parse_constant=_refuse_constant
)


def _well_formed(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_well_formed(item) for item in value]
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(item) for key, item in value.items()}
    return value


def _refuse_prototypes(value: object) -> None:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += found
        elif isinstance(found, dict):
            constructor = found.get("constructor")
            if "__proto__" in found or (
                isinstance(constructor, dict) and "prototype" in constructor
            ):
                raise ValueError("a key reaches a JavaScript prototype")
            waiting += found.values()
