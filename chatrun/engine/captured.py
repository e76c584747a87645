"""What came of sending an answer, for those who write the loop themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatrun.engine.outcome import Failed, Finished, Outcome, OutcomeKind, outcome_kind

if TYPE_CHECKING:
    from chatrun.engine.answer import Answer
    from chatrun.messages.types import UIMessage


@dataclass(frozen=True, slots=True)
class Captured:
    """An answer as far as it was sent. Sending never raises: look at `status`."""

    message: UIMessage | None
    """All that this turn has answered, as it may be kept: without unfinished tool calls where it
    was cut short. None when nothing is left."""
    status: OutcomeKind
    """How the sending ended: "finished", "stopped", "timed-out" or "failed"."""
    finish_reason: str | None = None
    """The model's, where it gave one."""
    error: BaseException | None = None
    """What failed it, None unless `status` is "failed"."""

    @classmethod
    def of(cls, answer: Answer, outcome: Outcome) -> Captured:
        """Return what `answer` holds after a part of it has ended with `outcome`."""
        finished = isinstance(outcome, Finished)
        return cls(
            message=answer.raw_message() if finished else answer.kept_message(),
            status=outcome_kind(outcome),
            finish_reason=answer.finish_reason,
            error=outcome.error if isinstance(outcome, Failed) else None,
        )
