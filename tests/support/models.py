"""Real provider packages pointed at the fake provider, and what their answers come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatrun.models.anthropic import Anthropic
from chatrun.models.base import ModelFinish, ModelRequest
from chatrun.models.openai import OpenAI

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chatrun.models.base import Model
    from tests.support.provider import FakeProvider
    from tests.support.provider_wires import WireName

JSON = dict[str, Any]
WIRES: tuple[WireName, ...] = ("anthropic", "chat", "responses")
HI: list[Any] = [{"role": "user", "content": "Hi"}]


def model_on(provider: FakeProvider, wire: WireName, name: str) -> Model:
    """Return the model whose name is a scenario of `provider`."""
    if wire == "anthropic":
        return Anthropic(name, api_key="k", base_url=provider.base_url)
    return OpenAI(name, api_key="k", base_url=provider.openai_url, api=wire)


async def answer_of(model: Model, **request: Any) -> tuple[list[JSON], ModelFinish]:
    """Return the chunks of an answer, with ids as they are, and how it ended."""
    items: list[Any] = []
    async with model.stream(ModelRequest(**{"messages": HI, **request})) as stream:
        async for item in stream:
            items.append(item)
    *chunks, finish = items
    assert isinstance(finish, ModelFinish)
    assert not any(isinstance(chunk, ModelFinish) for chunk in chunks)
    return chunks, finish


def named_alike(chunks: Iterable[Mapping[str, Any]]) -> list[JSON]:
    """Return chunks with the ids of parts and sources as numbers, in order of appearance."""
    known: dict[str, str] = {}
    named = []
    for chunk in chunks:
        ids = {key: chunk[key] for key in ("id", "sourceId", "approvalId") if key in chunk}
        numbers = {key: known.setdefault(value, str(len(known))) for key, value in ids.items()}
        named.append({**chunk, **numbers})
    return named


def brief(chunks: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return what is said, joined: each part as its kind and text, all else as its type."""
    told: list[Any] = []
    for chunk in chunks:
        kind = chunk["type"]
        if kind in ("text-start", "reasoning-start"):
            told.append([kind.removesuffix("-start"), ""])
        elif kind in ("text-delta", "reasoning-delta"):
            told[-1][1] += chunk["delta"]
        elif kind not in ("text-end", "reasoning-end"):
            told.append(kind)
    return told
