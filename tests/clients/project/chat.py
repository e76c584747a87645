"""The project that the published clients talk to: a task that does what it is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from chatrun import Turn, chat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def text_of(message: Any) -> str:
    """Return the text of a UI message."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


@chat.task("my-chat")
async def my_chat(turn: Turn[Any]) -> Any:
    """Answer the last message word by word, or do what it says."""
    last: Any = turn.ui_messages[-1]
    if last["role"] == "assistant":
        return after_tool(last["parts"][-1])
    match text_of(last).split():
        case ["wait"]:
            return wait()
        case ["count", "to", limit]:
            return count(int(limit))
        case ["pause", seconds]:
            return pause(float(seconds))
        case ["recall"]:
            return " | ".join(text_of(message) for message in turn.ui_messages[:-1])
        case ["call", tool]:
            return call(tool)
        case ["fail"]:
            raise ValueError("the task broke")
        case words:
            return (f"{word} " for word in ["You", "said:", *words])


async def wait() -> AsyncIterator[str]:
    """Begin an answer that only a stop ends."""
    yield "I wait"
    await asyncio.Event().wait()


async def pause(seconds: float) -> AsyncIterator[str]:
    """Fall silent in the middle of an answer."""
    yield "Before and "
    await asyncio.sleep(seconds)
    yield "after."


async def count(limit: int) -> AsyncIterator[str]:
    """Count slowly enough to be interrupted."""
    for number in range(1, limit + 1):
        yield f"{number} "
        await asyncio.sleep(0.02)


def call(tool: str) -> Iterator[Any]:
    """Call a tool that the client runs; "paint" needs its approval first."""
    call = {"toolCallId": "call-1", "toolName": tool, "input": {"of": "the sky"}}
    yield {"type": "tool-input-available", **call}
    if tool == "paint":
        yield {"type": "tool-approval-request", "approvalId": "a-1", "toolCallId": "call-1"}


def after_tool(part: Any) -> Iterator[Any]:
    """Go on behind a tool call that the client has answered."""
    if part["state"] == "output-available":
        yield f"So it is {part['output']}."
    elif part["approval"]["approved"]:
        yield {"type": "tool-output-available", "toolCallId": "call-1", "output": "blue"}
        yield "It is painted."
    else:
        yield "Then not."


@my_chat.on_action
async def undo(event: Any) -> None:
    """Take back the last question and its answer."""
    event.turn.history.slice(0, -2)


@chat.task("other-chat")
async def other_chat(turn: Turn[Any]) -> str:
    """Answer something else."""
    return "the other task"
