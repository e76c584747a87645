"""The parts of a message that is being built from chunks."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Part: TypeAlias = dict[str, object]
"""A UI part while it is being changed."""

ABSENT: Final = object()
"""Stands for a value that is not there: null is a value."""


class Parts:
    """All parts of a message, and where its current step begins."""

    __slots__ = ("items", "step_at")

    def __init__(self, parts: Iterable[Mapping[str, object]] = ()) -> None:
        """Begin with copies of `parts`."""
        self.items: list[Part] = []
        self.step_at = 0
        self.restart(parts)

    def restart(self, parts: Iterable[Mapping[str, object]]) -> None:
        """Have copies of `parts` instead of what was here."""
        self.items = [dict(part) for part in parts]
        borders = (at for at, part in enumerate(self.items) if part["type"] == "step-start")
        self.step_at = 1 + max(borders, default=-1)

    def push(self, part: Part) -> bool:
        """Add a part at the end. Returns true: a page draws it."""
        self.items.append(part)
        return True

    def start_step(self) -> None:
        """Begin a step: parts before this moment are no longer in the current one."""
        self.items.append({"type": "step-start"})
        self.step_at = len(self.items)

    def drop_step(self) -> bool:
        """Remove the parts of the current step. Returns whether there were any."""
        had_some = len(self.items) > self.step_at
        del self.items[self.step_at :]
        return had_some

    def step(self) -> Iterator[Part]:
        """Yield the parts of the current step, oldest first."""
        return islice(self.items, self.step_at, None)


def put(part: Part, key: str, value: object) -> None:
    """Set a key, or remove it when the value is `ABSENT`."""
    if value is ABSENT:
        part.pop(key, None)
    else:
        part[key] = value


def picked(source: Mapping[str, object], *keys: str) -> Part:
    """Return those of `keys` that have a value in `source`."""
    return {key: value for key in keys if (value := source.get(key)) is not None}


def merged(base: object, newer: object) -> object:
    """Return message metadata brought up to date: objects merge deeply, all else is replaced.

    Keys that would reach a JavaScript prototype are left out, as they are on the page.
    """
    if not isinstance(base, dict) or not isinstance(newer, dict):
        return newer
    result = dict(base)
    for key, value in newer.items():
        if key not in ("__proto__", "constructor", "prototype"):
            result[key] = merged(base.get(key), value)
    return result
