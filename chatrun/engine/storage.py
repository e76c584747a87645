"""A task's own place for transcripts: the user's database instead of, or beside, ours.

The session's streams stay where they are; what goes to a `TranscriptStorage` is what was said. It
is told of changes and not of whole lists, so a long chat costs as little as a short one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chatrun.messages.types import UIMessage

SaveReason = Literal["turn-start", "turn-complete", "turn-error", "action", "edit", "recovery"]


@dataclass(frozen=True, slots=True)
class Put:
    """Put a message at the end, or in place of the one with its id."""

    message: UIMessage
    final: bool = True
    """False for an answer that is still to be completed, after a crash."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Take one message out; nothing happens when it is not there."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Truncate:
    """Take out every message behind this one; None takes out all; an unknown id takes none."""

    after: str | None


Change = Put | Remove | Truncate


@dataclass(frozen=True, slots=True)
class Slice:
    """Messages of a transcript, oldest first."""

    messages: Sequence[UIMessage]
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the last `save` gave as its state."""
    next_before: str | None = None
    """Hand it back as `before` for older messages; None when there are none."""


@dataclass(frozen=True, slots=True)
class Save:
    """One thing that happened to a transcript; all of it is to be stored, or nothing."""

    chat_id: str
    reason: SaveReason
    changes: Sequence[Change]
    """In the order in which they happened."""
    state: Mapping[str, Any]
    """Small JSON that the next run is to be given; it replaces the one before."""
    client_data: Any = None
    """What the client sent along, in the task's type."""


class TranscriptStorage(Protocol):
    """Where a task keeps what was said.

    Calls for one chat come one after another. `conforms` of `chatrun.testing.storage` holds an
    implementation to every sentence of this contract.
    """

    async def load(
        self, chat_id: str, *, limit: int | None = None, before: str | None = None
    ) -> Slice:
        """Return the last `limit` messages (all for None) in front of `before`.

        A chat that was never saved has no messages and an empty state. Raising fails the turn
        that needed them.
        """
        ...

    async def save(self, save: Save) -> None:
        """Store `save`. The same call may come again after a failure and must change nothing then.

        Raising loses nothing: what was to be stored comes again with the next save, and the
        session's own transcript has it all the while.
        """
        ...


def apply_changes(messages: Iterable[UIMessage], changes: Iterable[Change]) -> list[UIMessage]:
    """Return `messages` after `changes`: what a storage that keeps whole lists would store."""
    result = list(messages)
    for change in changes:
        match change:
            case Put(message):
                _put(result, message)
            case Remove(message_id):
                result = [m for m in result if m["id"] != message_id]
            case Truncate(after):
                result = _cut(result, after)
    return result


def _put(messages: list[UIMessage], message: UIMessage) -> None:
    for index, known in enumerate(messages):
        if known["id"] == message["id"]:
            messages[index] = message
            return
    messages.append(message)


def _cut(messages: list[UIMessage], after: str | None) -> list[UIMessage]:
    if after is None:
        return []
    for index, known in enumerate(messages):
        if known["id"] == after:
            return messages[: index + 1]
    return messages


def changes_between(old: Sequence[UIMessage], new: Sequence[UIMessage]) -> list[Change]:
    """Return what turns `old` into `new`; a message that is equal in both costs nothing."""
    changes: list[Change] = []
    same = 0
    for before, after in zip(old, new, strict=False):
        if before["id"] != after["id"]:
            break
        if before != after:
            changes.append(Put(after))
        same += 1
    if same < len(old):
        changes.append(Truncate(old[same - 1]["id"] if same else None))
    changes.extend(Put(message) for message in new[same:])
    return changes


class MemoryTranscripts:
    """A storage in memory: the shortest one that keeps the contract."""

    def __init__(self) -> None:
        self._chats: dict[str, tuple[list[UIMessage], Mapping[str, Any]]] = {}

    async def load(
        self, chat_id: str, *, limit: int | None = None, before: str | None = None
    ) -> Slice:
        """Return a slice; see `TranscriptStorage`."""
        messages, state = self._chats.get(chat_id, ([], {}))
        ids = [message["id"] for message in messages]
        end = ids.index(before) if before in ids else len(messages)
        start = 0 if limit is None else max(end - limit, 0)
        return Slice(messages[start:end], state, ids[start] if start else None)

    async def save(self, save: Save) -> None:
        """Store; see `TranscriptStorage`."""
        messages, _ = self._chats.get(save.chat_id, ([], {}))
        self._chats[save.chat_id] = (apply_changes(messages, save.changes), dict(save.state))
