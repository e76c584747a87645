"""Declaring tasks: `chat.task`, `chat.session`, `chat.custom`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from chatrun.engine.durations import Duration, seconds
from chatrun.engine.skills import Skills, skills_of
from chatrun.engine.task import ChatTask, Level, OnDisconnect, TaskFunction, TaskOptions
from chatrun.errors import InvalidInput

if TYPE_CHECKING:
    from chatrun.ai.tools import Tool
    from chatrun.engine.raw import RawSession
    from chatrun.engine.session import ChatSession
    from chatrun.engine.steering import Busy
    from chatrun.engine.storage import TranscriptStorage

Data = TypeVar("Data")
SessionFunction = Callable[["ChatSession[Data]"], Any]
RawFunction = Callable[["RawSession[Data]"], Any]

SkillsOption = Skills | str | Path | Iterable[str | Path]

_declared: ContextVar[list[ChatTask[Any]] | None] = ContextVar("declared", default=None)


@contextmanager
def collect_tasks() -> Iterator[list[ChatTask[Any]]]:
    """Yield a list that every task declared within the block is added to, in order."""
    tasks: list[ChatTask[Any]] = []
    reset = _declared.set(tasks)
    try:
        yield tasks
    finally:
        _declared.reset(reset)


class DeclareOptions(TypedDict, total=False):
    """The options of `task`, which see."""

    action: Any
    tools: Sequence[Tool]
    skills: SkillsOption
    storage: TranscriptStorage | None
    max_turns: int
    turn_timeout: Duration
    idle_timeout: Duration
    busy: Busy
    on_disconnect: OnDisconnect


def task(
    task_id: str,
    *,
    client_data: type[Data] | None = None,
    action: Any = None,
    tools: Sequence[Tool] = (),
    skills: SkillsOption = (),
    storage: TranscriptStorage | None = None,
    max_turns: int = 100,
    turn_timeout: Duration = "1h",
    idle_timeout: Duration = 30,
    busy: Busy = "queue",
    on_disconnect: OnDisconnect = "stop",
) -> Callable[[TaskFunction[Data]], ChatTask[Data]]:
    """Declare the function below as the task `task_id`.

    The function takes a `Turn` and answers it. It is an `async def` that returns, or an async
    generator that yields, any of: a `stream_text(...)` result, text, chunks, a UI message, a
    raw stream of the `anthropic` or `openai` packages, or an iterator of these. A plain `def`
    runs in a thread. Everything sent becomes the assistant's message.

    Args:
        task_id: How clients name the task: 1 to 128 letters, digits, `.`, `_`, `:`, `-`.
        client_data: A pydantic model, or any type pydantic can validate, for what clients send
            along with a message (`clientData`). `turn.client_data` has that type then; a
            message whose data does not fit is answered with an error.
        action: The type of the actions that clients may send, a pydantic model or a union of
            them; see `ChatTask.on_action`. Without it, actions arrive as they come.
        tools: Tools that `stream_text` offers to the model in every turn.
        skills: Folders with a SKILL.md, as patterns relative to the task's file or a folder above
            it ("skills/*"). The model is told of them and has tools to read and to run them.
        storage: Where what was said is kept besides the session's own transcript: your database,
            behind a `TranscriptStorage`. A run takes the history from there.
        max_turns: Completed turns after which a run ends. The next message starts another run,
            which continues the session; nothing is lost.
        turn_timeout: How long one turn may take before it is ended as timed out, and how long a
            suspended run waits for the next message. Seconds, a `timedelta` or text as "1h".
        idle_timeout: How long a run stays awake after a turn before it is suspended.
        busy: What becomes of a message that arrives while an answer is given: "queue" answers it
            next; "steer" shows it to the model at its next step, or answers it next where there
            is none; "interrupt" stops the answer and goes on with the message; "reject" refuses
            it with an error.
        on_disconnect: What happens to a turn that was started through the AI SDK's own
            transports (`/api/chat/...`), which know no other way to stop than to close the
            request: "stop" stops the turn, unless the client resumes streams; "keep" lets it
            finish.

    Raises:
        InvalidInput: `task_id` or an option cannot be used.
    """
    options = DeclareOptions(
        action=action,
        tools=tools,
        skills=skills,
        storage=storage,
        max_turns=max_turns,
        turn_timeout=turn_timeout,
        idle_timeout=idle_timeout,
        busy=busy,
        on_disconnect=on_disconnect,
    )
    return _declaring("turn", task_id, client_data, options)


def session(
    task_id: str, *, client_data: type[Data] | None = None, **options: Unpack[DeclareOptions]
) -> Callable[[SessionFunction[Data]], ChatTask[Data]]:
    """Declare the function below, a loop over turns, as the task `task_id`.

    The function is an `async def` that takes a `ChatSession` and iterates over it; it is called
    once for each run. Hooks and options are those of `task`, and clients see no difference.

    Raises:
        InvalidInput: `task_id`, an option or the function cannot be used.
    """
    return _declaring("session", task_id, client_data, options)


def custom(
    task_id: str, *, client_data: type[Data] | None = None, **options: Unpack[DeclareOptions]
) -> Callable[[RawFunction[Data]], ChatTask[Data]]:
    """Declare the function below, which does all by itself, as the task `task_id`.

    The function is an `async def` that takes a `RawSession`; it is called once for each run. No
    hook of a turn runs, and nothing is kept of what is said but what the function keeps. Options
    are those of `task`.

    Raises:
        InvalidInput: `task_id`, an option or the function cannot be used.
    """
    return _declaring("raw", task_id, client_data, options)


def _declaring(
    level: Level, task_id: str, client_data: type[Data] | None, given: DeclareOptions
) -> Callable[[Callable[[Any], Any]], ChatTask[Data]]:
    options = _task_options(task_id, given)

    def declare(function: Callable[[Any], Any]) -> ChatTask[Data]:
        if level != "turn" and not inspect.iscoroutinefunction(function):
            raise InvalidInput(f"the function of task {task_id!r} must be an `async def`")
        declared: ChatTask[Data] = ChatTask(
            task_id,
            function,
            options=options,
            level=level,
            client_data=client_data,
            action=given.get("action"),
            tools=tuple(given.get("tools", ())),
            skills=skills_of(given.get("skills", ()), function),
            storage=given.get("storage"),
        )
        collected = _declared.get()
        if collected is not None:
            collected.append(declared)
        return declared

    return declare


def _task_options(task_id: str, given: DeclareOptions) -> TaskOptions:
    max_turns = given.get("max_turns", 100)
    if max_turns < 1:
        raise InvalidInput(f"max_turns of task {task_id!r} is {max_turns}; it must be 1 or more")
    return TaskOptions(
        max_turns=max_turns,
        turn_timeout_s=seconds(given.get("turn_timeout", "1h"), name="turn_timeout"),
        idle_timeout_s=seconds(given.get("idle_timeout", 30), name="idle_timeout"),
        busy=given.get("busy", "queue"),
        on_disconnect=given.get("on_disconnect", "stop"),
    )
