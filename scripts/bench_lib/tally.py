"""What a load came to: how late its tokens were, and which chats were not answered in full."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(slots=True)
class Chat:
    """One chat as it goes on."""

    key: str
    asked_us: int = 0
    first_us: int = 0
    last_us: int = 0
    tokens: int = 0
    ages: list[tuple[int, int]] = field(default_factory=list)
    """Of each token, when it came and how old it was, in microseconds."""
    group: str = ""
    error: str = ""
    is_over: bool = False


def results(
    chats: Sequence[Chat], tokens_each: int, opened_us: int, closed_us: int
) -> dict[str, Any]:
    """Return what was measured, times in milliseconds."""
    ages: dict[str, list[int]] = {}
    for chat in chats:
        ages.setdefault(chat.group, []).extend(
            age for at_us, age in chat.ages if opened_us <= at_us <= closed_us
        )
    broken = [chat for chat in chats if not chat.is_over or chat.tokens != tokens_each]
    errors = {chat.error or f"{chat.tokens} of {tokens_each} tokens" for chat in broken}
    firsts = [chat.first_us - chat.asked_us for chat in chats if chat.first_us]
    streamed_us = sum(chat.last_us - chat.first_us for chat in chats)
    return {
        "chats": len(chats),
        "broken": len(broken),
        "errors": sorted(errors)[:3],
        "tokens": sum(chat.tokens for chat in chats),
        "first_ms": spread(firsts),
        "age_ms": spread([age for group in ages.values() for age in group]),
        "groups": {group: spread(found) for group, found in ages.items()},
        "streamed_s": streamed_us / 1e6,
    }


def spread(values_us: Iterable[int]) -> dict[str, float]:
    """Return median, 99th percentile, largest and count; times in milliseconds."""
    ordered = sorted(values_us)
    if not ordered:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0, "count": 0}
    return {
        "p50": ordered[len(ordered) // 2] / 1000,
        "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] / 1000,
        "max": ordered[-1] / 1000,
        "count": len(ordered),
    }
