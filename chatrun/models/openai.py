"""OpenAI's models, and every server that speaks its wire, through the `openai` package."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Literal

from chatrun.models import faults, openai_chat_request, openai_responses_request
from chatrun.models.clients import shared_client
from chatrun.models.openai_chat_events import ChatEvents
from chatrun.models.openai_responses_events import ResponsesEvents
from chatrun.models.reading import open_answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from openai import AsyncOpenAI

    from chatrun.models.base import ModelItem, ModelRequest

Api = Literal["responses", "chat"]

KEY_VARIABLE: Final = "OPENAI_API_KEY"
URL_VARIABLE: Final = "OPENAI_BASE_URL"
NO_KEY: Final = "none"
"""What is sent as a key to servers of one's own, most of which want none."""


class OpenAI:
    """A model of OpenAI's, or of a server that speaks its wire (Ollama, vLLM, OpenRouter, ...).

    `api` is the wire: Responses for OpenAI itself, chat completions wherever a `base_url` leads
    elsewhere, unless said otherwise. Without a `client`, one is made and shared: with `api_key`
    and `base_url`, else with what the environment says (`OPENAI_API_KEY`, `OPENAI_BASE_URL`). A
    `client` that is handed in stays its owner's to close.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api: Api | None = None,
        client: AsyncOpenAI | None = None,
    ) -> None:
        self._model = name
        self._base_url = base_url
        self._api_key = api_key
        self._api = api
        self._client = client

    @property
    def api(self) -> Api:
        """The wire that is spoken."""
        if self._api is not None:
            return self._api
        url = self._url if self._client is None else str(self._client.base_url)
        return "responses" if _is_openai(url) else "chat"

    @property
    def name(self) -> str:
        """Return the name as errors and logs have it."""
        return f"openai:{self._model}" if self.api == "responses" else f"openai-chat:{self._model}"

    def __repr__(self) -> str:
        return f"OpenAI({self._model!r})"

    @property
    def _url(self) -> str | None:
        return self._base_url or os.environ.get(URL_VARIABLE) or None

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelItem]]:
        """Answer `request`; see `Model.stream`."""
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelItem]]:
        model, prefix = self.name, request.id_prefix
        converter: ChatEvents | ResponsesEvents
        if self.api == "chat":
            path = "/chat/completions"
            body = openai_chat_request.request_body(self._model, request, model=model)
            converter = ChatEvents(model=model, id_prefix=prefix)
        else:
            path = "/responses"
            body = openai_responses_request.request_body(self._model, request, model=model)
            converter = ResponsesEvents(model=model, id_prefix=prefix)
        client = self._client or await self._shared_client()
        async with open_answer(
            client, path, body, converter=converter, model=model, request=request
        ) as items:
            yield items

    async def _shared_client(self) -> AsyncOpenAI:
        key = self._api_key or os.environ.get(KEY_VARIABLE)
        if not key and _is_openai(self._url):
            raise faults.key_missing(self.name, variable=KEY_VARIABLE)
        account = ("openai", key or NO_KEY, self._url)
        return await shared_client(account, lambda: _make_client(key or NO_KEY, self._url))


def _is_openai(url: str | None) -> bool:
    return url is None or ".openai.com" in url or "//openai.com" in url


def _make_client(api_key: str, base_url: str | None) -> AsyncOpenAI:
    import openai

    # aiohttp's transport: see `chatrun.models.anthropic`.
    http_client = openai.DefaultAioHttpClient()
    return openai.AsyncOpenAI(api_key=api_key, base_url=base_url, http_client=http_client)
