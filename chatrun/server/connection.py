"""One client's connection, with bounds on how long the client may dawdle.

aiohttp bounds only how long a connection may be idle. A client that sends half a request's head
could hold one for as long as that, and one that never reads its answer forever.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDLE_S: Final = 75.0
"""How long a connection without a request is kept: longer than proxies in front keep theirs."""
_LINGER_S: Final = 2.0
"""How long the rest of a body that nobody wants is read before the connection is closed."""
_LOOKS: Final = 4
"""How often a slow reader is looked at before its time is up."""


class Connection(web.RequestHandler):
    """What aiohttp makes of a connection, and two clocks."""

    __slots__ = (
        "_head_limit_s",
        "_head_timer",
        "_is_serving",
        "_slow_reader_s",
        "_stalled_since",
        "_unsent",
        "_write_timer",
    )

    def __init__(
        self,
        manager: web.Server,
        loop: asyncio.AbstractEventLoop,
        *,
        head_limit_s: float,
        slow_reader_s: float,
    ) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=_IDLE_S,
            lingering_time=_LINGER_S,
            # A compressed body is refused; inflating it first would be the attack.
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # it takes None for no log
        )
        self._head_limit_s = head_limit_s
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_serving = False
        self._slow_reader_s = slow_reader_s
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._stalled_since = 0.0

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take note that the connection is no more."""
        self._stop_head_clock()
        self._stop_write_clock()
        super().connection_lost(exc)

    # --- the head of a request --------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes; those that begin a request start its clock."""
        if not self._is_serving and self._head_timer is None:
            loop = asyncio.get_running_loop()
            self._head_timer = loop.call_later(self._head_limit_s, self.force_close)
        super().data_received(data)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Mark the time during which a request is answered: its head is complete."""
        self._stop_head_clock()
        self._is_serving = True
        try:
            yield
        finally:
            self._is_serving = False

    def _stop_head_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    # --- a reader that does not read --------------------------------------------------------

    def pause_writing(self) -> None:
        """Take note that more waits to be sent than should."""
        super().pause_writing()
        self._unsent = self._left()
        self._stalled_since = asyncio.get_running_loop().time()
        self._look_again()

    def resume_writing(self) -> None:
        """Take note that it was taken."""
        self._stop_write_clock()
        super().resume_writing()

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        self._write_timer = loop.call_later(self._slow_reader_s / _LOOKS, self._look)

    def _look(self) -> None:
        now, left = asyncio.get_running_loop().time(), self._left()
        if left < self._unsent:
            self._unsent, self._stalled_since = left, now
        if now - self._stalled_since < self._slow_reader_s:
            self._look_again()
        elif self.transport is not None:
            # Its handler is cancelled, as that of a client which has left.
            self.transport.abort()

    def _left(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def _stop_write_clock(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
