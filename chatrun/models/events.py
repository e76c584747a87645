"""Server-sent events of a provider, from bytes that may be torn anywhere to the data they carry.

Source: the event stream format of the WHATWG HTML standard. Only `data` matters here: both
providers repeat the event's name inside the data.
"""

from __future__ import annotations

_BLANK_LINE = b"\n\n"
_BOM = b"\xef\xbb\xbf"


class EventParser:
    """Collects bytes and gives back the data of each event that is complete.

    Comments, fields other than `data`, and events without data are passed over. Lines may end
    in LF, CRLF or CR.
    """

    __slots__ = ("_buffer", "_ended_in_cr", "_fresh")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended_in_cr = False
        self._fresh = True

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that `data` completes, in order."""
        if not data:
            return []
        if self._fresh or self._ended_in_cr or b"\r" in data:
            data = self._normalised(data)
        buffer = self._buffer
        # A blank line may have been torn in two: look one byte back, never at all of it again.
        searched = max(len(buffer) - 1, 0)
        buffer += data
        end = buffer.rfind(_BLANK_LINE, searched)
        if end < 0:
            return []
        complete = bytes(buffer[:end])
        del buffer[: end + 2]
        return [found for event in complete.split(_BLANK_LINE) if (found := _data_of(event))]

    def finish(self) -> list[bytes]:
        """Return the data of a last event that lacks its blank line, when the body has ended."""
        rest = _data_of(bytes(self._buffer))
        self._buffer.clear()
        return [rest] if rest else []

    def _normalised(self, data: bytes) -> bytes:
        """Return `data` with LF as its only line end, across the borders of two reads."""
        if self._ended_in_cr and data.startswith(b"\n"):
            data = data[1:]
        if self._fresh:
            data = self._without_bom(data)
        self._ended_in_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _without_bom(self, data: bytes) -> bytes:
        """Drop a byte order mark at the very beginning, which may arrive a byte at a time."""
        if _BOM.startswith(self._buffer + data) and len(self._buffer + data) < len(_BOM):
            return data
        self._fresh = False
        whole = bytes(self._buffer + data)
        if not whole.startswith(_BOM):
            return data
        self._buffer.clear()
        return whole[len(_BOM) :]


def _data_of(event: bytes) -> bytes:
    """Return what the `data` lines of one event carry, joined by line feeds."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
    return lines[0] if len(lines) == 1 else b"\n".join(lines)
