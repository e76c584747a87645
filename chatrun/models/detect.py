"""Anything that a task returns or yields, as one stream of chunks."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from chatrun.models.gathering import Gathering
from chatrun.models.sources import StreamEnded, items_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from chatrun.models.agents import EarlierCall
    from chatrun.models.base import ModelFinish
    from chatrun.wire.chunks import Chunk


async def chunks_of(
    value: object,
    *,
    on_finish: Callable[[ModelFinish], None] | None = None,
    earlier_call: EarlierCall | None = None,
) -> AsyncGenerator[Chunk]:
    """Yield the chunks of `value`, and at the end a `finish` where a reason is known.

    `value` is text, a chunk, a UI message, a `stream_text` result, a stream, stream manager, event
    or whole reply of the `anthropic` or `openai` packages, a run of an agent of `pydantic-ai`,
    `openai-agents` or LangGraph, streamed or whole, an awaitable, iterator or list of any of these,
    or None for nothing. Chunks pass unchanged and unchecked; `start` is not added. Plain
    iterators run in a thread. Closing the generator, and cancelling who waits for it, closes the
    source.

    Args:
        value: What the task gave.
        on_finish: Called with the reason and usage of each model call that a raw stream or an
            agent told of, as soon as it has ended.
        earlier_call: Finds a tool call in the message that the answer goes on with. Without it,
            the results of calls that an agent made in an earlier run are taken to belong there.

    Raises:
        ChunkInvalid: There is something in it that cannot be sent; its type is named.
        ProviderError: A stream of a provider's package failed or broke off. What the user's own
            code raises comes out as it is.
    """
    gathering = Gathering(earlier_call)
    async with aclosing(items_of(value)) as items:
        async for item in items:
            if isinstance(item, StreamEnded):
                chunks = gathering.stream_ended(item)
            else:
                chunks = gathering.feed(item)
            for chunk in chunks:
                yield chunk
            _report(gathering, on_finish)
    for chunk in gathering.close():
        yield chunk
    _report(gathering, on_finish)


def _report(gathering: Gathering, on_finish: Callable[[ModelFinish], None] | None) -> None:
    for finish in gathering.take_finishes():
        if on_finish is not None:
            on_finish(finish)
