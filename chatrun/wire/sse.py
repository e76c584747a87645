"""Records and chunks as server-sent events (wire.md sections 5.2, 5.3, 6.2 and 10.1).

Stored lines are put on the wire without being parsed; only control records, a few in a turn, are.
Reading events is `chatrun.wire.sse_reader`'s matter.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from chatrun.wire.records import TURN_COMPLETE, is_control, parse_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chatrun.wire.records import InRecord, Line, OutBatch

DONE: Final = b"data: [DONE]\n\n"
"""The last event of an orderly close."""

COMMENT: Final = b":\n\n"
"""What no client sees; it keeps the connection in use."""

_CONTROL_HEADER: Final = "trigger-control"
_TOKEN_HEADER: Final = "public-access-token"
_TURN_COMPLETE_START: Final = orjson.dumps([TURN_COMPLETE])[:-1]
_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")


# --- the session protocol -----------------------------------------------------------------------


def encode_batch(batch: OutBatch, *, token: str | None = None) -> bytes:
    """Return a batch of `out` records as one event.

    With `token`, a turn-complete record hands it to the reader, who must be one that may write.
    The event's id is the last record's number, so `Last-Event-ID` resumes behind it.
    """
    records = [
        _encode_record(line, seq, batch.at_ms, token)
        for seq, line in enumerate(batch.lines, batch.first)
    ]
    return _BATCH % (batch.last, b",".join(records))


def ends_turn(batch: OutBatch) -> bool:
    """Tell whether a turn-complete record is in the batch, for which a token may be minted."""
    return any(line.startswith(_TURN_COMPLETE_START) for line in batch.lines)


_BATCH: Final = b'id: %d\nevent: batch\ndata: {"records":[%b]}\n\n'
_DATA: Final = (
    b'{"seq_num":%d,"timestamp":%d,"body":"{\\"data\\":%b,\\"id\\":\\"%d\\"}","headers":[]}'
)


def _encode_record(line: Line, seq: int, at_ms: int, token: str | None) -> bytes:
    if is_control(line):
        record = {"seq_num": seq, "timestamp": at_ms, "body": "", "headers": _headers(line, token)}
        return orjson.dumps(record)
    # The body is JSON in a JSON string; the record's number serves as its unique id.
    return _DATA % (seq, at_ms, orjson.dumps(line.decode())[1:-1], seq)


def _headers(line: Line, token: str | None = None) -> list[tuple[str, str]]:
    control = parse_control(line)
    headers = [(_CONTROL_HEADER, control.subtype), *control.headers.items()]
    if token is not None and control.subtype == TURN_COMPLETE:
        headers.append((_TOKEN_HEADER, token))
    return headers


def encode_inputs(records: Sequence[InRecord]) -> bytes:
    """Return `in` records, of which there is at least one, as one event."""
    encoded = [
        orjson.dumps(
            {
                "seq_num": record.seq,
                "timestamp": record.at_ms,
                "body": orjson.dumps({"data": record.body, "id": record.part_id}).decode(),
                "headers": [],
            }
        )
        for record in records
    ]
    return _BATCH % (records[-1].seq, b",".join(encoded))


def encode_ping(at_ms: int) -> bytes:
    """Return an event that only shows that the connection is alive."""
    return b'event: ping\ndata: {"timestamp":%d}\n\n' % at_ms


def encode_error(text: str) -> bytes:
    """Return an event upon which a reader connects anew, behind its last record."""
    return frame(text, event="error")


# --- the same records as JSON -------------------------------------------------------------------


def out_records_json(batches: Iterable[OutBatch]) -> bytes:
    """Return batches of `out` records as the answer of the records endpoint."""
    records = (
        _out_record_json(line, seq)
        for batch in batches
        for seq, line in enumerate(batch.lines, batch.first)
    )
    return b'{"records":[%b]}' % b",".join(records)


def _out_record_json(line: Line, seq: int) -> bytes:
    data, headers = (b'""', _headers(line)) if is_control(line) else (line, [])
    return b'{"data":%b,"id":"%d","seqNum":%d,"headers":%b}' % (
        data,
        seq,
        seq,
        orjson.dumps(headers),
    )


def in_records_json(records: Iterable[InRecord]) -> bytes:
    """Return `in` records as the answer of the records endpoint."""
    found = [
        {"data": record.body, "id": record.part_id, "seqNum": record.seq, "headers": []}
        for record in records
    ]
    return orjson.dumps({"records": found})


# --- the AI SDK's stream ------------------------------------------------------------------------


def encode_chunk(line: Line) -> bytes:
    """Return a data record's line as an event of a UI message stream."""
    return b"data: %b\n\n" % line


# --- any event ----------------------------------------------------------------------------------


def frame(data: str, *, event: str = "", event_id: str = "") -> bytes:
    """Return any text as one event; no text in it can begin a field or another event.

    A reader gets `data` back with each line break of it, CR and CRLF too, as LF.
    """
    fields = [f"{name}: {_one_line(value)}" for name, value in _named(event, event_id) if value]
    fields += [f"data: {line}" for line in _LINE_BREAK.split(data)]
    return ("\n".join(fields) + "\n\n").encode()


def _named(event: str, event_id: str) -> tuple[tuple[str, str], ...]:
    return (("id", event_id), ("event", event))


def _one_line(value: str) -> str:
    return _LINE_BREAK.sub(" ", value)
