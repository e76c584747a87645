"""A turn as the task's author sees it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from chatrun.errors import InvalidInput
from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.heal import heal
from chatrun.messages.types import message_text
from chatrun.models.base import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatrun.ai.tools import Tool
    from chatrun.engine.answer import Answer
    from chatrun.engine.history import History
    from chatrun.engine.run import RunInfo
    from chatrun.messages.types import ModelMessage, UIMessage
    from chatrun.wire.inputs import Message

Data = TypeVar("Data")


class Turn(Generic[Data]):
    """One user message in, one answer out.

    Handed to the task and to its hooks; `chat.current_turn()` finds it from anywhere beneath
    them. It is not to be kept beyond `on_turn_complete`.
    """

    def __init__(
        self,
        run: RunInfo,
        *,
        number: int,
        incoming: Message,
        client_data: Data,
        history: History,
        answer: Answer,
        tools: Sequence[Tool],
        usage_before: Usage,
    ) -> None:
        self._run = run
        self._incoming = incoming
        self._history = history
        self._answer = answer
        self._usage_before = usage_before
        self._model_messages: tuple[tuple[UIMessage, ...], list[ModelMessage]] | None = None
        self.number = number
        """Which turn of its run this is, from 0."""
        self.client_data = client_data
        """What the client sent along, validated by the task's `client_data` type; without one,
        as it came."""
        self.tools: tuple[Tool, ...] = tuple(tools)
        """The task's tools, which `stream_text` offers to the model."""
        self.usage = Usage()
        """What this turn has used of models so far."""
        self.stopped = False
        """Whether a client stopped the turn. In a `finally` it tells a stop from other ends."""
        self.cancelled = False
        """Whether the run as a whole is being cancelled; the turn is not completed then."""

    def __repr__(self) -> str:
        return f"<Turn {self.number} of run {self.run_id} in session {self.chat_id}>"

    @property
    def chat_id(self) -> str:
        """The id by which clients know the session."""
        return self._run.chat_id

    @property
    def session_id(self) -> str:
        """The session's own id, `session_…`."""
        return self._run.session_id

    @property
    def run_id(self) -> str:
        """The run that this turn belongs to, `run_…`."""
        return self._run.run_id

    @property
    def previous_run_id(self) -> str | None:
        """The run that served the session before; None for its first."""
        return self._run.previous_run_id

    @property
    def continuation(self) -> bool:
        """Whether an earlier run has served the session already."""
        return self._run.previous_run_id is not None

    @property
    def preloaded(self) -> bool:
        """Whether the run was started ahead of its first message."""
        return self._run.preloaded

    @property
    def trigger(self) -> str:
        """What began the turn: `submit-message` or `regenerate-message`."""
        return self._incoming.trigger

    @property
    def message_id(self) -> str | None:
        """The message that an edit replaced or a regenerate dropped, where the client named one."""
        return self._incoming.message_id

    @property
    def payload(self) -> Mapping[str, object]:
        """All that the client sent with the message, with the keys an app put in of its own."""
        return self._incoming.payload

    @property
    def total_usage(self) -> Usage:
        """What this run has used of models so far, this turn included."""
        return self._usage_before + self.usage

    @property
    def ui_messages(self) -> list[UIMessage]:
        """The session's messages up to the one to answer, oldest first; the caller's to keep."""
        return list(self._history.messages)

    @property
    def messages(self) -> list[ModelMessage]:
        """The same in the form models read; every tool call in it has a result."""
        now = tuple(self._history.messages)
        if self._model_messages is None or self._model_messages[0] != now:
            self._model_messages = (now, heal(convert_to_model_messages(now)))
        return list(self._model_messages[1])

    @property
    def message(self) -> UIMessage | None:
        """The last message of the user's, None in a session without one."""
        for message in reversed(self._history.messages):
            if message["role"] == "user":
                return message
        return None

    @property
    def text(self) -> str:
        """The text of the last user message, empty without one."""
        return message_text(self.message) if self.message is not None else ""

    async def write(self, chunk: Mapping[str, object]) -> None:
        """Send `chunk` to the clients at this point of the answer, and keep it in the message.

        Waits only while disk or readers are far behind. What was written stays, also when the
        turn fails or is stopped.

        Raises:
            ChunkInvalid: It is not a chunk that the clients accept, or not at this place.
            TooLarge: It is larger than a record may be.
        """
        self._answer.send(chunk)
        await self._answer.ready()

    def report_usage(self, usage: Usage) -> None:
        """Add what a model call used; `stream_text` does this by itself."""
        self.usage = self.usage + usage


_current: ContextVar[Turn[Any] | None] = ContextVar("current_turn", default=None)


def set_current_turn(turn: Turn[Any]) -> None:
    """Make `turn` the current one of this asyncio task and those it starts."""
    _current.set(turn)


def current_turn() -> Turn[Any]:
    """Return the turn that this code runs in.

    Raises:
        InvalidInput: It runs in none.
    """
    turn = _current.get()
    if turn is None:
        raise InvalidInput("there is no current turn here: call this from a task or a hook of it")
    return turn
