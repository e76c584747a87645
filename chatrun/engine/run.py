"""A run: one life of a task serving one session, turn after turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from chatrun.engine.perform import Performance
from chatrun.models.base import Usage
from chatrun.store.base import OutWrite
from chatrun.wire.inputs import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatrun.engine.history import History
    from chatrun.engine.mailbox import Letter, Mailbox
    from chatrun.engine.port import RunPort
    from chatrun.engine.task import ChatTask

EndReason = Literal["asked", "idle", "closed", "max-turns"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Which run this is."""

    run_id: str
    session_id: str
    chat_id: str
    previous_run_id: str | None = None
    preloaded: bool = False
    show_errors: bool = False
    """Whether clients see the text of exceptions, as in `chatrun dev`."""


@dataclass(slots=True)
class Run:
    """What a run holds from its first turn to its last."""

    task: ChatTask[Any]
    info: RunInfo
    port: RunPort
    mailbox: Mailbox
    history: History
    report: Callable[[Mapping[str, object]], None] = lambda _event: None
    """Told of what happens, for consoles and logs."""
    turns: int = 0
    """Turns begun, and so the number of the next one."""
    usage: Usage = field(default_factory=Usage)

    async def serve(self) -> EndReason:
        """Answer messages one at a time until there is a reason to end; return the reason.

        Messages that still wait then are left for the next run. Cancelling it abandons the
        turn that runs; what was written of it stays.

        Raises:
            StoreError: The run has lost its session.
        """
        while self.turns < self.task.options.max_turns:
            letter = await self._next()
            if letter is None:
                return "asked" if self.mailbox.leaving else "idle"
            if isinstance(letter.message, Message) and letter.message.trigger == "close":
                await self._consume()
                return "closed"
            await Performance(self, letter).run()
            self.turns += 1
        return "max-turns"

    async def _next(self) -> Letter | None:
        """Wait for a message: awake at first, then suspended."""
        options = self.task.options
        letter = await self.mailbox.next(wait_s=options.idle_timeout_s)
        if letter is None and not self.mailbox.leaving:
            letter = await self.mailbox.next(wait_s=options.turn_timeout_s)
        return letter

    async def _consume(self) -> None:
        """Store that the records up to here need no answer."""
        self.mailbox.done()
        await self.port.commit(OutWrite(in_cursor=self.mailbox.cursor, state=self.state()))

    def state(self) -> Mapping[str, object]:
        """Return what the next run must know that neither stream nor transcript tells."""
        return {"stops": self.mailbox.stops}
