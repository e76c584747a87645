"""The history as a task's author reads and edits it: `turn.history`.

Every edit is visible at once and on its way to the transcript at once, and touches nothing but what
it names: a message that arrives meanwhile stays (features.md §2, rule 11).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from chatrun.errors import InvalidInput
from chatrun.messages.types import is_tool_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from chatrun.engine.history import History
    from chatrun.messages.types import ToolUIPart, UIMessage

_RESOLVED = frozenset(("output-available", "output-error", "output-denied"))


class TurnHistory:
    """A session's messages, oldest first. The answer that is being given is not among them."""

    def __init__(
        self, history: History, save: Callable[[], None], *, new_results: Iterable[ToolUIPart] = ()
    ) -> None:
        self._history = history
        self._save = save
        self._new_results = tuple(new_results)

    # --- reading ----------------------------------------------------------------------------

    def all(self) -> list[UIMessage]:
        """Return every message; the list is the caller's to keep."""
        return list(self._history.messages)

    def __iter__(self) -> Iterator[UIMessage]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self._history.messages)

    @overload
    def __getitem__(self, index: int) -> UIMessage: ...
    @overload
    def __getitem__(self, index: slice) -> list[UIMessage]: ...
    def __getitem__(self, index: int | slice) -> UIMessage | list[UIMessage]:
        return self._history.messages[index]

    def find(self, message_id: str) -> UIMessage | None:
        """Return the message with this id, None when there is none."""
        index = self._history.index(message_id)
        return None if index is None else self._history.messages[index]

    def pending_tool_calls(self) -> list[ToolUIPart]:
        """Return the newest answer's tool calls that wait for the client to answer them.

        Those that wait for an approval are not among them.
        """
        return self._calls(frozenset(("input-available",)))

    def pending_approvals(self) -> list[ToolUIPart]:
        """Return the newest answer's tool calls that wait for the user's approval."""
        return self._calls(frozenset(("approval-requested",)))

    def resolved_tool_calls(self) -> list[ToolUIPart]:
        """Return the newest answer's tool calls that have an output, an error or a denial."""
        return self._calls(_RESOLVED)

    def new_tool_results(self) -> list[ToolUIPart]:
        """Return the tool calls that the message of this very turn has resolved, if any."""
        return list(self._new_results)

    def _calls(self, states: frozenset[str]) -> list[ToolUIPart]:
        for message in reversed(self._history.messages):
            if message["role"] == "assistant":
                parts = message["parts"]
                return [part for part in parts if is_tool_part(part) and part["state"] in states]
        return []

    # --- editing ----------------------------------------------------------------------------

    def append(self, message: UIMessage) -> None:
        """Put `message` at the end.

        Raises:
            InvalidInput: A message with its id is there already.
        """
        if self._history.index(message["id"]) is not None:
            raise InvalidInput(f"message {message['id']!r} is in the history already: replace it")
        self._history.messages.append(message)
        self._save()

    def replace(self, message_id: str, message: UIMessage) -> None:
        """Put `message` in the place of another; what follows stays.

        Raises:
            InvalidInput: There is no message with this id.
        """
        self._history.messages[self._place(message_id)] = message
        self._save()

    def remove(self, message_id: str) -> None:
        """Take one message out.

        Raises:
            InvalidInput: There is no message with this id.
        """
        del self._history.messages[self._place(message_id)]
        self._save()

    def rollback_to(self, message_id: str) -> None:
        """Take out whatever follows a message; it itself stays.

        Raises:
            InvalidInput: There is no message with this id.
        """
        del self._history.messages[self._place(message_id) + 1 :]
        self._save()

    def slice(self, start: int | None = None, end: int | None = None) -> None:
        """Keep only the messages from `start` to `end`, as in `list[start:end]`."""
        self._history.messages = self._history.messages[start:end]
        self._save()

    def set(self, messages: Iterable[UIMessage]) -> None:
        """Put `messages` in the place of all that are there now.

        Raises:
            InvalidInput: Two of them have one id.
        """
        fresh = list(messages)
        if len({message["id"] for message in fresh}) != len(fresh):
            raise InvalidInput("two of the messages have one id")
        self._history.messages = fresh
        self._save()

    def _place(self, message_id: str) -> int:
        index = self._history.index(message_id)
        if index is None:
            raise InvalidInput(f"there is no message {message_id!r} in the history")
        return index
