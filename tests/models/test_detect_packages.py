"""Raw streams of the real `anthropic` and `openai` packages, given as a task would give them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from chatrun.errors import ProviderRejected, ProviderTruncated, ProviderUnavailable
from chatrun.models.detect import chunks_of
from tests.support.models import brief

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.support.provider import FakeProvider

MESSAGES: list[Any] = [{"role": "user", "content": "Hi"}]
HELLO = "Hello, wörld 👋🏽!"


class Clients:
    """Clients of both packages, asynchronous and blocking."""

    def __init__(self, provider: FakeProvider) -> None:
        ours: dict[str, Any] = {"api_key": "k", "max_retries": 0}
        root, versioned = provider.base_url, provider.openai_url
        self.anthropic = anthropic.AsyncAnthropic(base_url=root, open_telemetry=False, **ours)
        self.anthropic_sync = anthropic.Anthropic(base_url=root, open_telemetry=False, **ours)
        self.openai = openai.AsyncOpenAI(base_url=versioned, **ours)
        self.openai_sync = openai.OpenAI(base_url=versioned, **ours)

    async def close(self) -> None:
        await self.anthropic.close()
        await self.openai.close()
        self.anthropic_sync.close()
        self.openai_sync.close()


@asynccontextmanager
async def _clients(provider: FakeProvider) -> AsyncIterator[Clients]:
    clients = Clients(provider)
    try:
        yield clients
    finally:
        await clients.close()


@pytest.fixture
async def clients(provider: FakeProvider) -> AsyncIterator[Clients]:
    async with _clients(provider) as opened:
        yield opened


ANTHROPIC: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 10}
CHAT: dict[str, Any] = {"messages": MESSAGES, "stream_options": {"include_usage": True}}

FORMS: dict[str, Callable[[Clients, str], Any]] = {
    "anthropic-create": lambda c, name: c.anthropic.messages.create(
        model=name, stream=True, **ANTHROPIC
    ),
    "anthropic-manager": lambda c, name: c.anthropic.messages.stream(model=name, **ANTHROPIC),
    "anthropic-sync": lambda c, name: _in_thread(
        lambda: c.anthropic_sync.messages.create(model=name, stream=True, **ANTHROPIC)
    ),
    "anthropic-sync-manager": lambda c, name: c.anthropic_sync.messages.stream(
        model=name, **ANTHROPIC
    ),
    "chat-create": lambda c, name: c.openai.chat.completions.create(
        model=name, stream=True, **CHAT
    ),
    "chat-manager": lambda c, name: c.openai.chat.completions.stream(model=name, **CHAT),
    "chat-sync": lambda c, name: _in_thread(
        lambda: c.openai_sync.chat.completions.create(model=name, stream=True, **CHAT)
    ),
    "chat-sync-manager": lambda c, name: c.openai_sync.chat.completions.stream(model=name, **CHAT),
    "responses-create": lambda c, name: c.openai.responses.create(
        model=name, stream=True, input="Hi"
    ),
    "responses-manager": lambda c, name: c.openai.responses.stream(model=name, input="Hi"),
    "responses-sync": lambda c, name: _in_thread(
        lambda: c.openai_sync.responses.create(model=name, stream=True, input="Hi")
    ),
}


async def _in_thread(make: Callable[[], Any]) -> Any:
    """Return what `make` gives; blocking, so not in the loop that serves the answer."""
    return await asyncio.to_thread(make)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[Clients, str], Any]:
    return FORMS[request.param]


async def test_every_form_of_a_stream_is_one_step_with_its_reason(
    clients: Clients, form: Callable[[Clients, str], Any]
) -> None:
    chunks = [chunk async for chunk in chunks_of(form(clients, "ok"))]

    assert brief(chunks) == ["start-step", ["text", HELLO], "finish-step", "finish"]
    assert chunks[-1] == {"type": "finish", "finishReason": "stop"}


async def test_reasoning_is_told_once(
    clients: Clients, form: Callable[[Clients, str], Any], request: pytest.FixtureRequest
) -> None:
    chunks = [chunk async for chunk in chunks_of(form(clients, "thinking"))]

    assert brief(chunks)[1:3] == [["reasoning", "Let me think."], ["text", "Done."]]


async def test_an_answer_that_breaks_off_is_an_error(
    clients: Clients, form: Callable[[Clients, str], Any]
) -> None:
    with pytest.raises(ProviderTruncated):
        async for _ in chunks_of(form(clients, "clean-cut")):
            pass


async def test_an_error_in_mid_stream_is_one_of_ours(
    clients: Clients, form: Callable[[Clients, str], Any]
) -> None:
    with pytest.raises(ProviderUnavailable):
        async for _ in chunks_of(form(clients, "overloaded")):
            pass


async def test_stopping_closes_the_connection_of_a_silent_model(
    provider: FakeProvider, clients: Clients, form: Callable[[Clients, str], Any]
) -> None:
    spoken = asyncio.Event()

    async def read() -> None:
        async for chunk in chunks_of(form(clients, "hang")):
            if chunk["type"] == "text-delta":
                spoken.set()

    reading = asyncio.create_task(read())
    async with asyncio.timeout(10):
        await spoken.wait()

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    await provider.disconnected()


async def test_a_manager_whose_request_is_refused_says_so(clients: Clients) -> None:
    manager = clients.anthropic.messages.stream(model="status-404", **ANTHROPIC)

    with pytest.raises(ProviderRejected, match="answered 404: the fake provider says 404"):
        async for _ in chunks_of(manager):
            pass


async def test_events_that_a_task_passes_on_are_understood(clients: Clients) -> None:
    async def task() -> AsyncIterator[Any]:
        yield {"type": "data-status", "data": "thinking"}
        async with clients.anthropic.messages.stream(model="ok", **ANTHROPIC) as stream:
            async for event in stream:
                yield event
        yield " Bye."

    chunks = [chunk async for chunk in chunks_of(task())]

    assert brief(chunks) == [
        "data-status",
        *("start-step", ["text", HELLO], "finish-step"),
        *("start-step", ["text", " Bye."], "finish-step"),
        "finish",
    ]


async def test_a_task_that_leaves_a_stream_early_is_not_at_fault(clients: Clients) -> None:
    async def task() -> AsyncIterator[Any]:
        stream = await clients.openai.chat.completions.create(model="ok", stream=True, **CHAT)
        async with stream:
            async for chunk in stream:
                yield chunk
                if chunk.choices and chunk.choices[0].delta.content:
                    return

    chunks = [chunk async for chunk in chunks_of(task())]

    assert brief(chunks) == ["start-step", ["text", "Hel"], "finish-step"]
