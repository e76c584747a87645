"""The model that needs no key: it answers at once, always alike, and says what it is.

It is there to try an application with: it reasons, streams at a real model's pace, calls the
application's tools and fails on command. What it sends are Anthropic's events, turned into chunks
by the production converter, so that trying with it tries the production path.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, assert_never

from chatrun.models.anthropic_events import AnthropicEvents
from chatrun.models.demo_script import Event, Pause, Send, script_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from chatrun.models.base import ModelItem, ModelRequest

PACE_S = 0.022
"""The time between two words: about 45 a second."""


class Demo:
    """The demo model. `pace_s` is the time between two words; 0 is as fast as can be."""

    name = "demo"

    def __init__(self, *, pace_s: float = PACE_S) -> None:
        self._pace_s = pace_s

    def __repr__(self) -> str:
        return "Demo()"

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelItem]]:
        """Answer `request`; see `Model.stream`."""
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelItem]]:
        async with aclosing(self._items(request)) as items:
            yield items

    async def _items(self, request: ModelRequest) -> AsyncGenerator[ModelItem]:
        converter = AnthropicEvents(model=self.name, id_prefix=request.id_prefix)
        for step in script_for(request):
            match step:
                case Event(event):
                    for chunk in converter.feed(event):
                        yield chunk
                case Send(chunk):
                    yield chunk
                case Pause(words):
                    await asyncio.sleep(words * self._pace_s)
                case _:
                    assert_never(step)
        assert converter.finish is not None, "every script ends in message_stop or an error"
        yield converter.finish
