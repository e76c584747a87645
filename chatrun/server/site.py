"""What every handler of one server shares."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from aiohttp import web

from chatrun.wire.tokens import check_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from chatrun.server.live import Live

logger = logging.getLogger("chatrun.server")

T = TypeVar("T")

MIB: Final = 1024 * 1024
_MAX_RESUMING: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the server treats its clients."""

    allowed_hosts: tuple[str, ...] = ()
    """Names besides loopback that a request's `Host` may have, with or without a port."""
    allowed_origins: tuple[str, ...] = ()
    """Origins besides loopback that pages may call from, as in "https://example.com"."""
    task_tokens_open_sessions: bool = False
    """Whether a token of a task opens every session of that task."""
    max_append_bytes: int = MIB
    max_request_bytes: int = 8 * MIB
    head_limit_s: float = 10.0
    """How long a client may take to send the head of a request it has begun."""
    body_limit_s: float = 30.0
    """How long a client may take to send a body."""
    slow_reader_s: float = 30.0
    """How long a reader may take nothing of what is sent before it is disconnected."""
    heartbeat_s: float = 5.0
    """After how long without a record a stream shows that it is alive."""


class Site:
    """One server: what it serves, with which secret and settings, and what it has under way."""

    def __init__(
        self,
        live: Live,
        *,
        secret: str,
        settings: ServerSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.live = live
        self.secret = check_secret(secret)
        self.settings = settings
        self.clock = clock
        self.is_closing = False
        """Whether the server is shutting down, so that who is cut off has not left by itself."""
        self.streams: set[asyncio.Task[object]] = set()
        """The handlers that are writing streams."""
        self.resuming = RecentKeys(_MAX_RESUMING)
        """Chats of which a client has asked for the running answer, by task and chat id."""
        self._group: asyncio.TaskGroup | None = None
        self._background: set[asyncio.Task[None]] = set()

    def now_ms(self) -> int:
        """Return the time in Unix milliseconds."""
        return int(self.clock() * 1000)

    def use(self, group: asyncio.TaskGroup) -> None:
        """Do background work in `group`; called once, before the first request."""
        self._group = group

    def spawn(self, work: Coroutine[object, object, T]) -> asyncio.Future[T]:
        """Do `work` in the background, to its end even if whoever asked for it has gone.

        What it returns or raises is in the future; cancelling the future does not stop it.
        """
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._run(_into(result, work))
        return result

    def start_soon(self, work: Coroutine[object, object, None], *, what: str) -> None:
        """Do `work` in the background; what it raises is logged as a failure of `what`."""
        self._run(_logged(work, what))

    def _run(self, work: Coroutine[object, object, None]) -> None:
        assert self._group is not None
        task = self._group.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def cancel_background(self) -> None:
        """Give up what is still under way in the background."""
        for task in self._background:
            task.cancel()

    def cut_streams(self) -> None:
        """End every stream now; its reader is to come back to the next server."""
        self.is_closing = True
        for task in self.streams:
            task.cancel()


class RecentKeys:
    """The keys that were added last, so many at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._keys: OrderedDict[object, None] = OrderedDict()

    def add(self, key: object) -> None:
        """Remember `key`, and forget the oldest one when there are too many."""
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > self._limit:
            self._keys.popitem(last=False)

    def __contains__(self, key: object) -> bool:
        return key in self._keys


async def _into(result: asyncio.Future[T], work: Coroutine[object, object, T]) -> None:
    try:
        value = await work
    except asyncio.CancelledError:
        result.cancel()
        raise
    except Exception as exc:
        if not result.cancelled():
            result.set_exception(exc)
    else:
        if not result.cancelled():
            result.set_result(value)


async def _logged(work: Coroutine[object, object, None], what: str) -> None:
    try:
        await work
    except Exception as exc:
        logger.error("%s failed: %s", what, exc or type(exc).__name__)


SITE: Final = web.AppKey("site", Site)
