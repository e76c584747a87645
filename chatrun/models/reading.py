"""One streamed answer of a provider: send the request, read the bytes, convert the events.

The provider's package sends the request (keys, base URL, retries, typed errors). The reply is
read as bytes and decoded here: the packages build an object for every event, which costs more
than everything else on the path of a token.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from chatrun.errors import ProviderError, ProviderRejected, ProviderTruncated, ProviderUnavailable
from chatrun.models import faults
from chatrun.models.events import EventParser

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    import httpx2

    from chatrun.models.base import ModelFinish, ModelItem, ModelRequest
    from chatrun.wire.chunks import Chunk

logger = logging.getLogger(__name__)

DONE = b"[DONE]"
IDLE_EVENTS = frozenset(("ping", "keepalive"))
DRAIN_S = 0.05
"""How long the end of an answer that is complete may take; then its connection is given up."""


class Converter(Protocol):
    """Turns the events of one answer into chunks, in order."""

    ended: bool
    """Whether the last event of interest has come."""

    @property
    def finish(self) -> ModelFinish | None:
        """How the answer ended; None as long as the provider has not said so."""
        ...

    def feed(self, event: Mapping[str, Any]) -> list[Chunk]:
        """Return the chunks of one event; unknown events have none.

        Raises:
            ProviderError: The event is the provider's word that it failed.
        """

    def close(self) -> list[Chunk]:
        """Return what is left to send once nothing more comes: the ends of open parts."""


@asynccontextmanager
async def open_answer(
    client: Any,
    path: str,
    body: Mapping[str, object],
    *,
    converter: Converter,
    model: str,
    request: ModelRequest,
) -> AsyncIterator[AsyncIterator[ModelItem]]:
    """Send `body` and give the items of the answer; see `Model.stream` for the contract.

    `client` is an asynchronous client of either package: both have the same `post`.
    """
    response = await _send(client, path, body, model=model, request=request)
    try:
        _check_kind(response, model)
        items = _items(response, converter, model=model, idle_s=request.chunk_timeout_s)
        async with aclosing(items):
            yield items
    finally:
        await response.aclose()


async def _send(
    client: Any, path: str, body: Mapping[str, object], *, model: str, request: ModelRequest
) -> httpx2.Response:
    """Return the reply once its headers are there; its body has not been read."""
    import httpx2

    options = {"max_retries": request.max_retries}
    try:
        async with asyncio.timeout(request.chunk_timeout_s):
            # Not the packages' typed `create`: openai's walks a long history for 30 ms of CPU.
            response: httpx2.Response = await client.post(
                path, body=body, cast_to=httpx2.Response, stream=True, options=options
            )
            return response
    except TimeoutError:
        raise faults.silent(model, limit_s=request.chunk_timeout_s or 0) from None
    except Exception as exc:
        error = faults.foreign_error(exc, model=model)
        raise error or faults.unexpected(exc, model=model) from exc


def _check_kind(response: httpx2.Response, model: str) -> None:
    """Refuse a reply that is no event stream: the base URL leads somewhere else."""
    kind = response.headers.get("content-type", "")
    if any(word in kind for word in ("html", "application/json")):
        raise ProviderRejected(
            f"{model} answered with {kind}, not with an event stream; is the base URL right?",
            model=model,
            status=response.status_code,
        )


async def _items(
    response: httpx2.Response, converter: Converter, *, model: str, idle_s: float | None
) -> AsyncGenerator[ModelItem]:
    """Yield the chunks of an answer as its bytes come in, then how it ended."""
    encoded = "content-encoding" in response.headers
    async with aclosing(response.aiter_bytes() if encoded else response.aiter_raw()) as pieces:
        body = _Body(pieces, model=model, idle_s=idle_s)
        parser = EventParser()
        while not converter.ended and not body.ended:
            data = await body.read()
            for payload in parser.feed(data) if data else parser.finish():
                if payload == DONE:
                    converter.ended = True
                    break
                event = _decoded(payload, model)
                if event is None or event.get("type") in IDLE_EVENTS:
                    continue
                body.progressed()
                for chunk in _converted(event, converter, model):
                    yield chunk
        for chunk in converter.close():
            yield chunk
        finish = converter.finish
        if finish is None:
            raise ProviderTruncated(f"the answer of {model} broke off", model=model)
        yield finish
        await body.drain()


def _converted(event: Mapping[str, Any], converter: Converter, model: str) -> list[Chunk]:
    """Return the chunks of an event; one that lacks what its type promises is the provider's."""
    try:
        return converter.feed(event)
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        kind = event.get("type", "without a type")
        raise ProviderUnavailable(
            f"{model} sent an event ({kind}) that cannot be read", model=model
        ) from exc


class _Body:
    """The bytes of a reply, with an eye on how long the model has been silent."""

    def __init__(self, pieces: AsyncIterator[bytes], *, model: str, idle_s: float | None) -> None:
        self.ended = False
        self._pieces = pieces
        self._model = model
        self._idle_s = idle_s
        self._left_s = idle_s

    def progressed(self) -> None:
        """Take note that the model has said something."""
        self._left_s = self._idle_s

    async def read(self) -> bytes:
        """Return the next bytes; none at the end of the body."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._left_s):
                data = await anext(self._pieces, None)
        except TimeoutError:
            raise faults.silent(self._model, limit_s=self._idle_s or 0) from None
        except Exception as exc:
            error = faults.foreign_error(exc, model=self._model, answering=True)
            raise error or faults.unexpected(exc, model=self._model) from exc
        # Only waiting counts: what the reader of the chunks does meanwhile is its own affair.
        if self._left_s is not None:
            self._left_s = max(self._left_s - (time.monotonic() - began), 0)
        self.ended = data is None
        return data or b""

    async def drain(self) -> None:
        """Read to the end of the body, so that the connection can serve the next request."""
        with suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while not self.ended:
                    await self.read()


def _decoded(payload: bytes, model: str) -> dict[str, Any] | None:
    """Return the event that `payload` holds; None for what is no JSON object."""
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        logger.warning("%s sent an event that is not JSON; it is passed over", model)
        return None
    return event if isinstance(event, dict) else None
