"""What a run tells the person at the console."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from chatrun.ai.watch import error_type
from chatrun.engine.outcome import Failed, Outcome, TimedOut, outcome_kind

_HOUSE = str(Path(__file__).parent.parent)
MAX_FRAMES = 20
MAX_TEXT = 1000


def turn_ended(outcome: Outcome, *, took_s: float) -> dict[str, Any]:
    """Return how a turn ended: its outcome, and what failed it with the user's line at fault."""
    event: dict[str, Any] = {"outcome": outcome_kind(outcome), "took_s": round(took_s, 4)}
    if isinstance(outcome, TimedOut):
        event["error_type"] = "timeout"
        event["error"] = f"it took longer than {outcome.limit_s:g} s"
    if isinstance(outcome, Failed):
        event |= describe_error(outcome.error)
    return event


def describe_error(error: BaseException) -> dict[str, Any]:
    """Return what `error` says, where in the user's code it was raised, and the way there."""
    text = "".join(traceback.format_exception_only(error)).strip()[:MAX_TEXT]
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)
    ]
    event = {"error": text.encode("utf-8", "replace").decode(), "error_type": error_type(error)}
    if frames:
        event["where"] = f"{frames[-1].filename}:{frames[-1].lineno}"
        event["trace"] = "".join(traceback.format_list(frames[-MAX_FRAMES:]))
    return event


def _is_users(file: str) -> bool:
    """Tell whether a file is the user's own: not ours, not installed, not Python's."""
    return not (
        file.startswith((_HOUSE, "<frozen")) or "site-packages" in file or "/lib/python" in file
    )
