"""A session as a loop over its turns: `@chat.session`.

    @chat.session("my-chat")
    async def my_chat(session: ChatSession):
        async for turn in session:
            await turn.complete(stream_text("openai:gpt-4o", messages=turn.messages))

Each turn is prepared as in `@chat.task`, hooks included, and ends the same way; between the two it
is in the hands of the loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from chatrun.ai.scope import enter_scope
from chatrun.engine.mailbox import Letter
from chatrun.engine.outcome import Failed, Finished, Outcome, Stopped
from chatrun.engine.perform import Performance
from chatrun.engine.supervise import STOP_GRACE_S
from chatrun.engine.turn import Turn, UpgradeWanted, set_current_turn
from chatrun.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatrun.engine.captured import Captured
    from chatrun.engine.run import EndReason, Run, RunInfo

Data = TypeVar("Data")


class LoopTurn(Turn[Data]):
    """A turn of `ChatSession`: all that `Turn` is, and the way to its end.

    A stop and the time limit cancel what `complete` and `pipe` send, wherever it waits, so what
    takes time belongs in there. Code beside them is not cancelled: `stopped` tells it. When it
    does not end a stopped turn within 1.2 s the turn is ended for it, and what it still sends is
    dropped.
    """

    _hold: _Hold

    async def pipe(self, source: object) -> Captured:
        """Send whatever `source` gives, anything that a task may return; the turn goes on.

        It never raises what `source` raises: the turn ends as the last thing that was piped has,
        so another attempt may follow one that failed.

        Raises:
            InvalidInput: The turn is complete.
        """
        return await self._hold.pipe(source)

    async def complete(self, source: object = None) -> Captured:
        """Send whatever `source` gives, as `pipe` does, and end the turn.

        On return the turn is durable and the hooks behind it have run.

        Raises:
            InvalidInput: The turn is complete.
        """
        captured = await self._hold.pipe(source)
        await self._hold.end()
        return captured

    async def done(self) -> None:
        """End the turn with what was sent. Nothing happens when it is complete.

        A loop that asks for its next turn, returns or raises does this, too.
        """
        await self._hold.end()


class ChatSession(Generic[Data]):
    """The turns of one run of a session, in the order in which they were asked for.

    Iterating ends with the run: when nothing came for long enough, the session was closed, newer
    code is to take over, or `max_turns` is reached. Messages that wait then are the next run's.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._hold: _Hold | None = None
        self._cancel: Callable[[], object] = lambda: None
        self.end_reason: EndReason | None = None
        """Why there are no more turns, None while there may be."""
        self.has_asked = False
        """Whether a turn was asked for."""

    def __repr__(self) -> str:
        return f"<ChatSession {self._run.info.chat_id}>"

    @property
    def run(self) -> RunInfo:
        """Which run of which session this is."""
        return self._run.info

    @property
    def is_open(self) -> bool:
        """Whether a turn is in the hands of the loop."""
        return self._hold is not None and not self._hold.is_over

    def __aiter__(self) -> ChatSession[Data]:
        return self

    async def __anext__(self) -> LoopTurn[Data]:
        self.has_asked = True
        if self._hold is not None:
            await self._hold.end()
        while self.end_reason is None:
            letter = await self._run.next_letter()
            if not isinstance(letter, Letter):
                self.end_reason = letter
                break
            performance = Performance(self._run, letter, turn_type=LoopTurn)
            if await self._begin(performance):
                return self._hand_over(performance)
        raise StopAsyncIteration

    async def _begin(self, performance: Performance) -> bool:
        try:
            return await performance.begin()
        except UpgradeWanted:
            self.end_reason = "upgrade"
            return False

    def _hand_over(self, performance: Performance) -> LoopTurn[Data]:
        turn = cast("LoopTurn[Data]", performance.turn)
        turn._hold = self._hold = _Hold(performance, overdue=lambda: self._cancel())
        set_current_turn(turn)
        enter_scope(turn)
        return turn

    # --- for the run ------------------------------------------------------------------------

    def when_overdue(self, cancel: Callable[[], object]) -> None:
        """Call `cancel` when the loop has kept a turn beyond its time limit."""
        self._cancel = cancel

    async def leave(self, error: BaseException | None) -> None:
        """End the open turn: as failed with `error`, else with what was sent."""
        if self._hold is not None:
            await self._hold.end(Failed(error) if error is not None else None)

    def abandon(self) -> None:
        """Watch over nothing any more."""
        if self._hold is not None:
            self._hold.abandon()


class _Hold:
    """A turn in the hands of a loop, and who ends it when the loop does not."""

    def __init__(self, performance: Performance, *, overdue: Callable[[], object]) -> None:
        self._performance = performance
        self._overdue = overdue
        self._outcome: Outcome = Finished()
        self._busy = asyncio.Lock()
        self._ended_by_loop = False
        self.is_over = False
        """Whether the turn is complete, or about to be."""
        self._watch: asyncio.Task[Any] = asyncio.create_task(self._stand_by(), name="turn's watch")

    async def pipe(self, source: object) -> Captured:
        """Send what `source` gives."""
        if self._ended_by_loop:
            raise InvalidInput("this turn is complete: nothing can be sent in it any more")
        async with self._busy:
            if not self.is_over:
                self._outcome = await self._performance.answer(source)
        return self._performance.captured(self._outcome)

    async def end(self, outcome: Outcome | None = None) -> None:
        """Complete the turn, by default as what was piped last has ended."""
        self._ended_by_loop = True
        self.abandon()
        async with self._busy:
            await self._end(outcome or self._outcome)

    async def _end(self, outcome: Outcome) -> None:
        if self.is_over:
            return
        if isinstance(outcome, Finished):
            outcome = await self._performance.conclude()
        self.is_over, self._outcome = True, outcome
        await self._performance.end(outcome)

    async def _stand_by(self) -> None:
        """End the turn when it was stopped or took too long, and the loop does not."""
        outcome = await self._performance.interruption()
        if isinstance(outcome, Stopped):
            await asyncio.sleep(STOP_GRACE_S)
            await self._end_for_loop(outcome)
            outcome = await self._performance.run_out()
        await self._end_for_loop(outcome)
        self._overdue()

    async def _end_for_loop(self, outcome: Outcome) -> None:
        async with self._busy:
            await self._end(outcome)

    def abandon(self) -> None:
        """Leave the turn to the loop, unless it is being ended at this moment."""
        if not self._busy.locked():
            self._watch.cancel()
