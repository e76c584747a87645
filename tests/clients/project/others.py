"""Tasks for what the one in chat.py does not do: client data, and steps between which to steer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from chatrun import Turn, chat, step_count, stream_text, tool
from chatrun.testing import ScriptedModel, call

if TYPE_CHECKING:
    from chatrun.models.base import ModelRequest


class Plan(BaseModel):
    """What the page says about its user."""

    name: str
    seats: int


@chat.task("plan-chat", client_data=Plan)
async def plan_chat(turn: Turn[Plan]) -> str:
    """Say who asks."""
    return f"{turn.client_data.name} has {turn.client_data.seats}"


@tool
async def look() -> str:
    """Look whether anything has happened."""
    await asyncio.sleep(0.02)
    return "nothing yet"


def look_until_asked(request: ModelRequest) -> Any:
    """Look around until a user has said something behind the first message."""
    asked = [_text(message["content"]) for message in request.messages if message["role"] == "user"]
    if len(asked) > 1:
        return f"You said: {asked[-1]}. So I stop looking, and tell you that there was nothing."
    return ["Looking. ", call("look")]


async def pause() -> None:
    """Let a moment pass between two words."""
    await asyncio.sleep(0.03)


def _text(content: Any) -> str:
    return "".join(part["text"] for part in content)


@chat.task("steered-chat", tools=[look], busy="steer")
async def steered_chat(turn: Turn[Any]) -> Any:
    """Look around until the user steers."""
    return stream_text(ScriptedModel(look_until_asked, gate=pause), stop_when=step_count(500))
