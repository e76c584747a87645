"""How a turn ended, and what must follow its last chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from chatrun.errors import ChatrunError

OutcomeKind = Literal["finished", "stopped", "timed-out", "failed"]

MASKED = "An error occurred."
"""What clients are told of an error whose text may hold what they should not see."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The task returned."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A client stopped the turn."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The turn took longer than the task allows."""

    limit_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The task, one of its hooks, or what it sent is at fault."""

    error: BaseException


Outcome = Finished | Stopped | TimedOut | Failed


def outcome_kind(outcome: Outcome) -> OutcomeKind:
    """Return the outcome's name, as hooks and records have it."""
    match outcome:
        case Finished():
            return "finished"
        case Stopped():
            return "stopped"
        case TimedOut():
            return "timed-out"
        case Failed():
            return "failed"
        case _:
            assert_never(outcome)


def closing_chunks(outcome: Outcome, *, show_errors: bool) -> list[dict[str, object]]:
    """Return the chunks that must follow the last one of a turn that ended so."""
    match outcome:
        case Finished():
            return []
        case Stopped():
            return [{"type": "abort"}]
        case TimedOut(limit_s):
            text = f"The turn took longer than {limit_s:g} s and was ended."
            return [{"type": "error", "errorText": text}]
        case Failed(error):
            return [{"type": "error", "errorText": public_text(error, show_errors=show_errors)}]
        case _:
            assert_never(outcome)


MAX_ERROR_TEXT = 1000


def public_text(error: BaseException, *, show_errors: bool) -> str:
    """Return what clients are told of `error`, at most 1,000 characters.

    An error whose class has a `public_message` says that. Everything else is masked unless
    `show_errors`, since the text of an exception may hold keys, paths and data.
    """
    public = getattr(error, "public_message", None)
    if isinstance(public, str):
        return public[:MAX_ERROR_TEXT]
    if not show_errors:
        return MASKED
    text = str(error)
    if not isinstance(error, ChatrunError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text[:MAX_ERROR_TEXT].encode("utf-8", "replace").decode()
