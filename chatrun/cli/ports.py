"""Which port to listen on when the wanted one is taken."""

from __future__ import annotations

import socket
from typing import Final

from chatrun.errors import SettingInvalid

TRIES: Final = 100


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found[:1]:
            with socket.socket(family, kind, protocol) as probe:
                # As servers do: a port whose last connections are just ending is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError:
        return False
    return True


def next_free(host: str, port: int) -> int:
    """Return the first free port above `port`.

    Raises:
        SettingInvalid: None of the next hundred is free.
    """
    for candidate in range(port + 1, min(port + TRIES, 65535) + 1):
        if is_free(host, candidate):
            return candidate
    raise SettingInvalid(f"port {port} is taken, and so are the {TRIES} behind it: name another")
