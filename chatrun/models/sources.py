"""Whatever a task returns or yields, taken apart into single items, in order, and closed.

A source may be awaited, entered, iterated asynchronously or in a thread; what it gives may be a
source again. Packages of providers and agents are never imported: their streams are known by the
name of the package that defines them.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chatrun.aio import close_quietly
from chatrun.models import agents_sources, faults
from chatrun.models.agents_langgraph import is_graph_tuple
from chatrun.models.threads import ThreadedIterator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_PACKAGES: Final = frozenset(("anthropic", "openai"))
_LEAVES: Final = (str, Mapping, bytes, bytearray)
CLOSE_S: Final = 2.0
"""How long the closing of a source may take."""


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The mark behind the last item of a stream that was read to its end."""

    package: str | None = None
    """The provider package whose stream it was; such a stream says itself that it is complete."""
    finish_reason: str | None = None
    """The reason that the stream itself names."""


async def items_of(value: object) -> AsyncGenerator[object]:
    """Yield what `value` consists of: text, dicts, event objects, and the ends of streams.

    Closing the generator closes the source. An exception of a provider's stream comes out as a
    `ProviderError`; what the user's own code raises comes out as it is.
    """
    while inspect.isawaitable(value) and not isinstance(value, AsyncIterable):
        value = await value
    if value is None:
        return
    nested = _nested(value)
    if nested is None:
        yield value
        return
    async with aclosing(nested) as items:
        async for item in items:
            yield item


def is_leaf(value: object) -> bool:
    """Tell whether `value` is an item rather than a source: text, a dict or an event object."""
    # Event objects of the packages can be iterated, too: over their fields.
    return isinstance(value, _LEAVES) or hasattr(value, "model_dump") or is_graph_tuple(value)


def package_of(value: object) -> str | None:
    """Return the provider package that defines the type of `value`, if one does."""
    roots = (base.__module__.partition(".")[0] for base in type(value).__mro__)
    return next((root for root in roots if root in _PACKAGES), None)


def _nested(value: object) -> AsyncGenerator[object] | None:
    """Return the items of a source; None for what is no source."""
    if is_leaf(value):
        return None
    run = agents_sources.open_run(value)
    if run is not None:
        return _of_run(run, value)
    if isinstance(value, AsyncIterable):
        return _from_async(value)
    if isinstance(value, list | tuple):
        return _from_sequence(value)
    if isinstance(value, AbstractAsyncContextManager):
        return _entered(value)
    if isinstance(value, Iterable) or _is_sync_manager(value):
        return _from_thread(value)
    return None


def _is_sync_manager(value: object) -> bool:
    return isinstance(value, AbstractContextManager) and package_of(value) is not None


async def _entered(manager: AbstractAsyncContextManager[object]) -> AsyncGenerator[object]:
    """Yield the items of what an asynchronous context manager gives, such as a stream manager."""
    package, agent = package_of(manager), agents_sources.agent_of(manager)
    try:
        async with manager as value:
            async with aclosing(items_of(value)) as items:
                async for item in items:
                    yield item
    except Exception as exc:
        if (error := _translated(exc, package, agent)) is exc:
            raise
        raise error from exc


async def _of_run(run: AsyncGenerator[object], value: object) -> AsyncGenerator[object]:
    """Yield the items of an agent's run; closing it ends the run."""
    agent = agents_sources.agent_of(value)
    async with aclosing(run):
        try:
            async for item in run:
                yield item
        except Exception as exc:
            if (error := _translated(exc, None, agent)) is exc:
                raise
            raise error from exc


async def _from_async(source: AsyncIterable[object]) -> AsyncGenerator[object]:
    package, agent = package_of(source), agents_sources.agent_of(source)
    iterator = aiter(source)
    try:
        while True:
            try:
                item = await anext(iterator)
            except StopAsyncIteration:
                break
            except Exception as exc:
                if (error := _translated(exc, package, agent)) is exc:
                    raise
                raise error from exc
            if agent is not None:
                item = agents_sources.marked(item, agent)
            if is_leaf(item):
                yield item
                continue
            async with aclosing(items_of(item)) as items:
                async for inner in items:
                    yield inner
    finally:
        await _close(iterator, source)
    yield StreamEnded(package, getattr(source, "finish_reason", None))


async def _from_sequence(source: Iterable[object]) -> AsyncGenerator[object]:
    for item in source:
        async with aclosing(items_of(item)) as items:
            async for inner in items:
                yield inner


async def _from_thread(source: Any) -> AsyncGenerator[object]:
    """Yield the items of a plain iterator or of the packages' blocking streams."""
    package = package_of(source)
    async with ThreadedIterator(source) as iterator:
        while True:
            try:
                item = await anext(iterator)
            except StopAsyncIteration:
                break
            except Exception as exc:
                if (error := _translated(exc, package)) is exc:
                    raise
                raise error from exc
            if is_leaf(item):
                yield item
                continue
            async with aclosing(items_of(item)) as items:
                async for inner in items:
                    yield inner
    yield StreamEnded(package)


async def _close(*sources: object) -> None:
    """Close the iterator of a source, and the source itself, whichever of them can be closed."""
    closed: list[object] = []
    for source in sources:
        close = getattr(source, "aclose", None) or getattr(source, "close", None)
        if close is None or any(source is other for other in closed):
            continue
        closed.append(source)
        closing = close()
        if inspect.isawaitable(closing):
            await close_quietly(closing, within_s=CLOSE_S, what=type(source).__name__)


def _translated(exc: Exception, package: str | None, agent: str | None = None) -> Exception:
    """Return what an exception means: of a provider's stream in our words, of others as it is."""
    if agent is not None:
        return faults.agent_error(exc, agent=agent)
    if package is None:
        return exc
    return faults.foreign_error(exc, model=package, answering=True) or exc
