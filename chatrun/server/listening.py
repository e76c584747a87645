"""Taking connections: where the server listens, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chatrun.errors import SettingInvalid
from chatrun.server.connection import Connection
from chatrun.server.origins import is_loopback
from chatrun.server.site import SITE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chatrun.server.site import Site

LOOPBACK: Final = ("127.0.0.1", "::1")
"""Both, since `localhost` is the one to some programs and the other to others."""

_CLOSING_S: Final = 3.0
_BACKLOG: Final = 512
_PORT_ATTEMPTS: Final = 20
_NO_SUCH_FAMILY: Final = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


@dataclass(frozen=True, slots=True)
class Listening:
    """A server that takes connections."""

    hosts: tuple[str, ...]
    """The addresses, numeric."""
    port: int

    @property
    def url(self) -> str:
        """The URL to use on this machine."""
        host = self.hosts[0]
        if is_loopback(host) or host in {"0.0.0.0", "::"}:
            return f"http://localhost:{self.port}"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@asynccontextmanager
async def listen(
    app: web.Application, *, host: str = LOOPBACK[0], port: int = 0
) -> AsyncIterator[Listening]:
    """Serve `app` while the context lasts; port 0 takes any free one.

    Any loopback host means both loopback addresses, as far as the machine has them. Leaving cuts
    the open streams and lets other requests end.

    Raises:
        SettingInvalid: The address cannot be listened on.
    """
    site = app[SITE]
    # Its cancellation is how a handler learns that its client has gone, within milliseconds.
    runner = web.AppRunner(app, shutdown_timeout=_CLOSING_S, handler_cancellation=True)
    with ExitStack() as stack:
        sockets = [stack.enter_context(sock) for sock in _open_sockets(host, port)]
        async with _background(site):
            await runner.setup()
            try:
                async with _accepting(runner, sockets, site):
                    names = [sock.getsockname() for sock in sockets]
                    yield Listening(tuple(name[0] for name in names), names[0][1])
            finally:
                await runner.cleanup()


@asynccontextmanager
async def _background(site: Site) -> AsyncIterator[None]:
    """Give the site a place for background work, which ends with it."""
    async with asyncio.TaskGroup() as group:
        site.use(group)
        try:
            yield
        finally:
            site.cancel_background()


@asynccontextmanager
async def _accepting(
    runner: web.AppRunner, sockets: Sequence[socket.socket], site: Site
) -> AsyncIterator[None]:
    manager = runner.server
    assert manager is not None
    answer = manager.request_handler

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        with connection.serving():
            return await answer(request)

    manager.request_handler = handle
    loop = asyncio.get_running_loop()
    limits = site.settings

    def connect() -> Connection:
        return Connection(
            manager, loop, head_limit_s=limits.head_limit_s, slow_reader_s=limits.slow_reader_s
        )

    servers = [await loop.create_server(connect, sock=sock, backlog=_BACKLOG) for sock in sockets]
    try:
        yield
    finally:
        for server in servers:
            server.close()


# --- sockets ------------------------------------------------------------------------------------


def _open_sockets(host: str, port: int) -> list[socket.socket]:
    """Return sockets that are bound to `port` of the host, of both loopback addresses."""
    if host != "localhost" and not is_loopback(host):
        return [_bind(host, port)]
    for _ in range(_PORT_ATTEMPTS):
        first = _bind(LOOPBACK[0], port)
        try:
            return [first, *_bind_if_there(LOOPBACK[1], first.getsockname()[1])]
        except SettingInvalid:
            first.close()
            if port:
                raise
            # Somebody has the port that we were given, on the other address: take another one.
    raise SettingInvalid("no port is free on both loopback addresses")


def _bind_if_there(host: str, port: int) -> list[socket.socket]:
    try:
        return [_bind(host, port)]
    except SettingInvalid as exc:
        cause = exc.__cause__
        if isinstance(cause, socket.gaierror) or getattr(cause, "errno", 0) in _NO_SUCH_FAMILY:
            return []  # a machine without IPv6
        raise


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
    except OSError as exc:
        raise SettingInvalid(f"cannot listen on {host}: {exc.strerror}") from exc
    try:
        if socket.has_dualstack_ipv6() and family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # At once, so that of two servers started together one is refused here and now.
        sock.listen(_BACKLOG)
    except OSError as exc:
        sock.close()
        raise SettingInvalid(_reason(host, port, exc)) from exc
    return sock


def _reason(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use: choose another with --port"
    return f"cannot listen on {host}, port {port}: {error.strerror}"
