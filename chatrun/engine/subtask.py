"""A task used as a tool: its function answers the call in a turn within the caller's turn.

It has a history of its own, the one message, and no session: nothing of it is stored but what the
tool returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.ai.calls import current_call
from chatrun.ai.tools import Tool
from chatrun.aio import end_within
from chatrun.engine.forward import Forwarder, final_text
from chatrun.engine.history import History
from chatrun.engine.mailbox import Mailbox
from chatrun.engine.run import Run, RunInfo
from chatrun.engine.scopes import current_run
from chatrun.engine.tool_context import ToolContext, enter_tool_context
from chatrun.engine.turn import current_turn
from chatrun.errors import InvalidInput, TaskFailed
from chatrun.messages.fold import MessageFold
from chatrun.messages.types import is_tool_part, user_message
from chatrun.wire.ids import new_id
from chatrun.wire.records import OUTCOME, TURN_COMPLETE, InRecord, is_control, parse_control

if TYPE_CHECKING:
    from chatrun.ai.tools import NeedsApproval
    from chatrun.engine.task import ChatTask
    from chatrun.engine.turn import Turn
    from chatrun.messages.types import UIMessage
    from chatrun.store.base import OutWrite
    from chatrun.wire.records import Line

logger = logging.getLogger("chatrun.subtask")

STOP_S = 0.4
"""How long a stopped child may take for its own end, hooks included; then it is cancelled."""
_ENDING_S = 0.4

MessageOf = Callable[[Any], str]


@dataclass
class Prompt:
    """The input of a tool that names none."""

    prompt: str


def make_tool(
    task: ChatTask[Any],
    *,
    input: Any,
    name: str | None,
    description: str | None,
    message: MessageOf | None,
    needs_approval: NeedsApproval,
) -> Tool:
    """Return a tool that runs `task`; see `ChatTask.as_tool`."""
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Any] = TypeAdapter(Prompt if input is None else input)
    schema = adapter.json_schema()
    if schema.get("type") != "object":
        raise InvalidInput(f"the input of {task!r} as a tool must be an object, such as a model")

    async def run(given: dict[str, Any]) -> str:
        value = adapter.validate_python(given)
        said = message(value) if message is not None else _said(given)
        return await run_as_tool(task, said, value=value)

    return Tool.from_schema(
        name or _tool_name(task.id),
        schema,
        run,
        description=description or task.description or None,
        needs_approval=needs_approval,
    )


def _tool_name(task_id: str) -> str:
    """Return `task_id` with what providers do not take in a tool's name replaced."""
    return "".join(char if char.isalnum() or char in "_-" else "_" for char in task_id)[:64]


def _said(given: Mapping[str, Any]) -> str:
    """Return an input as a message: the text where it is nothing else, JSON otherwise."""
    values = list(given.values())
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return orjson.dumps(given).decode()


async def run_as_tool(task: ChatTask[Any], said: str, *, value: object) -> str:
    """Have `task` answer `said` within the current tool call, and return its final text.

    What it streams is forwarded to the clients of the current turn. Stopping that turn stops the
    child's; being cancelled for any other reason cancels it.

    Raises:
        TaskFailed: The child's turn did not finish, or waits for what only a client can give.
    """
    call, turn = current_call(), current_turn()
    assert call is not None, "tools are called by a toolbox"
    port = ForwardingPort(Forwarder(turn, call.tool_call_id), turn)
    run = _child_run(task, said, port=port, turn=turn)
    context = ToolContext(call, turn, value)
    work = asyncio.create_task(_serve(run, context), name=f"{task!r} as a tool")
    try:
        await asyncio.wait({work})
    except asyncio.CancelledError:
        if turn.stopped:
            run.mailbox.leave(stop=True)
            await asyncio.wait({work}, timeout=STOP_S)
        await end_within(work, grace_s=_ENDING_S, what=f"{task!r} as a tool")
        raise
    finally:
        port.forwarder.flush()
        turn.usage = turn.usage + run.usage
    await work
    return port.result(task)


