"""One turn, from its input record to its turn-complete record and the hooks behind it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from chatrun.ai.scope import enter_scope
from chatrun.aio import end_within
from chatrun.engine.action import TurnRequest
from chatrun.engine.answer import Answer
from chatrun.engine.compaction import compact
from chatrun.engine.hooks import (
    BEFORE_TURN_COMPLETE,
    TURN_COMPLETE,
    BeforeTurnComplete,
    TurnComplete,
)
from chatrun.engine.outcome import (
    Failed,
    Finished,
    Outcome,
    Stopped,
    TimedOut,
    closing_chunks,
    outcome_kind,
)
from chatrun.engine.prepare import Intake
from chatrun.engine.report import turn_ended
from chatrun.engine.turn import Turn, UpgradeWanted, set_current_turn
from chatrun.errors import ChatError, StoreError, TaskFailed
from chatrun.models.detect import chunks_of
from chatrun.store.base import OutWrite
from chatrun.wire.ids import new_id
from chatrun.wire.inputs import Message
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
        self._answer = Answer(run.port, message_id=new_id("msg"))
        message = letter.message
        self._unreadable = None if isinstance(message, Message) else message.reason
        incoming = message if isinstance(message, Message) else Message("submit-message")
        fallback_id = f"msg_{run.info.session_id.removeprefix('session_')}_{letter.seq}"
        self._is_action = incoming.trigger == "action"
        self.is_turn = not self._is_action
        """Whether it counts as a turn; an action only does when its handler asks for one."""
        self._intake = Intake(run, incoming, fallback_id=fallback_id)
        self._turn: Turn[Any] = Turn(run, incoming=incoming, answer=self._answer)

    async def run(self) -> None:
        """Run the turn to its end, however it ends, and make that durable.

        Raises:
            UpgradeWanted: The turn is to be answered by newer code; nothing was answered yet.
            StoreError: The run has lost its session; the turn is not completed.
        """
        started = time.monotonic()
        begins = control_line(TURN_START_RECORD, {IN_EVENT_ID: str(self._letter.seq)})
        self._run.port.append(begins)
        self._report({"event": "turn-started"})
        outcome = await self._outcome()
        cursor = await self._complete(outcome)
        self._run.mailbox.done()
        took_s = time.monotonic() - started
        self._report({"event": "turn-ended", **turn_ended(outcome, took_s=took_s)})
        await self._after(outcome, cursor)
        self._report({"event": "turn-settled"})

    # --- the work ---------------------------------------------------------------------------

    async def _outcome(self) -> Outcome:
        if self._unreadable is not None:
            return Failed(ChatError(self._unreadable))
        if self._letter.stopped:  # before it began: not a line of the user's code runs
            self._turn.stopped = True
            return Stopped()
        body = asyncio.create_task(self._body(), name=f"turn {self._turn!r}")
        try:
            return await self._supervise(body)
        except asyncio.CancelledError:
            self._turn.cancelled = True
            await end_within(body, grace_s=STOP_GRACE_S, what=f"{self._run.task!r}")
            raise

    async def _body(self) -> Outcome:
        """Run the user's code; whatever it raises becomes the outcome."""
        task = self._run.task
        try:
            set_current_turn(self._turn)
            enter_scope(self._turn)
            if self._is_action:
                await self._act()
            else:
                await self._intake.prepare(self._turn, self._answer)
            if self.is_turn:
                await self._call()
            await self._turn.deferred.settle()
            await self._compact()
            await self._before_complete(Finished())
            self._answer.finish()
        except (asyncio.CancelledError, StoreError, UpgradeWanted):
            raise
        except (SystemExit, KeyboardInterrupt, GeneratorExit) as exc:
            return Failed(TaskFailed(f"{task!r} raised {type(exc).__name__}({exc})"))
        except Exception as exc:
            logger.debug("%r failed", task, exc_info=True)
            return Failed(exc)
        return Finished()

    async def _call(self) -> None:
        function = self._run.task.function
        self._turn.is_running = True
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            result = function(self._turn)
        else:
            result = await asyncio.to_thread(function, self._turn)
        await self._send(result)

    async def _act(self) -> None:
        """Have the task's handler apply the action; it may answer, or ask for a turn."""
        await self._intake.prepare_action(self._turn)
        result = await self._run.task.act(self._turn, self._turn.action)
        if isinstance(result, TurnRequest):
            self.is_turn = True
            self._turn.trigger = "action-turn"
            await self._intake.prepare_turn_of_action(self._turn, self._answer, result.message)
        elif result is not None:
            await self._send(result)

    async def _send(self, result: object) -> None:
        """Send whatever a task or a handler has returned."""
        answer, turn = self._answer, self._turn
        told = chunks_of(result, on_finish=lambda finish: turn.report_usage(finish.usage))
        async with aclosing(told) as chunks:
            async for chunk in chunks:
                answer.send(chunk)
                await answer.ready()

    async def _compact(self) -> None:
        """Compact behind the turn if its steps have not, and a model was called at all."""
        if self._turn.last_usage.total_tokens is not None:
            await compact(self._run, self._turn, self._turn.messages, step=-1)

    async def _before_complete(self, outcome: Outcome) -> None:
        hooks = self._run.task.hooks
        if self.is_turn and BEFORE_TURN_COMPLETE in hooks:
            response = self._answer.raw_message()
            event = BeforeTurnComplete(self._turn, outcome_kind(outcome), response)
            await hooks.run(BEFORE_TURN_COMPLETE, event)

    async def _supervise(self, body: asyncio.Task[Outcome]) -> Outcome:
        """Wait for the work, a stop or the time limit, whichever is first."""
        run = self._run
        limit_s = run.turn_timeout_s
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
                self._turn.stopped = stop.done()
                await end_within(body, grace_s=STOP_GRACE_S, what=f"{run.task!r}")
                return Stopped() if stop.done() else TimedOut(limit_s)
            self._keep_alive()

    def _keep_alive(self) -> None:
        """Show clients of a silent turn that it is alive."""
        if time.monotonic() - self._answer.last_write >= KEEP_ALIVE_S:
            self._run.port.append(control_line(KEEP_ALIVE))

    # --- the end ----------------------------------------------------------------------------

    async def _complete(self, outcome: Outcome) -> int:
        """Write the turn's end, all of it in one transaction; return its record's number."""
        run = self._run
        self._answer.close()
        with contextlib.suppress(ChatError):
            self._intake.take_in()  # the question stays, whatever came before it was taken in
        finished = isinstance(outcome, Finished)
        raw = self._answer.raw_message()
        kept = raw if finished else self._answer.kept_message()
        if kept is not None:
            run.history.put(kept)
        self._turn.raw_response, self._turn.response = raw, kept
        run.usage = run.usage + self._turn.usage
        cursor = run.mailbox.cursor
        closing = closing_chunks(outcome, show_errors=run.info.show_errors)
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

    async def _after(self, outcome: Outcome, cursor: int) -> None:
        """Run the hooks behind the turn; the next turn waits for them."""
        hooks = self._run.task.hooks
        if not self.is_turn or TURN_COMPLETE not in hooks:
            return
        failed = outcome if isinstance(outcome, Failed) else None
        messages = self._run.history.messages
        event = TurnComplete(
            turn=self._turn,
            outcome=outcome_kind(outcome),
            response=self._turn.response,
            raw_response=self._turn.raw_response,
            new_messages=tuple(m for m in messages if m["id"] not in self._before),
            finish_reason="error" if failed is not None else self._answer.finish_reason,
            usage=self._turn.usage,
            error=failed.error if failed is not None else None,
            cursor=cursor,
        )
        set_current_turn(self._turn)
        await hooks.run(TURN_COMPLETE, event)

    def _report(self, event: Mapping[str, Any]) -> None:
        run = self._run
        run.report(
            {**event, "chat_id": run.info.chat_id, "task_id": run.task.id, "turn": run.turns}
        )


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _result(body: asyncio.Task[Outcome], task: object) -> Outcome:
    """Return the outcome of a body that has ended by itself."""
    if body.cancelled():
        return Failed(TaskFailed(f"{task!r} cancelled itself"))
    return body.result()
