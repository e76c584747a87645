"""A session by its primitives: `@chat.custom`. No hooks, nothing kept but what you say.

@chat.custom("my-chat")
async def my_chat(session: RawSession):
    while (message := await session.messages.next()) is not None:
        session.take_in(message)
        answer = await session.pipe(stream_text(model, messages=session.model_messages()))
        if answer.message is not None:
            session.keep(answer.message)
        await session.write_turn_complete()
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from chatrun.engine.answer import Answer
from chatrun.engine.captured import Captured
from chatrun.engine.history import receive
from chatrun.engine.mailbox import Letter
from chatrun.engine.outcome import Failed, Finished, Outcome
from chatrun.engine.recovery import end_open_calls
from chatrun.engine.supervise import Supervisor
from chatrun.engine.turn_history import TurnHistory
from chatrun.engine.turn_watch import TurnWatch
from chatrun.errors import ChatError, InvalidInput
from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.heal import heal
from chatrun.messages.types import message_text
from chatrun.models.base import Usage
from chatrun.wire.ids import new_id
from chatrun.wire.inputs import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatrun.engine.run import EndReason, Run, RunInfo
    from chatrun.messages.types import ModelMessage, UIMessage

Data = TypeVar("Data")


@dataclass(frozen=True, slots=True)
class RawMessage(Generic[Data]):
    """What a client has sent."""

    seq: int
    """The number of its record."""
    trigger: str
    """`submit-message`, `regenerate-message` or `action`."""
    message: UIMessage | None
    """The message as it came: of a tool's answer, only the answered parts."""
    message_id: str | None
    """The message that an edit replaces or a regenerate drops, where the client named one."""
    client_data: Data
    """What the client sent along, in the type that the task declared."""
    action: Any
    """What the client sent as the action, in the type that the task declared."""
    payload: Mapping[str, object]
    """All of it."""
    _incoming: Message = field(repr=False)

    @property
    def text(self) -> str:
        """The text of the message, empty without one."""
        return message_text(self.message) if self.message is not None else ""


class RawMessages(Generic[Data]):
    """The mailbox: what clients have sent, each given once."""

    def __init__(self, session: RawSession[Data], run: Run) -> None:
        self._session = session
        self._run = run

    async def next(self) -> RawMessage[Data] | None:
        """Claim the next message, and wait for it if need be; None when the run is to end.

        A claimed message is given to the next run again, unless its turn was completed or the
        message behind it was asked for. What cannot be read, or brings client data that do not
        fit, is answered with an error and passed over.
        """
        return await self._session._claim_next()

    def peek(self) -> RawMessage[Data] | None:
        """Return what `next` would give at once, without claiming it; None when it would wait."""
        letter = self._run.mailbox.peek()
        if letter is None or _is_close(letter):
            return None
        try:
            return _read(self._run, letter)
        except ChatError:
            return None

    def has_pending(self) -> bool:
        """Tell whether a message waits."""
        letter = self._run.mailbox.peek()
        return letter is not None and not _is_close(letter)


