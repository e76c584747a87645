"""A run: one life of a task serving one session, turn after turn."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from chatrun.engine.compaction import Summary
from chatrun.engine.hooks import (
    BOOT,
    PRELOAD,
    RECOVERY,
    RESUME,
    SUSPEND,
    Boot,
    Preload,
    Recovery,
    Resume,
    Suspend,
)
from chatrun.engine.mailbox import Letter
from chatrun.engine.mirror import Mirror
from chatrun.engine.outcome import Failed, Outcome, closing_chunks, outcome_kind
from chatrun.engine.own_loop import serve_own_loop
from chatrun.engine.perform import Performance
from chatrun.engine.prepare import Intake
from chatrun.engine.report import turn_ended
from chatrun.engine.scopes import enter_run
from chatrun.engine.turn import UpgradeWanted
from chatrun.engine.turn_history import TurnHistory
from chatrun.errors import ChatError, StoreError
from chatrun.models.base import Usage
from chatrun.store.base import OutWrite
from chatrun.wire.inputs import Message
from chatrun.wire.records import (
    IN_EVENT_ID,
    OUTCOME,
    TURN_COMPLETE,
    TURN_START,
    control_line,
    data_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatrun.engine.history import History
    from chatrun.engine.mailbox import Mailbox
    from chatrun.engine.port import RunPort
    from chatrun.engine.storage import SaveReason
    from chatrun.engine.task import ChatTask
    from chatrun.messages.types import ModelMessage

logger = logging.getLogger("chatrun.run")

EndReason = Literal["asked", "idle", "closed", "max-turns", "ended", "upgrade", "boot-failed"]


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the server of a run answers, and the key to it, for tasks that talk to other tasks."""

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Which run this is."""

    run_id: str
    session_id: str
    chat_id: str
    previous_run_id: str | None = None
    """The run that served the session before; None for its first."""
    preloaded: bool = False
    """Whether it was started ahead of its first message."""
    show_errors: bool = False
    """Whether clients see the text of exceptions, as in `chatrun dev`."""

    @property
    def continuation(self) -> bool:
        """Whether an earlier run has served the session already."""
        return self.previous_run_id is not None


@dataclass(slots=True)
class Run:
    """What a run holds from its first turn to its last."""

    task: ChatTask[Any]
    info: RunInfo
    port: RunPort
    mailbox: Mailbox
    history: History
    kept: Mapping[str, Any] = field(default_factory=dict)
    """The session's state as the run before has left it; see `state`."""
    report: Callable[[Mapping[str, object]], None] = lambda _event: None
    """Told of what happens, for consoles and logs."""
    server: ServerAddress | None = None
    """The server that it runs for; None where there is none, as in tests."""
    turns: int = 0
    """Turns begun, and so the number of the next one."""
    usage: Usage = field(default_factory=Usage)
    chat_started: bool = False
    """Whether any turn of the session was accepted."""
    ending: bool = False
    """Whether the task has asked for this to be the run's last turn."""
    injected: list[ModelMessage] = field(default_factory=list)
    """Model messages that wait for the next chance to be shown to the model."""
    locals: dict[str, Any] = field(default_factory=dict)
    """The values of `chat.local` handles, by name."""
    locals_seen: dict[str, Any] = field(default_factory=dict)
    """Copies of them as they were when somebody asked last whether they had changed."""
    summary: Summary | None = None
    """What the model is shown in place of the older messages."""
    trace: str | None = None
    """The `traceparent` of the last turn, where turns are traced; see `turn_watch`."""
    mirror: Mirror | None = None
    """The way to the task's own storage, None where it has none."""
    idle_timeout_s: float = 0.0
    turn_timeout_s: float = 0.0

    def __post_init__(self) -> None:
        self.idle_timeout_s = self.task.options.idle_timeout_s
        self.turn_timeout_s = self.task.options.turn_timeout_s
        self.chat_started = bool(self.kept.get("started"))
        self.injected = list(self.kept.get("injected", ()))
        self.summary = Summary.from_json(self.kept.get("summary"))
        self.trace = self.kept.get("trace")
        if self.task.storage is not None:
            behind = bool(self.kept.get("storage_behind") or "recovered" in self.kept)
            self.mirror = Mirror(self.task.storage, self.info.chat_id, behind=behind)

    async def serve(self) -> EndReason:
        """Answer messages one at a time until there is a reason to end; return the reason.

        Messages that still wait then are left for the next run. Cancelling it abandons the
        turn that runs; what was written of it stays.

        Raises:
            StoreError: The run has lost its session.
        """
        enter_run(self)
        if not await self._boot():
            return "boot-failed"
        try:
            return await self._loop()
        except UpgradeWanted:
            return "upgrade"

    async def _loop(self) -> EndReason:
        if self.task.level != "turn":
            return await serve_own_loop(self)
        while isinstance(letter := await self.next_letter(), Letter):
            await Performance(self, letter).run()
        return letter

    async def next_letter(self) -> Letter | EndReason:
        """Wait for what to answer next, or for the reason to end."""
        if self.ending:
            return "ended"
        if self.turns >= self.task.options.max_turns:
            return "max-turns"
        letter = await self._next()
        if letter is None:
            return "asked" if self.mailbox.leaving else "idle"
        if isinstance(letter.message, Message) and letter.message.trigger == "close":
            await self.consume()
            return "closed"
        return letter

    # --- waiting ----------------------------------------------------------------------------

    async def _next(self) -> Letter | None:
        """Wait for a message: awake at first, then suspended."""
        letter = await self.mailbox.next(wait_s=self.idle_timeout_s)
        if letter is not None or self.mailbox.leaving:
            return letter
        phase: Literal["preload", "turn"] = "turn" if self.turns else "preload"
        await self.task.hooks.run(SUSPEND, Suspend(self.info, phase))
        letter = await self.mailbox.next(wait_s=self.turn_timeout_s)
        if letter is not None:
            await self.task.hooks.run(RESUME, Resume(self.info, phase))
        return letter

    async def consume(self) -> None:
        """Store that the records up to here need no answer."""
        self.mailbox.done()
        await self.port.commit(OutWrite(in_cursor=self.mailbox.cursor, state=self.state()))

    # --- booting ----------------------------------------------------------------------------

    async def _boot(self) -> bool:
        """Run the hooks of a run's beginning; False when one failed, which clients are told."""
        hooks = self.task.hooks
        try:
            if self.mirror is not None:
                self.history.messages = await self.mirror.open(self.history.messages)
                self.save_history()
            await hooks.run(BOOT, Boot(self.info))
            if "recovered" in self.kept and RECOVERY in hooks:
                await self._recover(self.kept["recovered"])
            if self.info.preloaded:
                await hooks.run(PRELOAD, Preload(self.info))
        except StoreError:
            raise
        except Exception as exc:
            logger.debug("%r failed to boot", self.task, exc_info=True)
            await self.fail_waiting(exc)
            return False
        return True

    async def _recover(self, left: Mapping[str, Any]) -> None:
        """Have hooks say what becomes of the answer in whose middle the run before died."""
        index = self.history.index(left.get("message_id"))
        partial = self.history.messages[index] if index is not None else None
        again: list[bool] = []
        history = TurnHistory(self.history, self.save_history)
        event = Recovery(
            run=self.info,
            history=history,
            partial=partial,
            raw_partial=left.get("raw"),
            why=str(left.get("why", "")),
            rerun=lambda: again.append(True),
        )
        await self.task.hooks.run(RECOVERY, event)
        if again:
            self.mailbox.put_first(Message("regenerate-message"), seq=int(left["in_seq"]))

    async def fail_waiting(self, error: BaseException) -> None:
        """End the turn that waits, or where none does the stream, with the error."""
        outcome = Failed(error)
        letter = await self.mailbox.next(wait_s=0)
        headers: dict[str, str] = {OUTCOME: outcome_kind(outcome)}
        if letter is not None:
            headers[IN_EVENT_ID] = str(self.mailbox.cursor)
            if isinstance(letter.message, Message):
                with contextlib.suppress(ChatError):
                    Intake(self, letter.message, fallback_id=f"msg_{letter.seq}").take_in()
        closing = closing_chunks(outcome, show_errors=self.info.show_errors)
        begins = [control_line(TURN_START, {IN_EVENT_ID: str(letter.seq)})] if letter else []
        lines = (*begins, *map(data_line, closing), control_line(TURN_COMPLETE, headers))
        cursor = self.mailbox.cursor if letter is not None else None
        await self.port.commit(OutWrite(lines=lines, in_cursor=cursor, ends_turn=True))
        self.tell("turn-ended", **turn_ended(outcome, took_s=0.0))

    # --- a turn's records -------------------------------------------------------------------

    def begin_turn(self, seq: int) -> None:
        """Write that the turn of record `seq` begins."""
        self.port.append(control_line(TURN_START, {IN_EVENT_ID: str(seq)}))

    async def complete_turn(self, outcome: Outcome) -> int:
        """Write a turn's end, all of it in one transaction; return its record's number."""
        cursor = self.mailbox.cursor
        closing = closing_chunks(outcome, show_errors=self.info.show_errors)
        headers = {IN_EVENT_ID: str(cursor), OUTCOME: outcome_kind(outcome)}
        return await self.port.commit(
            OutWrite(
                lines=(*map(data_line, closing), control_line(TURN_COMPLETE, headers)),
                changes=self.history.take_changes(),
                in_cursor=cursor,
                state=self.state(),
                ends_turn=True,
            )
        )

    def tell(self, event: str, **facts: object) -> None:
        """Report an event with where it happened; `facts` never hold what was said."""
        info = self.info
        self.report(
            {
                "event": event,
                "chat_id": info.chat_id,
                "session_id": info.session_id,
                "run_id": info.run_id,
                "task_id": self.task.id,
                "turn": self.turns,
                **facts,
            }
        )

    # --- what is kept -----------------------------------------------------------------------

    def save_history(self) -> None:
        """Put what the transcript lacks on its way there."""
        changes = self.history.take_changes()
        if changes:
            self.port.write(OutWrite(changes=changes))

    async def mirror_history(self, reason: SaveReason, *, client_data: object = None) -> None:
        """Bring the task's own storage up to the history, where it has one."""
        if self.mirror is None:
            return
        was_behind = self.mirror.behind
        messages = list(self.history.messages)
        await self.mirror.save(messages, reason, state=self.state(), client_data=client_data)
        if self.mirror.behind != was_behind:
            self.port.write(OutWrite(state=self.state()))

    def state(self) -> Mapping[str, object]:
        """Return what the next run must know that neither stream nor transcript tells."""
        kept: dict[str, object] = {"stops": self.mailbox.stops, "started": self.chat_started}
        if self.injected:
            kept["injected"] = self.injected
        if self.summary is not None:
            kept["summary"] = self.summary.to_json()
        if self.mirror is not None and self.mirror.behind:
            kept["storage_behind"] = True
        if self.trace is not None:
            kept["trace"] = self.trace
        return kept
