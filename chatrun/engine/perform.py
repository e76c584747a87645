"""One turn, from its input record to its turn-complete record and the hooks behind it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from chatrun.ai.scope import enter_scope
from chatrun.aio import end_within
from chatrun.engine.answer import Answer
from chatrun.engine.history import receive
from chatrun.engine.hooks import TURN_COMPLETE, TURN_START, TurnComplete, TurnStart
from chatrun.engine.outcome import (
    Failed,
    Finished,
    Outcome,
    Stopped,
    TimedOut,
    closing_chunks,
    outcome_kind,
)
from chatrun.engine.report import turn_ended
from chatrun.engine.turn import Turn, set_current_turn
from chatrun.errors import ChatError, InvalidInput, StoreError, TaskFailed
from chatrun.models.detect import chunks_of
from chatrun.store.base import OutWrite
from chatrun.wire.ids import new_id
from chatrun.wire.inputs import Junk, Message
from chatrun.wire.records import (
    IN_EVENT_ID,
    KEEP_ALIVE,
    OUTCOME,
    control_line,
    data_line,
)
from chatrun.wire.records import (
    TURN_COMPLETE as TURN_COMPLETE_RECORD,
)
from chatrun.wire.records import (
    TURN_START as TURN_START_RECORD,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.engine.mailbox import Letter
    from chatrun.engine.run import Run
    from chatrun.messages.types import UIMessage

logger = logging.getLogger("chatrun.turn")

STOP_GRACE_S = 1.2
"""How long code may take to end once its turn is stopped; then it is left behind."""
KEEP_ALIVE_S = 30.0
"""Clients give up on a stream without a record after six minutes (wire.md §8.1)."""


class Performance:
    """A turn of `run` that answers `letter`."""

    def __init__(self, run: Run, letter: Letter) -> None:
        self._run = run
        self._letter = letter
        self._before = {message["id"] for message in run.history.messages}
        self._turn: Turn[Any] | None = None
        self._answer: Answer | None = None

    async def run(self) -> None:
        """Run the turn to its end, however it ends, and make that durable.

        Raises:
            StoreError: The run has lost its session; the turn is not completed.
        """
        started = time.monotonic()
        self._report({"event": "turn-started"})
        outcome = await self._outcome()
        cursor = await self._complete(outcome)
        self._run.mailbox.done()
        took_s = time.monotonic() - started
        self._report({"event": "turn-ended", **turn_ended(outcome, took_s=took_s)})
        await self._after(outcome, cursor)

    # --- the work ---------------------------------------------------------------------------

    async def _outcome(self) -> Outcome:
        try:
            turn = self._begin()
        except InvalidInput as exc:
            return Failed(ChatError(str(exc)))  # the client's matter, so the client is told
        if self._letter.stopped:  # before it began: not a line of the user's code runs
            turn.stopped = True
            return Stopped()
        body = asyncio.create_task(self._body(turn), name=f"turn {turn!r}")
        try:
            return await self._supervise(turn, body)
        except asyncio.CancelledError:
            turn.cancelled = True
            await end_within(body, grace_s=STOP_GRACE_S, what=f"{self._run.task!r}")
            raise

    def _begin(self) -> Turn[Any]:
        """Take the message into the history and tell the clients that its turn begins."""
        run, letter = self._run, self._letter
        begins = control_line(TURN_START_RECORD, {IN_EVENT_ID: str(letter.seq)})
        try:
            incoming = _readable(letter.message)
            fallback_id = f"msg_{run.info.session_id.removeprefix('session_')}_{letter.seq}"
            receive(run.history, incoming, fallback_id=fallback_id)
        finally:
            run.port.write(OutWrite(lines=(begins,), changes=run.history.take_changes()))
        base = run.history.last_assistant()
        self._answer = Answer(run.port, message_id=new_id("msg"), base=base)
        self._turn = Turn(
            run.info,
            number=run.turns,
            incoming=incoming,
            client_data=incoming.metadata,
            history=run.history,
            answer=self._answer,
            tools=run.task.tools,
            usage_before=run.usage,
        )
        return self._turn

    async def _body(self, turn: Turn[Any]) -> Outcome:
        """Run the user's code; whatever it raises becomes the outcome."""
        task = self._run.task
        try:
            set_current_turn(turn)
            enter_scope(turn)
            turn.client_data = task.client_data.parse(turn.client_data)
            await task.hooks.run(TURN_START, TurnStart(turn))
            await self._call(turn)
        except (asyncio.CancelledError, StoreError):
            raise
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as exc:
            return Failed(TaskFailed(f"{task!r} raised {type(exc).__name__}({exc})"))
        except Exception as exc:
            logger.debug("%r failed", task, exc_info=True)
            return Failed(exc)
        return Finished()

    async def _call(self, turn: Turn[Any]) -> None:
        assert self._answer is not None
        answer, function = self._answer, self._run.task.function
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            result = function(turn)
        else:
            result = await asyncio.to_thread(function, turn)
        async with aclosing(chunks_of(result)) as chunks:
            async for chunk in chunks:
                answer.send(chunk)
                await answer.ready()
        answer.finish()

    async def _supervise(self, turn: Turn[Any], body: asyncio.Task[Outcome]) -> Outcome:
        """Wait for the work, a stop or the time limit, whichever is first."""
        run = self._run
        limit_s = run.task.options.turn_timeout_s
        ends_at = time.monotonic() + limit_s
        stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        run.mailbox.when_stopped(partial(_resolve, stop))
        while True:
            wait_s = min(KEEP_ALIVE_S, ends_at - time.monotonic())
            either: set[asyncio.Future[Any]] = {body, stop}
            await asyncio.wait(either, timeout=max(wait_s, 0), return_when=asyncio.FIRST_COMPLETED)
            if body.done():
                return _result(body, run.task)
            if stop.done() or time.monotonic() >= ends_at:
                turn.stopped = stop.done()
                await end_within(body, grace_s=STOP_GRACE_S, what=f"{run.task!r}")
                return Stopped() if stop.done() else TimedOut(limit_s)
            self._keep_alive()

    def _keep_alive(self) -> None:
        """Show clients of a silent turn that it is alive."""
        assert self._answer is not None
        if time.monotonic() - self._answer.last_write >= KEEP_ALIVE_S:
            self._run.port.append(control_line(KEEP_ALIVE))

    # --- the end ----------------------------------------------------------------------------

    async def _complete(self, outcome: Outcome) -> int:
        """Write the turn's end, all of it in one transaction; return its record's number."""
        run, answer = self._run, self._answer
        closing = closing_chunks(outcome, show_errors=run.info.show_errors)
        if answer is not None:
            answer.close()
        message = self._kept(outcome)
        if message is not None:
            run.history.put(message)
        if self._turn is not None:
            run.usage = self._turn.total_usage
        cursor = run.mailbox.cursor
        headers = {IN_EVENT_ID: str(cursor), OUTCOME: outcome_kind(outcome)}
        return await run.port.commit(
            OutWrite(
                lines=(*map(data_line, closing), control_line(TURN_COMPLETE_RECORD, headers)),
                changes=run.history.take_changes(),
                in_cursor=cursor,
                state=run.state(),
                ends_turn=True,
            )
        )

    def _kept(self, outcome: Outcome) -> UIMessage | None:
        """Return the answer as it enters the history; what was streamed is never thrown away."""
        if self._answer is None:
            return None
        if isinstance(outcome, Finished):
            return self._answer.raw_message()
        return self._answer.kept_message()

    async def _after(self, outcome: Outcome, cursor: int) -> None:
        """Run the hooks behind the turn; the next turn waits for them."""
        hooks = self._run.task.hooks
        if self._turn is None or TURN_COMPLETE not in hooks:
            return
        messages = self._run.history.messages
        event = TurnComplete(
            turn=self._turn,
            outcome=outcome_kind(outcome),
            response=self._run.history.last_assistant(),
            new_messages=tuple(m for m in messages if m["id"] not in self._before),
            finish_reason="error" if isinstance(outcome, Failed) else self._finish_reason(),
            usage=self._turn.usage,
            error=outcome.error if isinstance(outcome, Failed) else None,
            cursor=cursor,
        )
        set_current_turn(self._turn)
        await hooks.run(TURN_COMPLETE, event)

    def _finish_reason(self) -> str | None:
        return self._answer.finish_reason if self._answer is not None else None

    def _report(self, event: Mapping[str, Any]) -> None:
        run = self._run
        run.report(
            {**event, "chat_id": run.info.chat_id, "task_id": run.task.id, "turn": run.turns}
        )


def _readable(message: Message | Junk) -> Message:
    if isinstance(message, Junk):
        raise InvalidInput(message.reason)
    return message


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _result(body: asyncio.Task[Outcome], task: object) -> Outcome:
    """Return the outcome of a body that has ended by itself."""
    if body.cancelled():
        return Failed(TaskFailed(f"{task!r} cancelled itself"))
    return body.result()
