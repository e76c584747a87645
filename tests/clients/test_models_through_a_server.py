"""The real provider packages, called by a task of a real server, against their wires' faults."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.provider import fake_provider
from tests.support.server import dev_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.provider import FakeProvider
    from tests.support.server import DevServer

TASKS = """
import anthropic, openai, os
from chatrun import Anthropic, OpenAI, chat, stream_text

ROOT = os.environ["PROVIDER_URL"]

@chat.task("my-chat")
async def my_chat(turn):
    api, name = turn.text.split()
    match api:
        case "chat" | "responses":
            model = OpenAI(name, base_url=f"{ROOT}/v1", api_key="k", api=api)
            return stream_text(model, messages=turn.messages)
        case "anthropic":
            model = Anthropic(name, base_url=ROOT, api_key="k")
            return stream_text(model, messages=turn.messages)
        case "raw-openai":
            client = openai.AsyncOpenAI(base_url=f"{ROOT}/v1", api_key="k")
            said = [{"role": "user", "content": "hi"}]
            return await client.chat.completions.create(model=name, messages=said, stream=True)
        case "raw-anthropic":
            client = anthropic.AsyncAnthropic(base_url=ROOT, api_key="k")
            said = [{"role": "user", "content": "hi"}]
            return await client.messages.create(
                model=name, messages=said, max_tokens=100, stream=True
            )
"""
APIS = ("chat", "responses", "anthropic", "raw-openai", "raw-anthropic")


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with fake_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
async def server(provider: FakeProvider) -> AsyncIterator[DevServer]:
    env = {"PROVIDER_URL": provider.base_url}
    async with dev_server({"tasks/chat.py": TASKS}, env=env) as server:
        yield server


class Chat:
    """A chat with the task, as the AI SDK's own transport has it."""

    def __init__(self, server: DevServer, chat_id: str) -> None:
        self._server, self._chat_id, self._sent = server, chat_id, 0

    @asynccontextmanager
    async def post(self, text: str) -> AsyncIterator[aiohttp.ClientResponse]:
        self._sent += 1
        message = {
            "id": f"u{self._sent}",
            "role": "user",
            "parts": [{"type": "text", "text": text}],
        }
        body = {"id": self._chat_id, "messages": [message], "trigger": "submit-message"}
        headers = {"authorization": f"Bearer {self._server.secret}"}
        url = f"{self._server.url}/api/chat/my-chat"
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(url, json=body) as response,
        ):
            assert response.status == 200, await response.text()
            yield response

    async def send(self, text: str) -> list[dict[str, Any]]:
        async with self.post(text) as response:
            return await chunks(response, until="[DONE]")


async def chunks(response: aiohttp.ClientResponse, *, until: str) -> list[dict[str, Any]]:
    """Read chunks until one is of the type `until`, or the stream has ended."""
    found: list[dict[str, Any]] = []
    async for line in response.content:
        data = line.decode().removeprefix("data: ").strip()
        if not data or data.startswith(":"):
            continue
        if data == "[DONE]":
            break
        found.append(json.loads(data))
        if found[-1]["type"] == until:
            break
    return found


def text_of(found: list[dict[str, Any]]) -> str:
    return "".join(chunk["delta"] for chunk in found if chunk["type"] == "text-delta")


@pytest.mark.parametrize("api", APIS)
async def test_an_answer_streams_from_the_providers_wire_to_the_page(
    server: DevServer, api: str
) -> None:
    plain = await Chat(server, f"ok-{api}").send(f"{api} ok")
    split = await Chat(server, f"bytewise-{api}").send(f"{api} bytewise")

    assert text_of(plain).startswith("Hello")
    assert text_of(split) == text_of(plain)
    assert plain[-1] == {"type": "finish", "finishReason": "stop"}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fault", ["overloaded", "tcp-cut", "clean-cut"])
async def test_an_answer_that_breaks_off_is_an_error_and_the_chat_goes_on(
    server: DevServer, api: str, fault: str
) -> None:
    chat = Chat(server, f"{fault}-{api}")
    broken = await chat.send(f"{api} {fault}")
    fine = await chat.send(f"{api} ok")

    assert [chunk["type"] for chunk in broken].count("error") == 1
    assert broken[-1]["type"] == "error"
    assert fine[-1]["type"] == "finish"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("silence", ["hang", "no-headers", "pings"])
async def test_leaving_a_silent_model_closes_its_socket(
    server: DevServer, provider: FakeProvider, api: str, silence: str
) -> None:
    chat = Chat(server, f"{silence}-{api}")
    async with chat.post(f"{api} {silence}") as response:
        while (await provider.requested()).body["model"] != silence:
            pass
        if silence == "hang":
            await chunks(response, until="text-delta")
    while (await provider.disconnected()).body["model"] != silence:
        pass  # an earlier test's, left in the middle of a fault
    fine = await chat.send(f"{api} ok")

    assert text_of(fine).startswith("Hello")
