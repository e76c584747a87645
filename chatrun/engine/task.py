"""What the user declares: a task, an async function and its hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from chatrun.engine.action import Action
from chatrun.engine.client_data import ClientData
from chatrun.engine.compaction import Compaction, Compactor
from chatrun.engine.hooks import (
    BEFORE_TURN_COMPLETE,
    BOOT,
    CHAT_START,
    COMPACTED,
    HYDRATE,
    PRELOAD,
    PREPARE_MESSAGES,
    RECOVERY,
    RESUME,
    SUSPEND,
    TURN_COMPLETE,
    TURN_START,
    VALIDATE_MESSAGES,
    AnsweringHook,
    BeforeTurnComplete,
    Boot,
    ChatStart,
    Compacted,
    Hook,
    HookTable,
    Hydrate,
    Preload,
    PrepareMessages,
    Recovery,
    Resume,
    Suspend,
    TurnComplete,
    TurnStart,
    ValidateMessages,
    call,
)
from chatrun.errors import ChatError, InvalidInput
from chatrun.wire.ids import check_task_id

if TYPE_CHECKING:
    from chatrun.ai.tools import NeedsApproval, Tool
    from chatrun.engine.skills import TaskSkills
    from chatrun.engine.steering import Busy, Steering
    from chatrun.engine.storage import TranscriptStorage
    from chatrun.engine.turn import Turn
    from chatrun.messages.types import ModelMessage, UIMessage

Data = TypeVar("Data")
TaskFunction = Callable[["Turn[Data]"], Any]
OnDisconnect = Literal["stop", "keep"]
Level = Literal["turn", "session", "raw"]
"""What a task's function is called with: a `Turn`, a `ChatSession` or a `RawSession`."""


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How a task's runs behave; times are in seconds."""

    max_turns: int = 100
    """Completed turns after which a run ends; the next message starts another."""
    turn_timeout_s: float = 3600.0
    """How long a turn may take, and how long a suspended run waits for the next message."""
    idle_timeout_s: float = 30.0
    """How long a run stays awake for the next message before it is suspended."""
    busy: Busy = "queue"
    """What becomes of a message that arrives in mid-answer."""
    on_disconnect: OnDisconnect = "stop"
    """What a plain UI message stream does when its reader leaves: see `chat.task`."""


