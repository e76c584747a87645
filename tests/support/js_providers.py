"""One answer twice: by the AI SDK's own providers in Node, and by ours; the same bytes for both."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from chatrun.ai.stream_text import stream_text
from chatrun.ai.tools import Tool
from chatrun.errors import ProviderError
from chatrun.models.anthropic import Anthropic
from chatrun.models.openai import OpenAI
from tests.support.oracle import ask
from tests.support.provider_wires import sse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chatrun.models.base import Model
    from tests.support.provider_wires import WireName

JSON = dict[str, Any]

MODELS: dict[WireName, str] = {
    "anthropic": "claude-opus-4-5",
    "chat": "gpt-4o",
    "responses": "gpt-5",
}
HI: list[JSON] = [{"role": "user", "content": "Hi"}]
# Where the server is, for both: the AI SDK's providers want the version in it.
_PATHS: dict[WireName, tuple[str, str]] = {
    "anthropic": ("/v1", ""),
    "chat": ("/v1", "/v1"),
    "responses": ("/v1", "/v1"),
}


@dataclass(frozen=True, slots=True)
class ToolPair:
    """One tool as both sides declare it."""

    name: str
    native: str | None = None
    """The maker of a tool that the provider runs itself, in the AI SDK's `tools`."""
    args: JSON = field(default_factory=dict)
    definition: JSON | None = None
    """The same tool as the provider's API wants it."""
    description: str | None = None
    schema: JSON = field(default_factory=lambda: {"type": "object", "properties": {}})

    def theirs(self) -> JSON:
        """Return what providers.mjs makes the tool of."""
        if self.native is not None:
            return {"name": self.name, "native": self.native, "args": self.args}
        described = {"description": self.description} if self.description else {}
        return {"name": self.name, "inputSchema": self.schema, **described}

    def ours(self) -> Tool:
        """Return the tool; nobody runs it here."""
        if self.definition is not None:
            return Tool.native_of(self.definition)
        return Tool.from_schema(self.name, self.schema, description=self.description)


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and the events that answer it."""

    wire: WireName
    events: bytes = b""
    messages: Sequence[JSON] = ()
    tools: Sequence[ToolPair] = ()
    model: str | None = None
    base_url: str | None = None
    """A server that answers instead; the model's name is its scenario."""
    settings: JSON = field(default_factory=dict)
    """Settings of `streamText` beside."""
    our_settings: JSON = field(default_factory=dict)
    """The same settings of `stream_text`."""

    @property
    def model_name(self) -> str:
        """The model that is asked."""
        return self.model or MODELS[self.wire]

    def theirs(self) -> JSON:
        """Return the job for providers.mjs."""
        job: JSON = {
            "wire": self.wire,
            "model": self.model_name,
            "messages": list(self.messages) or HI,
            "tools": [tool.theirs() for tool in self.tools],
            # What is ours to keep is not stored at OpenAI: the wire differs by it, not the chunks.
            "providerOptions": {"openai": {"store": False}} if self.wire == "responses" else {},
            **self.settings,
        }
        if self.base_url is not None:
            return {**job, "baseURL": self.base_url + _PATHS[self.wire][0]}
        return {**job, "events": self.events.decode()}


@dataclass(frozen=True, slots=True)
class Answered:
    """What went out and what came in."""

    body: JSON | None
    """The request; None where none was sent."""
    chunks: list[JSON]
    """The chunks of a page, the last one with the usage, or an error."""


def ask_them(cases: Sequence[Case]) -> list[Answered]:
    """Return what the AI SDK's providers make of `cases`."""
    told = ask([case.theirs() for case in cases], script="providers.mjs")
    return [Answered(answer["body"], answer["chunks"]) for answer in told]


async def ask_us(case: Case) -> Answered:
    """Return what our providers make of `case`."""
    bodies: list[JSON] = []

    async def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(await request.aread()))
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=_pieces(case.events))

    transport = None if case.base_url is not None else httpx2.MockTransport(answer)
    async with httpx2.AsyncClient(transport=transport) as http_client:
        model = _model(case, http_client)
        chunks = await _chunks(case, model)
    return Answered(bodies[0] if bodies else None, chunks)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _model(case: Case, http_client: httpx2.AsyncClient) -> Model:
    base_url = case.base_url or "http://provider.test"
    options: JSON = {"api_key": "k", "http_client": http_client, "max_retries": 0}
    if case.wire == "anthropic":
        import anthropic

        client = anthropic.AsyncAnthropic(base_url=base_url, open_telemetry=False, **options)
        return Anthropic(case.model_name, client=client)
    import openai

    there = openai.AsyncOpenAI(base_url=f"{base_url}/v1", **options)
    return OpenAI(case.model_name, api=case.wire, client=there)


async def _chunks(case: Case, model: Model) -> list[JSON]:
    """Return the chunks as a page gets them: `start` and `finish` are what a turn adds."""
    chunks: list[JSON] = [{"type": "start"}]
    stream = stream_text(
        model,
        messages=list(case.messages) or HI,  # type: ignore[arg-type]
        tools=[tool.ours() for tool in case.tools],
        max_retries=0,
        stop_when=lambda _: True,
        **case.our_settings,
    )
    try:
        async for chunk in stream:
            chunks.append(dict(chunk))
    except ProviderError as exc:
        return [*chunks, {"type": "error", "errorText": str(exc)}]
    metadata = {"usage": stream.usage.to_json()}
    finish = {"type": "finish", "finishReason": stream.finish_reason, "messageMetadata": metadata}
    return [*chunks, finish]


async def ask_both(cases: Sequence[Case]) -> list[tuple[Case, Answered, Answered]]:
    """Return for each case what they and what we make of it."""
    theirs = asyncio.create_task(asyncio.to_thread(ask_them, cases))
    ours = [await ask_us(case) for case in cases]
    return list(zip(cases, await theirs, ours, strict=True))


def stream_of(events: Sequence[JSON], *, wire: WireName) -> bytes:
    """Return events as the provider would send them."""
    named = wire != "chat"
    frames = [sse(event, event["type"] if named else None) for event in events]
    return b"".join(frames) + (sse("[DONE]") if wire == "chat" else b"")
