"""Random UI messages: every kind of part, tool calls in every state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from chatrun.messages.types import ToolState
from tests.support.random_chunks import IDS, METADATA, NAMES, WORDS, maybe, random_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

URLS = ("https://x.test/a.png", "data:image/png;base64,AAAA", "https://x.test/")


def text(rng: Random) -> dict[str, Any]:
    part = {"type": "text", "text": rng.choice(WORDS)}
    return part | maybe(rng, state=("streaming", "done"), providerMetadata=METADATA)


def reasoning(rng: Random) -> dict[str, Any]:
    return text(rng) | {"type": "reasoning"} | maybe(rng, id="r")


def file(rng: Random) -> dict[str, Any]:
    part = {"type": "file", "mediaType": "image/png", "url": rng.choice(URLS)}
    part |= maybe(rng, filename="f.png", providerMetadata=METADATA, providerReference={"p": "1"})
    return part | ({"url": "nowhere"} if rng.random() < 0.01 else {})


def other(rng: Random) -> dict[str, Any]:
    part = rng.choice(
        (
            {"type": "source-url", "sourceId": "s", "url": "https://x.test/"},
            {"type": "source-document", "sourceId": "s", "mediaType": "a/b", "title": "t"},
            {"type": "data-x", "data": random_json(rng)},
            {"type": "custom", "kind": "p.k"},
            {"type": "reasoning-file", "mediaType": "a/b", "url": rng.choice(URLS)},
        )
    )
    return part | maybe(rng, providerMetadata=METADATA)


def steering(rng: Random) -> dict[str, Any]:
    parts = [rng.choice((text, file))(rng) for _ in range(rng.randrange(3))]
    return {"type": "steering-message", "id": "u", "parts": parts}


def border(_rng: Random) -> dict[str, Any]:
    return {"type": "step-start"}


def tool(rng: Random) -> dict[str, Any]:
    """Return a tool call; one in ten has a state that goes ill with the rest of it."""
    state = rng.choice(get_args(ToolState))
    part: dict[str, Any] = {"toolCallId": rng.choice(IDS), "state": state}
    if rng.random() < 0.3:
        part |= {"type": "dynamic-tool", "toolName": rng.choice(NAMES), **maybe(rng, dynamic=False)}
    else:
        part["type"] = f"tool-{rng.choice(NAMES)}"
    part |= maybe(rng, providerExecuted=(True, True, False), preliminary=(True, False))
    part |= maybe(rng, callProviderMetadata=METADATA, resultProviderMetadata=METADATA)
    if rng.random() < 0.9:
        part["input"] = random_json(rng)
    if state == "output-available" and rng.random() < 0.9:
        part["output"] = random_json(rng)
    if state == "output-error":
        part |= {"errorText": "failed", **maybe(rng, rawInput=(None, "{", {"q": 1}))}
    if state.startswith("approval") or state == "output-denied" or rng.random() < 0.1:
        part["approval"] = approval(rng, state)
    return part


def approval(rng: Random, state: str) -> dict[str, Any]:
    result = {"id": rng.choice(IDS), **maybe(rng, signature="s", inputSchemaInput=(None, 1))}
    result |= maybe(rng, requestReason="why", isAutomatic=(True, False), descriptor=1)
    if state != "approval-requested":
        result["approved"] = state != "output-denied" and rng.random() < 0.5
        result |= maybe(rng, reason=("because", ""))
    return result


ASSISTANT: tuple[Callable[[Random], dict[str, Any]], ...] = (
    *(text, tool, tool, tool, tool, border, border),
    *(reasoning, file, other, steering),
)


def random_messages(rng: Random) -> list[dict[str, Any]]:
    """Return a chat of up to five messages."""
    messages = []
    for number in range(rng.randrange(1, 6)):
        role = rng.choice(("user", "assistant", "assistant", "assistant", "system"))
        kinds = ASSISTANT if role == "assistant" else (text, text, file, other)
        parts = [rng.choice(kinds)(rng) for _ in range(rng.randrange(8))]
        messages.append({"id": f"m{number}", "role": role, "parts": parts})
    return messages
