"""A plain iterator driven in a thread of its own, one item at a time."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from contextlib import ExitStack, suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

logger = logging.getLogger(__name__)


class ThreadedIterator:
    """Drives `source`, an iterable or a context manager that gives one, in a daemon thread.

    The thread runs only while an item is asked for, in the context of who opened it. Leaving the
    context wakes a stream of a provider's package that waits for its socket, and closes the
    source in its own thread; it does not wait for code that is busy.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._asked: SimpleQueue[asyncio.Future[Any] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def __aenter__(self) -> Self:
        run = copy_context().run
        name = f"chatrun-iterator-{id(self):x}"
        threading.Thread(target=run, args=(self._work,), name=name, daemon=True).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._asked.put(None)
        _wake(self._source)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """Return the next item; what the iterator raises comes out as it is."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._asked.put(future)
        ended, item = await future
        if ended:
            raise StopAsyncIteration
        return item

    def _work(self) -> None:
        """Serve one request after the other, in the thread, until there are no more."""
        with suppress(Exception), ExitStack() as stack:
            iterator: Iterator[Any] | None = None
            while (future := self._asked.get()) is not None:
                try:
                    iterator = iterator or self._open(stack)
                    result = (False, next(iterator))
                except StopIteration:
                    self._answer(future.set_result, future, (True, None))
                except BaseException as exc:
                    self._answer(future.set_exception, future, exc)
                else:
                    self._answer(future.set_result, future, result)

    def _open(self, stack: ExitStack) -> Iterator[Any]:
        """Return the iterator; `stack` closes it and what it came from."""
        source = self._source
        if not hasattr(source, "__iter__"):
            source = self._source = stack.enter_context(source)
        iterator: Iterator[Any] = iter(source)
        for item in (source, iterator):
            if hasattr(item, "close"):
                stack.callback(_close, item)
        return iterator

    def _answer(
        self, resolve: Callable[[Any], None], future: asyncio.Future[Any], value: object
    ) -> None:
        def tell() -> None:
            if not future.done():
                resolve(value)

        with suppress(RuntimeError):  # the event loop has gone
            self._loop.call_soon_threadsafe(tell)


def _close(item: Any) -> None:
    try:
        item.close()
    except Exception as exc:
        logger.warning("cannot close %s: %s", type(item).__name__, exc)


def _wake(source: object) -> None:
    """End the wait of a blocking stream for its socket; closing it does not wake the reader."""
    response = getattr(source, "response", None)
    extensions = getattr(response, "extensions", None)
    network = extensions.get("network_stream") if isinstance(extensions, dict) else None
    if network is None:
        return
    with suppress(OSError, AttributeError):
        network.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
