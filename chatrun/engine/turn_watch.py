"""Watches a turn: how it begins and ends, told as events and as a span with a metric."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chatrun.ai import otel
from chatrun.ai.watch import CANCELLED, error_type
from chatrun.engine.outcome import Failed, Finished, Outcome, Stopped, TimedOut, outcome_kind
from chatrun.engine.report import turn_ended

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from chatrun.engine.run import Run
    from chatrun.models.base import Usage
    from chatrun.wire.inputs import Message

TIMED_OUT = "timeout"


class TurnWatch:
    """One turn of `run`, from `begin` to `ended`, when it is durable.

    It is a context too, to be entered round whatever may break the turn off: by another run that
    takes the session, by newer code, or by the end of the worker. Then there is no `ended`.
    """

    def __init__(self, run: Run, incoming: Message) -> None:
        self._run = run
        self._incoming = incoming
        self._span = otel.OpenSpan(None)
        self._began = 0.0

    def begin(self) -> None:
        """Take note that the turn begins."""
        run, info = self._run, self._run.info
        self._began = time.monotonic()
        self._span = otel.open_span(
            otel.INVOKE_AGENT,
            run.task.id,
            kind="INTERNAL",
            attributes={
                otel.AGENT_ID: run.task.id,
                otel.AGENT_NAME: run.task.id,
                otel.CONVERSATION_ID: info.chat_id,
                otel.SESSION_ID: info.session_id,
                otel.RUN_ID: info.run_id,
                otel.TURN: run.turns,
                otel.TRIGGER: self._incoming.trigger,
            },
            follows=run.trace if _goes_on(self._incoming) else None,
        )
        run.trace = self._span.traceparent() or run.trace
        run.tell("turn-started")

    def enter(self) -> None:
        """Let what the calling `asyncio.Task` begins belong to the turn, up to its end."""
        self._span.enter()

    def entered(self) -> AbstractContextManager[None]:
        """Within the block, let what is begun belong to the turn."""
        return self._span.entered()

    def ended(self, outcome: Outcome, usage: Usage) -> None:
        """Take note that the turn is durable, and how it ended."""
        took_s = time.monotonic() - self._began
        failure = _failure(outcome)
        self._span.set({otel.OUTCOME: outcome_kind(outcome), **otel.usage_attributes(usage)})
        if failure is not None:
            self._span.fail(failure)
        about = {otel.OPERATION_NAME: otel.INVOKE_AGENT, otel.AGENT_NAME: self._run.task.id}
        otel.record_duration(otel.TURN_DURATION, took_s, {**about, otel.ERROR_TYPE: failure})
        self._span.end()
        self._run.tell("turn-ended", **turn_ended(outcome, took_s=took_s))

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None and self._span.is_recording:
            failure = error_type(error) if isinstance(error, Exception) else CANCELLED
            self._span.fail(failure, is_fault=isinstance(error, Exception))
            self._span.end()


def _goes_on(incoming: Message) -> bool:
    """Tell whether a message carries an answer on: an approval or a tool's result, from a client.

    The turn before has ended, however long that took; the spans are linked.
    """
    message = incoming.message
    return message is not None and message.get("role") == "assistant"


def _failure(outcome: Outcome) -> str | None:
    match outcome:
        case Finished() | Stopped():
            return None
        case TimedOut():
            return TIMED_OUT
        case Failed(error):
            return error_type(error)
