"""The providers' own clients, one for each account, shared by all who run in one event loop.

A client carries a connection pool, so sharing it is what makes a second request cheap. It belongs
to the event loop it was first used in, and is closed with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Hashable


class Closable(Protocol):
    """A client of a provider's package."""

    async def close(self) -> None:
        """Close its connections."""


ClientT = TypeVar("ClientT", bound=Closable)


class _LoopClients:
    """The clients of one event loop."""

    def __init__(self) -> None:
        self.clients: dict[Hashable, Closable] = {}
        self._closing = self._close_with_loop()

    async def begin(self) -> None:
        """Have the clients closed when the event loop shuts down its asynchronous generators."""
        await anext(self._closing)

    async def _close_with_loop(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            _by_loop.pop(asyncio.get_running_loop(), None)
            for client in self.clients.values():
                await client.close()


# The one registry of the process: a cache, so nothing but speed depends on what is in it.
_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClients] = WeakKeyDictionary()


async def shared_client(key: Hashable, make: Callable[[], ClientT]) -> ClientT:
    """Return the client of this event loop under `key`, made on first use."""
    loop = asyncio.get_running_loop()
    shelf = _by_loop.get(loop)
    if shelf is None:
        shelf = _by_loop[loop] = _LoopClients()
        await shelf.begin()
    if key not in shelf.clients:
        shelf.clients[key] = make()
    return shelf.clients[key]  # type: ignore[return-value]  # a key is only ever used with one `make`
