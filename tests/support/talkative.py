"""A project with a task that does what it is told, for tests of clients in Python."""

from __future__ import annotations

TALKATIVE = '''
import asyncio

from chatrun import Turn, chat


def text_of(message):
    return "".join(part.get("text", "") for part in message["parts"])


@chat.task("talk")
async def talk(turn: Turn):
    """Does what it is told."""
    last = turn.ui_messages[-1]
    if last["role"] == "assistant":
        return after_tool(last["parts"][-1])
    match text_of(last).split():
        case ["wait"]:
            return wait()
        case ["count", limit]:
            return count(int(limit))
        case ["recall"]:
            return " | ".join(text_of(message) for message in turn.ui_messages[:-1])
        case ["paint"]:
            return paint()
        case ["think"]:
            return think()
        case ["markdown"]:
            return ["# Title\\n\\nSome **bold** <text>.\\n\\n", "```\\nx = 1\\n```\\n\\nThe `end`."]
        case ["hostile"]:
            return ["a\\x1b", "]52;c;aGk=\\x07b\\x9b2J", "c&#x202e;d"]
        case ["fail"]:
            raise ValueError("it broke")
        case words:
            return ["You said: ", " ".join(words)]


async def wait():
    yield "I wait."
    await asyncio.Event().wait()


async def count(limit):
    for number in range(1, limit + 1):
        yield f"{number} "
        await asyncio.sleep(0.02)


def paint():
    call = {"toolCallId": "c1", "toolName": "paint", "input": {"a": 1}}
    yield {"type": "tool-input-available", **call}
    yield {"type": "tool-approval-request", "approvalId": "a1", "toolCallId": "c1"}


def after_tool(part):
    if part["approval"]["approved"]:
        yield {"type": "tool-output-available", "toolCallId": "c1", "output": "blue"}
        yield "It is painted."
    else:
        yield {"type": "tool-output-denied", "toolCallId": "c1"}
        yield "Then not."


def think():
    yield {"type": "reasoning-start", "id": "r"}
    yield {"type": "reasoning-delta", "id": "r", "delta": "a deep thought"}
    yield {"type": "reasoning-end", "id": "r"}
    call = {"toolCallId": "c2", "toolName": "look", "input": {"at": "it"}}
    yield {"type": "tool-input-available", **call}
    yield {"type": "tool-output-available", "toolCallId": "c2", "output": "nice"}
    yield "I have thought."
'''

OTHER = """
from chatrun import Turn, chat


@chat.task("other")
async def other(turn: Turn):
    return "the other task"
"""
