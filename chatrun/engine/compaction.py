"""Compaction: a long conversation is shown to the model as a summary (features.md §1.11).

The messages of the session stay as they are; what changes is what the model is shown of them. The
summary is kept with the session, so that it holds after a restart, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatrun.engine.hooks import COMPACTED, PREPARE_MESSAGES, Compacted, PrepareMessages, call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from chatrun.engine.history import History
    from chatrun.engine.run import Run
    from chatrun.engine.turn import Turn
    from chatrun.messages.types import ModelMessage, UIMessage
    from chatrun.models.base import Usage

PREFIX = "[Conversation summary]\n\n"


@dataclass(frozen=True, slots=True)
class Compaction:
    """Whether and how to compact is asked."""

    turn: Turn[Any]
    messages: tuple[ModelMessage, ...]
    """What the model would be shown next."""
    usage: Usage
    """Of the last model call that is known; without numbers before the first."""
    step: int
    """The step that begins; -1 behind the turn."""


@dataclass(frozen=True, slots=True)
class Compactor:
    """A task's way of compacting."""

    when: Callable[[Compaction], Awaitable[bool] | bool]
    summarize: Callable[[Compaction], Awaitable[str] | str]


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands for the messages up to one of them."""

    text: str
    through: str
    """The id of the last message that it covers."""

    def to_json(self) -> dict[str, str]:
        """Return it as the session's state keeps it."""
        return {"text": self.text, "through": self.through}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any] | None) -> Summary | None:
        """Return what `to_json` gave."""
        return cls(kept["text"], kept["through"]) if kept is not None else None


def uncovered(messages: Sequence[UIMessage], summary: Summary | None) -> list[UIMessage]:
    """Return the messages that `summary` does not cover: all, where its last one is gone."""
    for index, message in enumerate(messages):
        if summary is not None and message["id"] == summary.through:
            return list(messages[index + 1 :])
    return list(messages)


def summary_message(summary: Summary) -> ModelMessage:
    """Return what the model is shown at the head of a later turn."""
    return {"role": "assistant", "content": [{"type": "text", "text": PREFIX + summary.text}]}


async def compact(
    run: Run, turn: Turn[Any], messages: Sequence[ModelMessage], *, step: int
) -> list[ModelMessage] | None:
    """Compact if the task wants it now; return what the model is shown instead, None if not.

    It never happens twice in a turn, nor while a tool call of it has no result.
    """
    compactor = run.task.compactor
    through = _last_settled(run.history)
    if compactor is None or turn.compacted or through is None or not is_safe(messages):
        return None
    event = Compaction(turn, tuple(messages), turn.last_usage, step)
    if not await call(compactor.when, event):
        return None
    turn.compacted = True
    await _show(turn, "compacting")
    text = await call(compactor.summarize, event)
    run.summary = Summary(text, through=through)
    await _show(turn, "complete")
    await run.task.hooks.run(COMPACTED, Compacted(turn, text))
    shown: list[ModelMessage] = [
        {"role": "user", "content": [{"type": "text", "text": PREFIX + text}]}
    ]
    return shown if step < 0 else await _prepared(run, turn, shown)


def _last_settled(history: History) -> str | None:
    """Return the id of the last message that nothing is added to any more, None for none.

    An answer that this turn goes on with is not among them: its end is not in the summary.
    """
    end = -1 if history.last_assistant() is not None else None
    settled = history.messages[:end]
    return settled[-1]["id"] if settled else None


async def _prepared(run: Run, turn: Turn[Any], messages: list[ModelMessage]) -> list[ModelMessage]:
    """Have the task's hooks look at what the model is shown in the middle of a turn."""
    prepared = await run.task.hooks.ask(
        PREPARE_MESSAGES,
        messages,
        lambda found: PrepareMessages(turn, tuple(found), reason="compaction-result"),
    )
    return list(prepared)


def is_safe(messages: Sequence[ModelMessage]) -> bool:
    """Tell whether every tool call among `messages` has a result."""
    calls: set[object] = set()
    results: set[object] = set()
    for message in messages:
        content = message["content"]
        for part in content if isinstance(content, list) else ():
            if part["type"] == "tool-call":
                calls.add(part["toolCallId"])
            elif part["type"] == "tool-result":
                results.add(part["toolCallId"])
    return calls <= results


async def _show(turn: Turn[Any], status: str) -> None:
    data = {"status": status, "totalTokens": turn.last_usage.total_tokens}
    chunk = {"type": "data-compaction", "id": "compaction", "data": data, "transient": True}
    await turn.write(chunk)
