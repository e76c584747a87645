"""A turn as the task's author sees it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from chatrun.engine.compaction import compact, summary_message, uncovered
from chatrun.engine.deferred import Deferred
from chatrun.engine.hooks import PREPARE_MESSAGES, PrepareMessages
from chatrun.engine.steering import steer
from chatrun.engine.turn_history import TurnHistory
from chatrun.errors import InvalidInput
from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.heal import heal
from chatrun.messages.types import message_text
from chatrun.models.base import Usage

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from chatrun.ai.tools import Tool
    from chatrun.engine.answer import Answer
    from chatrun.engine.run import Run
    from chatrun.messages.types import ModelMessage, UIMessage
    from chatrun.wire.inputs import Message

Data = TypeVar("Data")


class UpgradeWanted(BaseException):
    """The turn is to be answered by newer code. No failure: user code has no reason to see it."""


class Turn(Generic[Data]):
    """One user message in, one answer out.

    Handed to the task and to its hooks; `chat.current_turn()` finds it from anywhere beneath
    them. It is not to be kept beyond `on_turn_complete`.
    """

    def __init__(self, run: Run, *, incoming: Message, answer: Answer) -> None:
        self._run = run
        self._incoming = incoming
        self._answer = answer
        self._usage_before = run.usage
        self._prepared: tuple[list[UIMessage], list[ModelMessage]] | None = None
        self.deferred = Deferred()
        self.forwarded: dict[str, int] = {}
        """How many batches of a sub-agent's chunks were sent, by the tool call."""
        self.number = run.turns
        """Which turn of its run this is, from 0."""
        self.client_data: Data = cast("Data", incoming.metadata)
        """What the client sent along, validated by the task's `client_data` type; without one,
        as it came."""
        self.trigger: str = incoming.trigger
        """What began the turn: `submit-message`, `regenerate-message`, or `action-turn`."""
        self.system: str | None = None
        """The task's instructions for the model, which `stream_text` puts first."""
        self.preamble: str | None = None
        """What the model is told of the task's skills; part of `system`."""
        self.skill_tools: tuple[Tool, ...] = ()
        """The tools by which the model uses the task's skills."""
        self.tools: tuple[Tool, ...] = ()
        """The task's tools, which `stream_text` offers to the model."""
        self.history = TurnHistory(run.history, run.save_history)
        """The session's messages, to read and to edit; edits are visible at once."""
        self.last_usage = Usage()
        """What the last model call of this turn has used."""
        self.compacted = False
        """Whether the conversation was compacted in this turn."""
        self.usage = Usage()
        """What this turn has used of models so far."""
        self.stopped = False
        """Whether a client stopped the turn. In a `finally` it tells a stop from other ends."""
        self.cancelled = False
        """Whether the run as a whole is being cancelled; the turn is not completed then."""
        self.is_running = False
        """Whether the task itself has been called."""
        self.response: UIMessage | None = None
        """The answer as it was kept, once the turn is complete."""
        self.raw_response: UIMessage | None = None
        """The answer exactly as it was streamed, once the turn is complete."""

    def __repr__(self) -> str:
        return f"<Turn {self.number} of run {self.run_id} in session {self.chat_id}>"

    @property
    def chat_id(self) -> str:
        """The id by which clients know the session."""
        return self._run.info.chat_id

    @property
    def session_id(self) -> str:
        """The session's own id, `session_…`."""
        return self._run.info.session_id

    @property
    def run_id(self) -> str:
        """The run that this turn belongs to, `run_…`."""
        return self._run.info.run_id

    @property
    def previous_run_id(self) -> str | None:
        """The run that served the session before; None for its first."""
        return self._run.info.previous_run_id

    @property
    def continuation(self) -> bool:
        """Whether an earlier run has served the session already."""
        return self._run.info.continuation

    @property
    def preloaded(self) -> bool:
        """Whether the run was started ahead of its first message."""
        return self._run.info.preloaded

    @property
    def action(self) -> object:
        """What the client sent as the action, as it came; None for a message."""
        return self._incoming.action

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
        return list(self._run.history.messages)

    @property
    def messages(self) -> list[ModelMessage]:
        """The same in the form models read, as `prepare_messages` hooks made it.

        Every tool call in it has a result. After an edit of the history it shows the edited
        messages, without the hooks.
        """
        now = self._run.history.messages
        if self._prepared is None or self._prepared[0] != now:
            return self._converted()
        return list(self._prepared[1])

    def _converted(self) -> list[ModelMessage]:
        outputs = {tool.name: tool.model_output for tool in self.tools}
        summary = self._run.summary
        messages = uncovered(self._run.history.messages, summary)
        converted = heal(convert_to_model_messages(messages, tool_outputs=outputs))
        if summary is None or len(messages) == len(self._run.history.messages):
            return converted
        return [summary_message(summary), *converted]

    async def prepare_messages(self) -> None:
        """Convert the history once, with what was injected, and have hooks look at it."""
        messages = self._converted()
        if self._run.injected and messages[-1:] and messages[-1]["role"] != "tool":
            messages += self._run.injected
            self._run.injected = []
        hooks = self._run.task.hooks
        prepared = await hooks.ask(
            PREPARE_MESSAGES, messages, lambda found: PrepareMessages(self, tuple(found))
        )
        self._prepared = (list(self._run.history.messages), list(prepared))

    @property
    def message(self) -> UIMessage | None:
        """The last message of the user's, None in a session without one."""
        for message in reversed(self._run.history.messages):
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
        self.send(chunk)
        await self.ready()

    def send(self, chunk: Mapping[str, object]) -> None:
        """Send `chunk` as `write` does, without waiting for disk or readers."""
        self._answer.send(chunk)

    async def ready(self) -> None:
        """Wait while disk or readers are far behind; at once in the usual case."""
        await self._answer.ready()

    def defer(self, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` beside the turn, which is not complete before it is done, or 5 s have passed.

        What it raises is logged. Started in `on_turn_complete`, it delays nothing.
        """
        _ = self.deferred.add(work)

    def defer_before_output(self, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` beside the model, and let nothing of the answer out before it is done.

        After 10 s the answer goes out all the same. For what must be stored before a client can
        see an answer, without making the model wait.
        """
        self.deferred.gate(work, hold=self._answer.hold, release=self._answer.release)

    def inject(self, messages: Iterable[ModelMessage]) -> None:
        """Show `messages` to the model at the next chance; they never enter the history.

        That is before the next turn's model call. They survive a restart from the end of the
        turn on.
        """
        self._run.injected.extend(messages)

    def end_run(self) -> None:
        """Let this be the run's last turn; messages that wait are the next run's."""
        self._run.ending = True

    def request_upgrade(self) -> None:
        """Have newer code take over.

        In a hook before the task runs, the next run answers this very message, and nothing
        behind this call runs. Later, the run ends with this turn.

        Raises:
            UpgradeWanted: Always, in a hook before the task; it is not to be caught.
        """
        self._run.ending = True
        if not self.is_running:
            raise UpgradeWanted

    def report_usage(self, usage: Usage) -> None:
        """Add what a model call used; `stream_text` does this by itself."""
        self.usage = self.usage + usage
        self.last_usage = usage

    def report(self, event: str, **facts: object) -> None:
        """Tell consoles and logs of an event; `stream_text` does, of its steps and tools."""
        self._run.tell(event, **facts)

    async def at_step(
        self, messages: Sequence[ModelMessage], *, step: int
    ) -> Sequence[ModelMessage]:
        """Return what the model is shown in step `step`; `stream_text` asks before each.

        In this order: the conversation is compacted if the task wants it, messages that have
        arrived are steered in, background messages are added where no tool result is waited for.
        """
        shown = list(messages)
        if step > 0:
            compacted = await compact(self._run, self, shown, step=step)
            shown = compacted if compacted is not None else shown
            shown += await steer(self._run, self, step)
            if self._run.injected and shown and shown[-1]["role"] != "tool":
                shown += self._run.injected
                self._run.injected = []
        return shown


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
