"""A whole answer, put together from its chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.messages.types import UIMessage


@dataclass(frozen=True, slots=True)
class ChatResult:
    """What a turn answered."""

    text: str
    tool_calls: tuple[Mapping[str, object], ...]
    """`toolCallId`, `toolName` and `input` of each, in order."""
    tool_results: tuple[Mapping[str, object], ...]
    """`toolCallId` and `output`, or `errorText`, of each, in order."""
    outcome: str | None
    """finished, stopped, timed-out or failed; None when the server does not tell."""
    error: str | None
    """What went wrong, as the task's users are told."""
    message: UIMessage | None
    """The message that the answer made or went on with; None when it said nothing."""


class AnswerSoFar:
    """Collects the chunks of one answer."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._step_at = 0
        self._calls: list[Mapping[str, object]] = []
        self._results: list[Mapping[str, object]] = []
        self._error: str | None = None
        self.outcome: str | None = None
        self.message: UIMessage | None = None

    def take(self, chunk: Mapping[str, object]) -> None:
        """Take the next chunk of the answer."""
        match chunk.get("type"):
            case "text-delta":
                self._texts.append(str(chunk["delta"]))
            case "start-step":
                self._step_at = len(self._texts)
            case "reset-step":
                del self._texts[self._step_at :]
            case "error":
                self._error = str(chunk["errorText"])
            case "tool-input-available":
                self._calls.append(_picked(chunk, "toolCallId", "toolName", "input"))
            case "tool-output-available" if not chunk.get("preliminary"):
                self._results.append(_picked(chunk, "toolCallId", "output"))
            case "tool-output-error":
                self._results.append(_picked(chunk, "toolCallId", "errorText"))
            case _:
                pass

    def result(self) -> ChatResult:
        """Return what there is of the answer."""
        return ChatResult(
            text="".join(self._texts),
            tool_calls=tuple(self._calls),
            tool_results=tuple(self._results),
            outcome=self.outcome,
            error=self._error,
            message=self.message,
        )


def _picked(chunk: Mapping[str, object], *keys: str) -> dict[str, object]:
    return {key: chunk[key] for key in keys if key in chunk}
