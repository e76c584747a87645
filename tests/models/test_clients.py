"""The shared clients: one for each account and event loop, closed with it."""

from __future__ import annotations

import asyncio
import gc
import warnings

from chatrun.models.anthropic import Anthropic
from chatrun.models.clients import shared_client
from chatrun.models.openai import OpenAI
from tests.support.models import answer_of
from tests.support.provider import FakeProvider, fake_provider


class Client:
    """Something that can be closed."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


async def test_one_key_is_one_client() -> None:
    first = await shared_client("a", Client)

    assert await shared_client("a", Client) is first
    assert await shared_client("b", Client) is not first


def test_clients_are_closed_with_their_event_loop() -> None:
    async def use() -> Client:
        return await shared_client("a", Client)

    first, second = asyncio.run(use()), asyncio.run(use())

    assert first is not second
    assert first.closed
    assert second.closed


def test_real_clients_leave_nothing_open_behind() -> None:
    async def use() -> None:
        async with fake_provider() as provider:
            await answer_of(Anthropic("ok", api_key="k", base_url=provider.base_url))
            await answer_of(OpenAI("ok", api_key="k", base_url=provider.openai_url))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(use())
        gc.collect()


async def test_a_burst_of_requests_begins_at_once(provider: FakeProvider) -> None:
    model = OpenAI("paced-3x30ms", api_key="k", base_url=provider.openai_url)

    await asyncio.gather(*(answer_of(model) for _ in range(100)))

    assert len(provider.requests) == 100
    assert provider.connections == 100


async def test_two_keys_do_not_share_a_client(provider: FakeProvider) -> None:
    for key in ("one", "two", "one"):
        await answer_of(OpenAI("ok", api_key=key, base_url=provider.openai_url))

    keys = [seen.headers["authorization"] for seen in provider.requests]
    assert keys == ["Bearer one", "Bearer two", "Bearer one"]
    assert provider.connections == 2


async def test_a_client_of_the_users_own_is_used_and_left_open(provider: FakeProvider) -> None:
    import openai

    client = openai.AsyncOpenAI(api_key="mine", base_url=provider.openai_url)
    model = OpenAI("ok", client=client)

    await answer_of(model)
    await answer_of(model)

    assert model.api == "chat"
    assert [seen.headers["authorization"] for seen in provider.requests] == ["Bearer mine"] * 2
    assert not client.is_closed()
    await client.close()
