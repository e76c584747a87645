"""Reading server-sent events (HTML standard, section 9.2) and the records in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from chatrun.errors import InvalidInput, TooLarge
from chatrun.wire.records import Control

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream."""

    data: str
    event: str = "message"
    """Its type."""
    event_id: str = ""
    """The last id that the stream gave, with this event or before it."""


class EventReader:
    """Turns the bytes of a stream into events; a break may be at any byte.

    An event comes out with the bytes that end it. Lines may end in LF, CR or CRLF.
    """

    def __init__(self, *, limit_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit_bytes
        self._rest = bytearray()
        """The begun line."""
        self._data: list[str] = []
        self._size = 0
        self._event = ""
        self._event_id = ""
        self._after_cr = False
        """Whether the last byte was a CR, so that an LF belongs to it."""
        self._is_first = True

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return the events that end in them.

        Raises:
            TooLarge: What has come of an event is larger than the limit; the reader is of no use
                from then on.
        """
        data = self._with_line_feeds(data)
        self._rest += data
        events: list[Event] = []
        if b"\n" in data:
            *lines, self._rest = self._rest.split(b"\n")
            events = [event for line in lines if (event := self._take(line)) is not None]
        if self._size + len(self._rest) > self._limit:
            raise TooLarge(
                f"an event of the stream is larger than {self._limit} bytes",
                limit_bytes=self._limit,
            )
        return events

    def _with_line_feeds(self, data: bytes) -> bytes:
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _take(self, line: bytearray) -> Event | None:
        """Take one line; return the event that it ends."""
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(_BOM)
        if not line:
            return self._finish()
        name, _, value = line.partition(b":")
        self._take_field(bytes(name), value.removeprefix(b" "))
        return None

    def _take_field(self, name: bytes, value: bytearray) -> None:
        match name:
            case b"data":
                self._data.append(value.decode(errors="replace"))
                self._size += len(value) + 1
            case b"event":
                self._event = value.decode(errors="replace")
            case b"id" if b"\0" not in value:
                self._event_id = value.decode(errors="replace")
            case _:
                pass  # a comment, `retry`, or a field that does not exist

    def _finish(self) -> Event | None:
        data, event = self._data, self._event
        self._data, self._size, self._event = [], 0, ""
        if not data:
            return None
        return Event("\n".join(data), event or "message", self._event_id)


@dataclass(frozen=True, slots=True)
class ServedRecord:
    """A record of `out` as a reader gets it: a chunk, a control record, or neither."""

    seq: int
    at_ms: int
    chunk: Mapping[str, object] | None = None
    control: Control | None = None
    """Its headers are all strings; `public-access-token` may be among them."""


def read_batch(data: str) -> list[ServedRecord]:
    """Return the records of a `batch` event, oldest first.

    Raises:
        InvalidInput: The event has not the form that a server of this protocol gives it.
    """
    batch = _loads(data)
    records = batch.get("records") if isinstance(batch, dict) else None
    if not isinstance(records, list):
        raise InvalidInput("the server sent a batch without records")
    return [_served(record) for record in records]


def _loads(text: str) -> object:
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        raise InvalidInput(f"the server sent what is not JSON: {exc}") from None
    return value


def _served(record: object) -> ServedRecord:
    match record:
        case {"seq_num": int(seq), "body": str(body), **rest}:
            at_ms, headers = rest.get("timestamp"), rest.get("headers")
            at = at_ms if isinstance(at_ms, int) else 0
            if headers:
                return ServedRecord(seq, at, control=_control(headers))
            return ServedRecord(seq, at, chunk=_chunk(body))
        case _:
            raise InvalidInput("the server sent a record without a number or a body")


def _control(headers: object) -> Control | None:
    pairs = headers if isinstance(headers, list) else []
    found = {pair[0]: pair[1] for pair in pairs if _is_text_pair(pair)}
    subtype = found.pop("trigger-control", None)
    # Without it, it is a command to the backend, such as a trim: a number and nothing more.
    return None if subtype is None else Control(subtype, found)


def _is_text_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)


def _chunk(body: str) -> Mapping[str, object] | None:
    match _loads(body):
        case {"data": dict(chunk)}:
            return chunk
        case _:
            return None
