"""Spans of time as users write them."""

from __future__ import annotations

import re
from datetime import timedelta

from chatrun.errors import InvalidInput

Duration = float | int | str | timedelta
"""Seconds, a `timedelta`, or text: a number and one of ms, s, m, h, d ("90s", "1h", "7d")."""

_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: Duration, *, name: str) -> float:
    """Return `duration` in seconds; `name` is what errors call it.

    Raises:
        InvalidInput: It is negative or is not a span of time.
    """
    value = _parse(duration, name)
    if not 0 <= value < float("inf"):
        raise InvalidInput(f"{name} is {duration!r}; it must not be negative or endless")
    return value


def _parse(duration: Duration, name: str) -> float:
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        return float(duration)
    match = _TEXT.fullmatch(duration) if isinstance(duration, str) else None
    if match is None:
        raise InvalidInput(
            f"{name} is {duration!r}; write seconds, a timedelta, or text such as '90s' or '1h'"
        )
    return float(match[1]) * _UNITS[match[2]]
