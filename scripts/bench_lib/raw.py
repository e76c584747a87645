"""Requests over a bare socket, where even a plain client would cost too much."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

TIMEOUT_S = 30.0


def open_socket(url: str) -> socket.socket:
    """Return a socket connected to the server of `url`."""
    place = urlsplit(url)
    return socket.create_connection((place.hostname or "", place.port or 80), timeout=TIMEOUT_S)


def read_until(url: str, request: bytes, end: bytes) -> bytes:
    """Send a request, and return what comes up to the piece that has `end` in it.

    Raises:
        ConnectionError: The server closed the connection before that.
    """
    pieces: list[bytes] = []
    tail = b""
    with open_socket(url) as connection:
        connection.sendall(request)
        while end not in tail:
            data = connection.recv(1 << 18)
            if not data:
                raise ConnectionError("the server closed the connection")
            pieces.append(data)
            tail = tail[-len(end) :] + data
    return b"".join(pieces)


def open_stream(url: str, request: bytes) -> socket.socket:
    """Send a request and return the socket once the head of a good answer is there.

    Raises:
        ConnectionError: The answer is not a good one.
    """
    connection = open_socket(url)
    connection.sendall(request)
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(4096)
        head += data
        if not data or (len(head) > 12 and b" 200 " not in head[:16]):
            connection.close()
            raise ConnectionError(f"the server answered {head[:200]!r}")
    return connection