class RawSession(Generic[Data]):
    """A session in the hands of a loop that does all by itself.

    Each message that was claimed opens a turn, which `write_turn_complete` ends.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._answer = Answer(run.port, message_id=new_id("msg"))
        self._supervisor: Supervisor | None = None
        self._outcome: Outcome = Finished()
        self._watch: TurnWatch | None = None
        self.messages: RawMessages[Data] = RawMessages(self, run)
        self.history = TurnHistory(run.history, run.save_history)
        """The session's messages, to read and to edit."""
        self.stop_signal = asyncio.Event()
        """Set when a client stops the open turn, and cleared when another one opens. `pipe` obeys
        by itself."""
        self.stopped = False
        """Whether a `pipe` of the open turn was stopped."""
        self.cancelled = False
        """Whether the run as a whole is being cancelled."""
        self.end_reason: EndReason | None = None
        """Why there are no more messages, None while there may be."""
        self.has_asked = False
        """Whether a message was asked for."""

    def __repr__(self) -> str:
        return f"<RawSession {self._run.info.chat_id}>"

    @property
    def run(self) -> RunInfo:
        """Which run of which session this is."""
        return self._run.info

    @property
    def is_open(self) -> bool:
        """Whether a message was claimed whose turn is not complete."""
        return self._supervisor is not None

    # --- what is answered -------------------------------------------------------------------

    async def write(self, chunk: Mapping[str, object]) -> None:
        """Send `chunk` at this point of the answer; see `Turn.write`.

        Raises:
            InvalidInput: No turn is open.
            ChunkInvalid: It is not a chunk that the clients accept, or not at this place.
            TooLarge: It is larger than a record may be.
        """
        self._watched()
        self._answer.send(chunk)
        await self._answer.ready()

    async def pipe(self, source: object) -> Captured:
        """Send whatever `source` gives, anything that a task may return.

        A stop and the task's `turn_timeout`, counted from the claim, cancel it. It never raises
        what `source` raises; the turn ends as the last thing that was piped has.

        Raises:
            InvalidInput: No turn is open.
        """
        self._outcome = await self._watched().outcome_of(lambda: self._answer.send_all(source))
        return Captured.of(self._answer, self._outcome)

    async def write_turn_complete(self) -> int:
        """End the turn, and store in one go what was edited of the history; return its number.

        On return it is durable, and every message that was claimed counts as answered.

        Raises:
            InvalidInput: No turn is open.
        """
        self._watched()
        outcome, raw = self._outcome, self._answer.raw_message()
        if isinstance(outcome, Finished):
            self._answer.finish()
        elif raw is not None:
            for chunk in end_open_calls(raw):
                self._answer.send(chunk)
        self._answer.close()
        self._supervisor = None
        number = await self._run.complete_turn(outcome)
        self._run.mailbox.done()
        if self._watch is not None:
            self._watch.ended(outcome, Usage())
        self._run.tell("turn-settled")
        self._run.turns += 1
        self._answer = Answer(self._run.port, message_id=new_id("msg"))
        return number

    # --- what is remembered -----------------------------------------------------------------

    def take_in(self, message: RawMessage[Data]) -> None:
        """Put a message into the history, as `@chat.task` does.

        Edits, regenerates and answers to tool calls included: an answer that goes on is gone on
        with.

        Raises:
            ChatError: There is nothing to answer, in words for the client.
        """
        try:
            receive(
                self._run.history, message._incoming, fallback_id=_id_of(self._run, message.seq)
            )
        except InvalidInput as exc:
            raise ChatError(str(exc)) from exc
        self._run.save_history()
        base = self._run.history.last_assistant()
        if base is not None:
            self._answer.go_on_with(base)

    def keep(self, message: UIMessage) -> None:
        """Put a message into the history, in place of the one with its id or at the end."""
        self._run.history.put(message)

    def model_messages(self) -> list[ModelMessage]:
        """Return the history in the form models read; every tool call in it has a result."""
        return heal(convert_to_model_messages(self._run.history.messages))

    # --- inside -----------------------------------------------------------------------------

    def _watched(self) -> Supervisor:
        if self._supervisor is None:
            raise InvalidInput("no turn is open: claim a message with `session.messages.next()`")
        return self._supervisor

    async def _claim_next(self) -> RawMessage[Data] | None:
        self.has_asked = True
        if self.is_open:
            await self._run.consume()
        while self.end_reason is None:
            letter = await self._run.next_letter()
            if not isinstance(letter, Letter):
                self.end_reason = letter
                break
            self._open(letter)
            try:
                return _read(self._run, letter)
            except ChatError as exc:
                await self.leave(exc)
        return None

    def _open(self, letter: Letter) -> None:
        self._run.begin_turn(letter.seq)
        incoming = letter.message
        opened = incoming if isinstance(incoming, Message) else Message("submit-message")
        self._watch = TurnWatch(self._run, opened)
        self._watch.begin()
        self._outcome, self.stopped = Finished(), False
        self.stop_signal.clear()
        self._supervisor = Supervisor(self._run, self._answer, self)
        self._supervisor.stop.add_done_callback(lambda _: self.stop_signal.set())

    # --- for the run ------------------------------------------------------------------------

    def when_overdue(self, cancel: Callable[[], object]) -> None:
        """Do nothing: only what is piped has a time limit here."""

    async def leave(self, error: BaseException | None) -> None:
        """End the open turn: as failed with `error`, else with what was sent."""
        if error is not None:
            self._outcome = Failed(error)
        await self.write_turn_complete()

    def abandon(self) -> None:
        """Do nothing: nobody watches here."""


def _is_close(letter: Letter) -> bool:
    return isinstance(letter.message, Message) and letter.message.trigger == "close"


def _read(run: Run, letter: Letter) -> RawMessage[Any]:
    """Return what a letter says.

    Raises:
        ChatError: It cannot be read, or what came along does not fit.
    """
    incoming = letter.message
    if not isinstance(incoming, Message):
        raise ChatError(incoming.reason)
    task = run.task
    acts = incoming.trigger == "action"
    return RawMessage(
        seq=letter.seq,
        trigger=incoming.trigger,
        message=cast("UIMessage | None", incoming.message),
        message_id=incoming.message_id,
        client_data=task.client_data.parse(incoming.metadata),
        action=task.action.parse(incoming.action) if acts else None,
        payload=incoming.payload,
        _incoming=incoming,
    )


def _id_of(run: Run, seq: int) -> str:
    return f"msg_{run.info.session_id.removeprefix('session_')}_{seq}"
