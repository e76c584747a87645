"""Hooks: where user code is called besides the task itself, with which event and policy."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from chatrun.engine.hook_watch import HookWatch

if TYPE_CHECKING:
    from chatrun.engine.outcome import OutcomeKind
    from chatrun.engine.run import RunInfo
    from chatrun.engine.turn import Turn
    from chatrun.engine.turn_history import TurnHistory
    from chatrun.messages.types import ModelMessage, UIMessage
    from chatrun.models.base import Usage

logger = logging.getLogger("chatrun.hooks")

Event = TypeVar("Event")
Answer = TypeVar("Answer")
Hook = Callable[[Event], Awaitable[None] | None]
AnsweringHook = Callable[[Event], Awaitable[Answer] | Answer]


@dataclass(frozen=True, slots=True)
class Boot:
    """A run begins, before its first turn; also after a restart and a reload."""

    run: RunInfo


@dataclass(frozen=True, slots=True)
class Preload:
    """A run was started ahead of its first message."""

    run: RunInfo


@dataclass(frozen=True, slots=True)
class ChatStart:
    """The session's very first turn is about to run."""

    turn: Turn[Any]


@dataclass(frozen=True, slots=True)
class ValidateMessages:
    """A message has arrived and is not in the history yet."""

    turn: Turn[Any]
    messages: tuple[UIMessage, ...]
    """What was sent: one message. Of a tool's answer only the answered parts."""


@dataclass(frozen=True, slots=True)
class Hydrate:
    """The history is wanted from where the task keeps it."""

    turn: Turn[Any]
    incoming: tuple[UIMessage, ...]
    """What was sent; it is put behind what the hook returns."""
    stored: tuple[UIMessage, ...]
    """The session's own transcript."""


@dataclass(frozen=True, slots=True)
class TurnStart:
    """A turn is about to run: its message is in the history."""

    turn: Turn[Any]


@dataclass(frozen=True, slots=True)
class PrepareMessages:
    """Model messages are about to be used; what a hook returns is used instead, never kept."""

    turn: Turn[Any]
    messages: tuple[ModelMessage, ...]
    reason: Literal["run", "compaction-result"] = "run"


@dataclass(frozen=True, slots=True)
class BeforeTurnComplete:
    """The answer is whole; what is written now still becomes part of it."""

    turn: Turn[Any]
    outcome: OutcomeKind
    response: UIMessage | None
    """The answer so far, None when there is none."""


@dataclass(frozen=True, slots=True)
class TurnComplete:
    """A turn has ended and is durable."""

    turn: Turn[Any]
    outcome: OutcomeKind
    response: UIMessage | None
    """The assistant's message as it was kept, None when there is none."""
    raw_response: UIMessage | None
    """The same exactly as it was streamed: with tool calls that a stop left unfinished."""
    new_messages: tuple[UIMessage, ...]
    """What this turn added to the session: the user's message, then the answer."""
    finish_reason: str | None
    """The model's; "error" for a turn that failed."""
    usage: Usage
    """Of this turn; `turn.total_usage` has the run's."""
    error: BaseException | None
    """What failed the turn, None unless `outcome` is "failed"."""
    cursor: int
    """The number of the turn-complete record: a reader that has this one has the turn."""


@dataclass(frozen=True, slots=True)
class Suspend:
    """The run has nothing to do and goes to sleep; nothing of it is lost."""

    run: RunInfo
    phase: Literal["preload", "turn"]
    """What it has done last: "preload" before its first turn."""


@dataclass(frozen=True, slots=True)
class Resume:
    """The run was woken."""

    run: RunInfo
    phase: Literal["preload", "turn"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """The run before died in the middle of an answer; this one takes over.

    By default the partial answer stays in the history as it is. A hook may edit the history, or
    call `rerun` to have the question answered anew.
    """

    run: RunInfo
    history: TurnHistory
    partial: UIMessage | None
    """The answer as it was kept; None when nothing of it was worth keeping."""
    raw_partial: UIMessage | None
    """The answer as it was streamed, unfinished tool calls included."""
    why: str
    """What ended it, a sentence."""
    rerun: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Compacted:
    """The conversation is shown to the model as a summary from here on."""

    turn: Turn[Any]
    summary: str


@dataclass(frozen=True, slots=True)
class HookPoint(Generic[Event]):
    """A place where hooks run, and what becomes of what they raise."""

    name: str
    event: type[Event]
    on_error: Literal["raise", "log"] = "raise"
    last_in_first_out: bool = False


BOOT = HookPoint("on_boot", Boot)
PRELOAD = HookPoint("on_preload", Preload)
CHAT_START = HookPoint("on_chat_start", ChatStart)
VALIDATE_MESSAGES = HookPoint("validate_messages", ValidateMessages)
HYDRATE = HookPoint("hydrate", Hydrate)
TURN_START = HookPoint("on_turn_start", TurnStart)
PREPARE_MESSAGES = HookPoint("prepare_messages", PrepareMessages)
BEFORE_TURN_COMPLETE = HookPoint("on_before_turn_complete", BeforeTurnComplete)
TURN_COMPLETE = HookPoint("on_turn_complete", TurnComplete, on_error="log", last_in_first_out=True)
SUSPEND = HookPoint("on_suspend", Suspend, on_error="log")
RESUME = HookPoint("on_resume", Resume, on_error="log")
RECOVERY = HookPoint("on_recovery", Recovery, on_error="log")
COMPACTED = HookPoint("on_compacted", Compacted, on_error="log")


class HookTable:
    """The hooks of one task, by point, in the order declared."""

    def __init__(self) -> None:
        self._hooks: dict[str, list[Callable[[Any], Any]]] = {}

    def __contains__(self, point: HookPoint[Any]) -> bool:
        return point.name in self._hooks

    def add(self, point: HookPoint[Any], hook: HookFunction) -> HookFunction:
        """Attach `hook` at `point` and return it as it is."""
        self._hooks.setdefault(point.name, []).append(hook)
        return hook

    async def run(self, point: HookPoint[Event], event: Event) -> None:
        """Run the hooks of `point` one after another.

        Raises:
            Exception: What a hook raised, when the point's policy is "raise"; the rest of the
                hooks do not run then.
        """
        hooks = self._hooks.get(point.name, ())
        for hook in reversed(hooks) if point.last_in_first_out else tuple(hooks):
            try:
                with HookWatch(point.name, hook):
                    await call(hook, event)
            except Exception:
                if point.on_error == "raise":
                    raise
                logger.exception("%s hook %s failed", point.name, _name(hook))

    async def ask(
        self, point: HookPoint[Event], value: Answer, event: Callable[[Answer], Event]
    ) -> Answer:
        """Pass `value` through the hooks of `point`, each of which may return another.

        `event` makes the event for the value as it stands; None returned keeps it.

        Raises:
            Exception: What a hook raised.
        """
        for hook in tuple(self._hooks.get(point.name, ())):
            with HookWatch(point.name, hook):
                answer = await call(hook, event(value))
            value = value if answer is None else answer
        return value

    def of(self, point: HookPoint[Any]) -> Sequence[Callable[[Any], Any]]:
        """Return the hooks of `point`, in the order declared."""
        return tuple(self._hooks.get(point.name, ()))


HookFunction = TypeVar("HookFunction", bound=Callable[..., Any])


async def call(hook: Callable[[Any], Any], event: object) -> Any:
    """Call `hook`, which may be plain or async, and return what it returns."""
    result = hook(event)
    return await result if inspect.isawaitable(result) else result


def _name(hook: Callable[..., object]) -> str:
    code = getattr(hook, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{getattr(hook, '__qualname__', hook)!s}{where}"
