"""Anthropic's models, through the `anthropic` package."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from chatrun.models import faults
from chatrun.models.anthropic_events import AnthropicEvents
from chatrun.models.anthropic_request import request_body
from chatrun.models.clients import shared_client
from chatrun.models.reading import open_answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from anthropic import AsyncAnthropic

    from chatrun.models.base import ModelItem, ModelRequest

PATH: Final = "/v1/messages"
KEY_VARIABLE: Final = "ANTHROPIC_API_KEY"


class Anthropic:
    """A model of Anthropic's, or of a server that speaks its Messages API.

    Without a `client`, one is made and shared: with `api_key` and `base_url`, else with what the
    environment says (`ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`, and what the package reads). A
    `client` that is handed in stays its owner's to close.
    """

    def __init__(
        self,
        name: str,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        client: AsyncAnthropic | None = None,
    ) -> None:
        self._model = name
        self._api_key = api_key
        self._base_url = base_url
        self._client = client

    @property
    def name(self) -> str:
        """Return the name as errors and logs have it."""
        return f"anthropic:{self._model}"

    def __repr__(self) -> str:
        return f"Anthropic({self._model!r})"

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelItem]]:
        """Answer `request`; see `Model.stream`."""
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelItem]]:
        body = request_body(self._model, request, model=self.name)
        client = self._client or await self._shared_client()
        converter = AnthropicEvents(model=self.name, id_prefix=request.id_prefix)
        async with open_answer(
            client, PATH, body, converter=converter, model=self.name, request=request
        ) as items:
            yield items

    async def _shared_client(self) -> AsyncAnthropic:
        given = (self._api_key, self._base_url)
        env = (os.environ.get(KEY_VARIABLE), os.environ.get("ANTHROPIC_BASE_URL"))
        return await shared_client((PATH, *given, *env), self._make_client)

    def _make_client(self) -> AsyncAnthropic:
        import anthropic

        # aiohttp's transport takes a burst of 200 requests in a third of the time of the default
        # one, and costs a third of the CPU for every token.
        http_client = anthropic.DefaultAioHttpClient()
        options: dict[str, Any] = {"open_telemetry": False, "http_client": http_client}
        client = anthropic.AsyncAnthropic(
            api_key=self._api_key or None, base_url=self._base_url, **options
        )
        if not (client.api_key or client.auth_token or client.credentials):
            raise faults.key_missing(self.name, variable=KEY_VARIABLE)
        return client