class ChatTask(Generic[Data]):
    """A task: the function that answers a turn, its options and its hooks.

    Made by `chat.task`, `chat.session` and `chat.custom`. Calling it calls the function.
    """

    def __init__(
        self,
        task_id: str,
        function: Callable[[Any], Any],
        *,
        options: TaskOptions,
        level: Level = "turn",
        client_data: type[Data] | None = None,
        action: Any = None,
        tools: tuple[Tool, ...] = (),
        skills: TaskSkills | None = None,
        storage: TranscriptStorage | None = None,
    ) -> None:
        self.id = check_task_id(task_id)
        self.function = function
        self.options = options
        self.level = level
        self.client_data = ClientData(client_data, what="client data of this message")
        self.action = ClientData(action, what="action")
        self.hooks = HookTable()
        self.skills = skills
        """The skills that the model may load, None for none."""
        self.storage = storage
        """Where what was said is kept besides the session's transcript, None for nowhere."""
        self._tools = tools
        self._tools_of: Callable[[Turn[Data]], Any] | None = None
        self._should_steer: Callable[[Steering], Any] | None = None
        self._prepare_steered: Callable[[Steering], Any] | None = None
        self.compactor: Compactor | None = None
        """How long conversations are compacted, None for not at all."""
        self._handler: AnsweringHook[Action, Any] | None = None
        self._systems: list[Callable[[Turn[Data]], Any]] = []

    def __call__(self, given: Any) -> Any:
        """Call the task's function, as it was written."""
        return self.function(given)

    def __repr__(self) -> str:
        return f"<ChatTask {self.id!r} at {self.file}:{self.line}>"

    @property
    def file(self) -> str:
        """The file the function is written in, "<unknown>" for what has no code."""
        code = getattr(self.function, "__code__", None)
        return code.co_filename if code is not None else "<unknown>"

    @property
    def line(self) -> int:
        """The line the function begins at, counted from 1; 0 for what has no code."""
        code = getattr(self.function, "__code__", None)
        return code.co_firstlineno if code is not None else 0

    @property
    def description(self) -> str:
        """The first line of the function's docstring, empty without one."""
        doc = (getattr(self.function, "__doc__", None) or "").strip()
        return doc.splitlines()[0] if doc else ""

    def as_tool(
        self,
        input: Any = None,
        *,
        name: str | None = None,
        description: str | None = None,
        message: Callable[[Any], str] | None = None,
        needs_approval: NeedsApproval = False,
    ) -> Tool:
        """Return a tool whose calls this task answers, each in a turn within the caller's turn.

        The turn has a history of its own, the one message, and no session. What it streams is
        shown to the chat's clients as it comes; its final text is the tool's output. Stopping
        the chat stops it. `chat.tool_context()` tells it of the call.

        Args:
            input: The type of the input, a pydantic model or any type pydantic takes for an
                object; by default one text, the prompt.
            name: The tool's name; the task's id by default.
            description: What the model is told; by default the first line of the docstring.
            message: Makes the text that the task is asked with from the input. By default an
                input that is one text is that text, and any other is JSON.
            needs_approval: Whether the user must allow each call: True, or a function that is
                asked for each one.

        Raises:
            InvalidInput: `input` is not the type of an object.
        """
        from chatrun.engine.subtask import make_tool

        return make_tool(
            self,
            input=input,
            name=name,
            description=description,
            message=message,
            needs_approval=needs_approval,
        )

    def on_boot(self, hook: Hook[Boot]) -> Hook[Boot]:
        """Run `hook` when a run begins, before its first turn; also after a restart or a reload.

        Raising fails the run: the waiting message is answered with the error.
        """
        return self.hooks.add(BOOT, hook)

    def on_preload(self, hook: Hook[Preload]) -> Hook[Preload]:
        """Run `hook` when a run was started ahead of its first message.

        Raising fails the run.
        """
        return self.hooks.add(PRELOAD, hook)

    def on_chat_start(self, hook: Hook[ChatStart]) -> Hook[ChatStart]:
        """Run `hook` once in a session's life, before its first accepted turn.

        Raising fails the turn.
        """
        return self.hooks.add(CHAT_START, hook)

    def on_turn_start(self, hook: Hook[TurnStart]) -> Hook[TurnStart]:
        """Run `hook` before each turn, in the order declared. Raising fails the turn."""
        return self.hooks.add(TURN_START, hook)

    def on_before_turn_complete(self, hook: Hook[BeforeTurnComplete]) -> Hook[BeforeTurnComplete]:
        """Run `hook` when the answer is whole and may still be added to. Raising fails the turn."""
        return self.hooks.add(BEFORE_TURN_COMPLETE, hook)

    def on_suspend(self, hook: Hook[Suspend]) -> Hook[Suspend]:
        """Run `hook` when the run goes to sleep. What it raises is logged."""
        return self.hooks.add(SUSPEND, hook)

    def on_resume(self, hook: Hook[Resume]) -> Hook[Resume]:
        """Run `hook` when the run was woken by a message. What it raises is logged."""
        return self.hooks.add(RESUME, hook)

    def on_recovery(self, hook: Hook[Recovery]) -> Hook[Recovery]:
        """Run `hook` when the run before died in the middle of an answer.

        It may edit the history or have the question answered anew. What it raises is logged,
        and the partial answer stays.
        """
        return self.hooks.add(RECOVERY, hook)

    def on_turn_complete(self, hook: Hook[TurnComplete]) -> Hook[TurnComplete]:
        """Run `hook` after each turn, however it ended, last declared first.

        The turn is durable by then, and the next one waits for the hook. What it raises is
        logged.
        """
        return self.hooks.add(TURN_COMPLETE, hook)

    def validate_messages(
        self, hook: AnsweringHook[ValidateMessages, Sequence[UIMessage] | None]
    ) -> AnsweringHook[ValidateMessages, Sequence[UIMessage] | None]:
        """Run `hook` on what a client sent, before it enters the history.

        It may return the messages to take instead. Raising refuses them: the turn fails and they
        never enter the history.
        """
        return self.hooks.add(VALIDATE_MESSAGES, hook)

    def hydrate(
        self, hook: AnsweringHook[Hydrate, Sequence[UIMessage] | None]
    ) -> AnsweringHook[Hydrate, Sequence[UIMessage] | None]:
        """Take the history from `hook` at the beginning of each turn, instead of the transcript.

        For those whose own database is the truth. Raising fails the turn.
        """
        return self.hooks.add(HYDRATE, hook)

    def prepare_messages(
        self, hook: AnsweringHook[PrepareMessages, Sequence[ModelMessage] | None]
    ) -> AnsweringHook[PrepareMessages, Sequence[ModelMessage] | None]:
        """Pass the model messages through `hook` before the task; what it returns is not kept.

        Raising fails the turn.
        """
        return self.hooks.add(PREPARE_MESSAGES, hook)

    def tools(self, provider: Callable[[Turn[Data]], Any]) -> Callable[[Turn[Data]], Any]:
        """Offer in each turn the tools that `provider` returns, beside those declared.

        Plain or async. Raising fails the turn.
        """
        self._tools_of = provider
        return provider

    def on_compacted(self, hook: Hook[Compacted]) -> Hook[Compacted]:
        """Run `hook` when the conversation was compacted. What it raises is logged."""
        return self.hooks.add(COMPACTED, hook)

    def steering(self, should_inject: Callable[[Steering], Any]) -> Callable[[Steering], Any]:
        """Ask before each step whether the messages that wait are shown to the model.

        Turns steering on, as `busy="steer"` does. True shows all of them; those that are not
        shown by the end of the turn have turns of their own.
        """
        self._should_steer = should_inject
        return should_inject

    def prepare_steering(self, prepare: Callable[[Steering], Any]) -> Callable[[Steering], Any]:
        """Have `prepare` make the model messages that steered messages are shown as."""
        self._prepare_steered = prepare
        return prepare

    @property
    def steers(self) -> bool:
        """Whether messages that arrive in mid-answer may be shown to the model."""
        return self.options.busy == "steer" or self._should_steer is not None

    async def wants_steering(self, event: Steering) -> bool:
        """Return whether the messages of `event` are shown to the model now."""
        if self._should_steer is None:
            return self.options.busy == "steer"
        return bool(await call(self._should_steer, event))

    async def prepare_steered(self, event: Steering) -> Sequence[ModelMessage] | None:
        """Return what the model is shown of steered messages, None for the messages themselves."""
        return await call(self._prepare_steered, event) if self._prepare_steered else None

    def compaction(
        self, *, when: Callable[[Compaction], Any]
    ) -> Callable[[Callable[[Compaction], Any]], Callable[[Compaction], Any]]:
        """Have the function below summarise the conversation when `when` says so.

        It is asked before each model call but a turn's first, and behind each turn. The model is
        shown the summary in place of the messages from then on; the session's messages stay.
        """

        def declare(summarize: Callable[[Compaction], Any]) -> Callable[[Compaction], Any]:
            self.compactor = Compactor(when, summarize)
            return summarize

        return declare

    def on_action(self, handler: AnsweringHook[Action, Any]) -> AnsweringHook[Action, Any]:
        """Have `handler` apply the actions that clients send; see `Action` for what it returns.

        Actions are applied in the order in which they and the messages came. Raising ends the
        action with an error and changes nothing else.

        Raises:
            InvalidInput: The task has a handler already.
        """
        if self._handler is not None:
            raise InvalidInput(f"task {self.id!r} has a handler of actions already")
        self._handler = handler
        return handler

    async def act(self, turn: Turn[Data], action: object) -> Any:
        """Apply one action and return what its handler returns.

        Raises:
            ChatError: There is no handler, or the action is not of the declared type.
        """
        if self._handler is None:
            raise ChatError(f"Task {self.id!r} takes no actions.")
        return await call(self._handler, Action(turn, self.action.parse(action)))

    def system(self, provider: Callable[[Turn[Data]], Any]) -> Callable[[Turn[Data]], Any]:
        """Give the model in each turn the instructions that `provider` returns, None for none.

        Plain or async; several providers' texts follow each other. Raising fails the turn.
        """
        self._systems.append(provider)
        return provider

    async def system_of(self, turn: Turn[Data]) -> str | None:
        """Return the instructions of one turn."""
        texts = [await call(provider, turn) for provider in self._systems]
        return "\n\n".join(str(text) for text in texts if text) or None

    async def tools_of(self, turn: Turn[Data]) -> tuple[Tool, ...]:
        """Return the tools of one turn."""
        if self._tools_of is None:
            return self._tools
        return (*self._tools, *await call(self._tools_of, turn))
