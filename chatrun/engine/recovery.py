"""What becomes of a turn whose run died in the middle of it.

Pure: it reads what was stored and says what to write. A turn that had shown nothing yet is left to
be run again; one that had is ended where it stands, because running it again would say something
else (reliability.md §2a). What was streamed is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.engine.outcome import Failed, Outcome, Stopped, closing_chunks, outcome_kind
from chatrun.errors import ChatError, ChunkInvalid
from chatrun.messages.clean import close_partial
from chatrun.messages.fold import MessageFold
from chatrun.messages.types import is_tool_part
from chatrun.store.base import OutWrite, PutMessage, Session
from chatrun.wire.inputs import Stop, parse_input
from chatrun.wire.records import (
    CLOSED,
    CLOSED_REASON,
    IN_EVENT_ID,
    OUTCOME,
    TURN_COMPLETE,
    TURN_START,
    InRecord,
    OutBatch,
    control_line,
    data_line,
    is_control,
    parse_control,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chatrun.messages.types import UIMessage

INTERRUPTED = "The answer was ended before this call had a result."
"""What becomes of a tool call whose turn was cut short, for clients and for the model."""
MAX_ATTEMPTS = 3
"""How often a turn that shows nothing before it dies is begun."""


@dataclass(slots=True)
class Orphan:
    """A turn that began and did not end."""

    in_seq: int
    attempts: int = 1
    chunks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def can_run_again(self) -> bool:
        """Whether nobody has seen anything of it and it has not been tried too often."""
        return not self.chunks and self.attempts < MAX_ATTEMPTS


def find_orphan(batches: Iterable[OutBatch], *, after: int) -> Orphan | None:
    """Return the turn that began behind record `after`, the last turn-complete, None for none."""
    orphan: Orphan | None = None
    for batch in batches:
        unseen = batch.after(after)
        for line in unseen.lines if unseen is not None else ():
            if is_control(line):
                orphan = _begun(orphan, line)
            elif orphan is not None:
                orphan.chunks.append(orjson.loads(line))
    return orphan


def _begun(orphan: Orphan | None, line: bytes) -> Orphan | None:
    control = parse_control(line)
    if control.subtype != TURN_START:
        return orphan
    in_seq = int(control.headers[IN_EVENT_ID])
    if orphan is not None and orphan.in_seq == in_seq:
        orphan.attempts += 1
        return orphan
    return Orphan(in_seq)


def end_orphan(
    orphan: Orphan,
    session: Session,
    *,
    last_message: UIMessage | None,
    later: Sequence[InRecord],
    why: str,
) -> OutWrite:
    """Return the write that ends `orphan` where it stands.

    Args:
        orphan: The turn.
        session: Its session.
        last_message: The last message of the transcript, None for an empty one.
        later: The `in` records behind the turn's: a stop among them ends the turn as stopped.
        why: What clients are told otherwise, a sentence.
    """
    stop = _stop_of(session, later)
    outcome: Outcome = Stopped() if stop is not None else Failed(ChatError(why))
    headers = {IN_EVENT_ID: str(orphan.in_seq), OUTCOME: outcome_kind(outcome)}
    if session.closed_at_ms is not None:
        headers |= closed_headers(session.closed_reason)
    raw = _fold(orphan.chunks, last_message)
    ended = end_open_calls(raw) if raw is not None else []
    partial = close_partial(_fold_on(raw, ended)) if raw is not None else None
    state: dict[str, object] = {**session.state}
    if stop is not None:
        state["stops"] = stop
    elif orphan.chunks:
        state["recovered"] = _recovered(orphan, why, partial=partial, raw=raw)
    return OutWrite(
        lines=(
            *map(data_line, (*ended, *closing_chunks(outcome, show_errors=False))),
            control_line(TURN_COMPLETE, headers),
        ),
        changes=(PutMessage(partial["id"], orjson.dumps(partial)),) if partial is not None else (),
        in_cursor=orphan.in_seq,
        state=state,
        ends_turn=True,
    )


def closed_headers(reason: str | None) -> dict[str, str]:
    """Return what the turn-complete record says of a session that was closed in mid-turn.

    The clients of that turn read no further.
    """
    return {CLOSED: "true"} | ({CLOSED_REASON: reason} if reason is not None else {})


def end_open_calls(message: UIMessage) -> list[dict[str, object]]:
    """Return the chunks that end the tool calls of `message` which have no result yet.

    For an answer that was cut short: a page that is asked to answer such a call then finds it
    failed, instead of gone. Calls whose input is not whole, that wait for an approval, or that
    the provider runs are left alone.
    """
    return [
        {"type": "tool-output-error", "toolCallId": part["toolCallId"], "errorText": INTERRUPTED}
        for part in message["parts"]
        if is_tool_part(part)
        and part["state"] == "input-available"
        and not part.get("providerExecuted")
    ]


def _fold_on(message: UIMessage, chunks: Sequence[dict[str, object]]) -> UIMessage:
    fold = MessageFold(message)
    for chunk in chunks:
        fold.apply(chunk)
    return fold.message


def _stop_of(session: Session, later: Sequence[InRecord]) -> int | None:
    """Return the first stop that no turn has taken yet."""
    taken = session.state.get("stops", -1)
    assert isinstance(taken, int)
    for record in later:
        if record.seq > taken and isinstance(parse_input(record.body), Stop):
            return record.seq
    return None


def _fold(chunks: Sequence[dict[str, Any]], last_message: UIMessage | None) -> UIMessage | None:
    """Return the message that `chunks` make, exactly as it was streamed."""
    if not chunks:
        return None
    continues = last_message is not None and last_message["id"] == chunks[0].get("messageId")
    fold = MessageFold(last_message if continues else None)
    for chunk in chunks:
        try:
            fold.apply(chunk)
        except ChunkInvalid:
            break  # a client's reader ends here, too
    return fold.message


def _recovered(
    orphan: Orphan, why: str, *, partial: UIMessage | None, raw: UIMessage | None
) -> dict[str, object]:
    """Return what the next run's recovery hooks are told."""
    return {
        "in_seq": orphan.in_seq,
        "why": why,
        "message_id": partial["id"] if partial is not None else None,
        "raw": raw,
    }