async def _serve(run: Run, context: ToolContext) -> None:
    enter_tool_context(context)
    await run.serve()


def _child_run(task: ChatTask[Any], said: str, *, port: ForwardingPort, turn: Turn[Any]) -> Run:
    """Return a run that answers one message, in which nothing is stored."""
    parent = current_run()
    mailbox = Mailbox(consumed=-1, stops=-1)
    payload: dict[str, object] = {
        "trigger": "submit-message",
        "chatId": turn.chat_id,
        "message": user_message(said, message_id=new_id("msg")),
    }
    if "metadata" in turn.payload:
        payload["metadata"] = turn.payload["metadata"]
    mailbox.deliver((_record(0, payload), _record(1, {"trigger": "close"})))
    info = RunInfo(
        run_id=new_id("run"),
        session_id=turn.session_id,
        chat_id=turn.chat_id,
        show_errors=parent.info.show_errors,
    )
    return Run(
        task=task,
        info=info,
        port=port,
        mailbox=mailbox,
        history=History(),
        report=_log_failure,
        server=parent.server,
        locals=dict(parent.locals),
    )


def _record(seq: int, payload: Mapping[str, object]) -> InRecord:
    body = orjson.dumps({"kind": "message", "payload": payload}).decode()
    return InRecord(seq, 0, f"child-{seq}", body)


def _log_failure(event: Mapping[str, object]) -> None:
    """Tell the console where a child failed; its parent's turn goes on."""
    if event["event"] == "turn-ended" and "error" in event:
        task, error, trace = event["task_id"], event["error"], event.get("trace", "")
        logger.warning("task %r failed as a tool: %s\n%s", task, error, trace)


class ForwardingPort:
    """A child's way out: chunks go to the clients of the parent's turn, the rest to nobody."""

    def __init__(self, forwarder: Forwarder, turn: Turn[Any]) -> None:
        self.forwarder = forwarder
        self._turn = turn
        self._fold = MessageFold()
        self._outcome: str | None = None
        self._error: str | None = None

    def append(self, line: Line) -> None:
        """Take one record; see `RunPort`."""
        if is_control(line):
            control = parse_control(line)
            if control.subtype == TURN_COMPLETE:
                self._outcome = control.headers.get(OUTCOME)
            return
        chunk = orjson.loads(line)
        if chunk["type"] == "error":
            self._error = chunk["errorText"]
        self._fold.apply(chunk)
        self.forwarder.feed(line)

    def write(self, write: OutWrite) -> None:
        """Take the records of `write`; see `RunPort`."""
        for line in write.lines:
            self.append(line)

    async def ready(self) -> None:
        """Wait for the parent's readers; see `RunPort`."""
        await self._turn.ready()

    async def commit(self, write: OutWrite) -> int:
        """Take the records of `write`; they have no number. See `RunPort`."""
        self.write(write)
        self.forwarder.flush()
        return 0

    def result(self, task: ChatTask[Any]) -> str:
        """Return the final text of the answer.

        Raises:
            TaskFailed: The turn did not finish, or waits for what only a client can give.
        """
        if self._outcome != "finished":
            why = self._error or f"its turn was {self._outcome or 'not answered'}"
            raise TaskFailed(f"{task.id} failed: {why}")
        waiting = _waiting_call(self._fold.message)
        if waiting is not None:
            raise TaskFailed(
                f"{task.id} waits for a client to answer its tool call {waiting!r}, which cannot "
                "be done in a task that is used as a tool: talk to it with AgentChat"
            )
        return final_text(self._fold.message)


def _waiting_call(message: UIMessage) -> str | None:
    for part in message["parts"]:
        if is_tool_part(part) and part["state"] in ("input-available", "approval-requested"):
            return part["toolCallId"]
    return None
