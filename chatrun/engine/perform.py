"""One turn, from its input record to its turn-complete record and the hooks behind it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from chatrun.ai.scope import enter_scope
from chatrun.engine.action import TurnRequest
from chatrun.engine.answer import Answer
from chatrun.engine.captured import Captured
from chatrun.engine.compaction import compact
from chatrun.engine.hooks import (
    BEFORE_TURN_COMPLETE,
    TURN_COMPLETE,
    BeforeTurnComplete,
    TurnComplete,
)
from chatrun.engine.outcome import Failed, Finished, Outcome, outcome_kind
from chatrun.engine.prepare import Intake
from chatrun.engine.recovery import end_open_calls
from chatrun.engine.supervise import Supervisor
from chatrun.engine.turn import Turn, set_current_turn
from chatrun.engine.turn_watch import TurnWatch
from chatrun.errors import ChatError
from chatrun.wire.ids import new_id
from chatrun.wire.inputs import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chatrun.engine.mailbox import Letter
    from chatrun.engine.run import Run
    from chatrun.engine.storage import SaveReason


class Performance:
    """A turn of `run` that answers `letter`.

    Either `run` does all of it, or the task's own loop has it: `begin`, then `answer` as often as
    it likes, `conclude`, and `end`.
    """

    def __init__(self, run: Run, letter: Letter, *, turn_type: type[Turn[Any]] = Turn) -> None:
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
        self.turn = turn_type(run, incoming=incoming, answer=self._answer)
        """The turn as user code sees it."""
        self._supervisor = Supervisor(run, self._answer, self.turn)
        self._watch = TurnWatch(run, incoming)

    async def run(self) -> None:
        """Run the turn to its end, however it ends, and make that durable.

        Raises:
            UpgradeWanted: The turn is to be answered by newer code; nothing was answered yet.
            StoreError: The run has lost its session; the turn is not completed.
        """
        self._open()
        await self.end(await self._outcome_of(self._whole))

    async def begin(self) -> bool:
        """Do all that comes before the task; tell whether the turn is the caller's to answer.

        Otherwise it has ended: it was stopped, it could not be prepared, or it was an action.
        Raises what `run` raises.
        """
        self._open()
        outcome = await self._outcome_of(self._beginning)
        if not isinstance(outcome, Finished) or not self.is_turn:
            await self.end(outcome)
            return False
        self.turn.is_running = True
        return True

    async def answer(self, source: object) -> Outcome:
        """Send whatever `source` gives, and return how that ended; the turn goes on."""
        return await self._outcome_of(partial(self._send, source))

    async def conclude(self) -> Outcome:
        """Do what comes between the answer and the end of a turn that finished."""
        return await self._outcome_of(self._conclude)

    async def interruption(self) -> Outcome:
        """Wait until the turn is stopped or has taken too long."""
        return await self._supervisor.interruption()

    async def run_out(self) -> Outcome:
        """Wait until the turn has taken too long."""
        return await self._supervisor.run_out()

    def captured(self, outcome: Outcome) -> Captured:
        """Return what the turn has answered so far; `outcome` is how its last part ended."""
        return Captured.of(self._answer, outcome)

    async def end(self, outcome: Outcome) -> None:
        """Make durable that the turn ended so, and run the hooks behind it."""
        with self._watch:
            cursor = await self._complete(outcome)
            failed = not isinstance(outcome, Finished)
            await self._mirror("turn-error" if failed else "turn-complete")
        self._run.mailbox.done()
        self._watch.ended(outcome, self.turn.usage)
        with self._watch.entered():
            await self._after(outcome, cursor)
        self._run.tell("turn-settled")
        self._run.turns += self.is_turn

    def _open(self) -> None:
        self._run.begin_turn(self._letter.seq)
        self._watch.begin()

    async def _outcome_of(self, work: Callable[[], Awaitable[None]]) -> Outcome:
        async def watched() -> None:
            self._watch.enter()
            await work()

        with self._watch:
            return await self._supervisor.outcome_of(watched)

    # --- the work ---------------------------------------------------------------------------

    async def _whole(self) -> None:
        await self._prepare()
        if self.is_turn:
            await self._call()
        await self._conclude()

    async def _beginning(self) -> None:
        await self._prepare()
        if not self.is_turn:
            await self._conclude()

    async def _prepare(self) -> None:
        if self._unreadable is not None:
            raise ChatError(self._unreadable)
        set_current_turn(self.turn)
        enter_scope(self.turn)
        if self._is_action:
            await self._act()
        elif self._intake.is_repeat():
            self.is_turn = False
        else:
            await self._intake.prepare(self.turn, self._answer)
            if self._run.mirror is not None:  # beside the model, and before anybody sees a word
                self.turn.defer_before_output(self._mirror("turn-start"))

    async def _conclude(self) -> None:
        await self.turn.deferred.settle()
        await self._compact()
        await self._before_complete(Finished())
        self._answer.finish()

    async def _call(self) -> None:
        function = self._run.task.function
        self.turn.is_running = True
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            result = function(self.turn)
        else:
            result = await asyncio.to_thread(function, self.turn)
        await self._send(result)

    async def _act(self) -> None:
        """Have the task's handler apply the action; it may answer, or ask for a turn."""
        await self._intake.prepare_action(self.turn)
        result = await self._run.task.act(self.turn, self.turn.action)
        if isinstance(result, TurnRequest):
            self.is_turn = True
            self.turn.trigger = "action-turn"
            await self._intake.prepare_turn_of_action(self.turn, self._answer, result.message)
        elif result is not None:
            await self._send(result)

    async def _send(self, result: object) -> None:
        """Send whatever a task or a handler has returned."""
        await self._answer.send_all(
            result, on_finish=lambda finish: self.turn.report_usage(finish.usage)
        )

    async def _mirror(self, reason: SaveReason) -> None:
        given = "action" if self._is_action and reason == "turn-complete" else reason
        await self._run.mirror_history(given, client_data=self.turn.client_data)

    async def _compact(self) -> None:
        """Compact behind the turn if its steps have not, and a model was called at all."""
        if self.turn.last_usage.total_tokens is not None:
            await compact(self._run, self.turn, self.turn.messages, step=-1)

    async def _before_complete(self, outcome: Outcome) -> None:
        hooks = self._run.task.hooks
        if self.is_turn and BEFORE_TURN_COMPLETE in hooks:
            response = self._answer.raw_message()
            event = BeforeTurnComplete(self.turn, outcome_kind(outcome), response)
            await hooks.run(BEFORE_TURN_COMPLETE, event)

    # --- the end ----------------------------------------------------------------------------

    async def _complete(self, outcome: Outcome) -> int:
        """Write the turn's end, all of it in one transaction; return its record's number."""
        run = self._run
        finished = isinstance(outcome, Finished)
        raw = self._answer.raw_message()
        if raw is not None and not finished:
            for chunk in end_open_calls(raw):
                self._answer.send(chunk)
        self._answer.close()
        with contextlib.suppress(ChatError):
            self._intake.take_in()  # the question stays, whatever came before it was taken in
        kept = raw if finished else self._answer.kept_message()
        if kept is not None:
            run.history.put(kept)
        self.turn.raw_response, self.turn.response = raw, kept
        run.usage = run.usage + self.turn.usage
        return await run.complete_turn(outcome)

    async def _after(self, outcome: Outcome, cursor: int) -> None:
        """Run the hooks behind the turn; the next turn waits for them."""
        hooks = self._run.task.hooks
        if not self.is_turn or TURN_COMPLETE not in hooks:
            return
        failed = outcome if isinstance(outcome, Failed) else None
        messages = self._run.history.messages
        event = TurnComplete(
            turn=self.turn,
            outcome=outcome_kind(outcome),
            response=self.turn.response,
            raw_response=self.turn.raw_response,
            new_messages=tuple(m for m in messages if m["id"] not in self._before),
            finish_reason="error" if failed is not None else self._answer.finish_reason,
            usage=self.turn.usage,
            error=failed.error if failed is not None else None,
            cursor=cursor,
        )
        set_current_turn(self.turn)
        await hooks.run(TURN_COMPLETE, event)
