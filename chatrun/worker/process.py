"""The process that runs the user's code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket

from chatrun.worker.host import WorkerHost
from chatrun.worker.link import open_socket_link


def main(fd: int) -> None:
    """Serve the link on file descriptor `fd` until the server closes it, then end.

    Ctrl-C in the terminal reaches every process of the group; only the server decides here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    with socket.socket(fileno=fd) as sock:
        sock.setblocking(False)
        os.set_inheritable(fd, False)
        asyncio.run(_serve(sock))


async def _serve(sock: socket.socket) -> None:
    host = WorkerHost()
    link = await open_socket_link(sock, host.on_frame, host.on_closed)
    host.serve(link)
    await host.closed.wait()
    await host.end()
    # Leaving in good order would wait for threads and for tasks that swallow their
    # cancellation, for ever.
    os._exit(0)
