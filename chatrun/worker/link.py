"""The link between server and worker: framed messages, in order, both ways.

A frame is `u32 length | u16 header length | header (JSON) | body (bytes)`, big-endian; the length
counts what follows it. The header says what the message is; the body carries what is already bytes
(records, messages), so that nothing is encoded twice on its way. `SocketLink` runs over a socket,
`memory_links` gives two ends within one process: the same messages, another link.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from chatrun.errors import LinkBroken

if TYPE_CHECKING:
    import socket

Header = Mapping[str, Any]
OnFrame = Callable[[Header, bytes], None]
OnClosed = Callable[[], None]

MAX_FRAME_BYTES = 512 * 1024 * 1024
"""More than this is not a message but a broken peer."""

_LENGTHS = struct.Struct(">IH")
_MAX_HEADER_BYTES = 65_535


class Link(Protocol):
    """One end of a link."""

    def send(self, header: Header, body: bytes = b"") -> None:
        """Hand over a message without waiting. After the link has closed it does nothing."""
        ...

    def close(self) -> None:
        """Close both ways, what was sent still arrives; closing twice is fine."""
        ...


def encode_frame(header: Header, body: bytes = b"") -> bytes:
    """Return the frame that carries `header` and `body`."""
    head = orjson.dumps(header)
    if len(head) > _MAX_HEADER_BYTES:
        raise LinkBroken(f"a {header.get('t')!r} message has a header of {len(head):,} bytes")
    return _LENGTHS.pack(2 + len(head) + len(body), len(head)) + head + body


class FrameReader:
    """Cuts a stream of bytes into frames, wherever it is split."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Header, bytes]]:
        """Return the frames that `data` completes, in order.

        Raises:
            LinkBroken: The bytes are not frames.
        """
        buffer = self._buffer
        buffer += data
        frames: list[tuple[Header, bytes]] = []
        start = 0
        while len(buffer) - start >= _LENGTHS.size:
            length, head_length = _LENGTHS.unpack_from(buffer, start)
            if length > MAX_FRAME_BYTES or head_length + 2 > length:
                raise LinkBroken(f"a frame of {length:,} bytes is not one")
            end = start + 4 + length
            if len(buffer) < end:
                break
            head_end = start + _LENGTHS.size + head_length
            header = orjson.loads(memoryview(buffer)[start + _LENGTHS.size : head_end])
            frames.append((header, bytes(memoryview(buffer)[head_end:end])))
            start = end
        if start:
            del buffer[:start]
        return frames


class SocketLink(asyncio.Protocol):
    """A link over a connected socket; see `open_socket_link`."""

    def __init__(self, on_frame: OnFrame, on_closed: OnClosed) -> None:
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._reader = FrameReader()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio calls this."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand each complete frame on; asyncio calls this."""
        try:
            frames = self._reader.feed(data)
        except (LinkBroken, orjson.JSONDecodeError):
            self.close()
            return
        for header, body in frames:
            self._on_frame(header, body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the other side has gone; asyncio calls this."""
        self._transport = None
        self._on_closed()

    def send(self, header: Header, body: bytes = b"") -> None:
        """Hand over a message; see `Link`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode_frame(header, body))

    def close(self) -> None:
        """Close once all is sent; see `Link`."""
        if self._transport is not None:
            self._transport.close()


async def open_socket_link(
    sock: socket.socket, on_frame: OnFrame, on_closed: OnClosed
) -> SocketLink:
    """Return a link over `sock`, which it owns from now on.

    `on_frame` is called for each message, in order, on the running loop; `on_closed` once, when
    the link has closed for whatever reason.
    """
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(lambda: SocketLink(on_frame, on_closed), sock=sock)
    return link


class MemoryLink:
    """One end of a link within a process; see `memory_links`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._peer: MemoryLink | None = None
        self._on_frame: OnFrame | None = None
        self._on_closed: OnClosed | None = None

    def listen(self, on_frame: OnFrame, on_closed: OnClosed) -> None:
        """Say who takes the messages; before that, none may be sent to this end."""
        self._on_frame, self._on_closed = on_frame, on_closed

    def send(self, header: Header, body: bytes = b"") -> None:
        """Hand over a message; see `Link`."""
        if self._peer is not None:
            # Through JSON all the same: what the socket would refuse must fail here, too.
            copy = orjson.loads(orjson.dumps(header))
            self._loop.call_soon(self._peer._arrive, copy, body)

    def close(self) -> None:
        """Close both ends; see `Link`."""
        peer, self._peer = self._peer, None
        if peer is not None:
            self._loop.call_soon(peer._lost)
            self._loop.call_soon(self._lost)

    def _arrive(self, header: Header, body: bytes) -> None:
        if self._on_frame is not None:
            self._on_frame(header, body)

    def _lost(self) -> None:
        self._peer = None
        on_closed, self._on_closed, self._on_frame = self._on_closed, None, None
        if on_closed is not None:
            on_closed()


def memory_links() -> tuple[MemoryLink, MemoryLink]:
    """Return the two ends of a link within this process, on the running loop."""
    left, right = MemoryLink(), MemoryLink()
    left._peer, right._peer = right, left
    return left, right
