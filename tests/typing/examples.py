"""What users write, checked as they would check it: `test_user_code.py` runs mypy over it."""

# Users write without `from __future__ import annotations`, and import where they please.

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, assert_type

from chatrun import (
    AgentChat,
    Anthropic,
    ChatError,
    ChatrunError,
    ChatSession,
    ChatTask,
    Demo,
    LoopTurn,
    OpenAI,
    RawSession,
    Skills,
    StepChanges,
    TextStream,
    Tool,
    ToolCall,
    Turn,
    TurnComplete,
    TurnStart,
    chat,
    prompts,
    step_count,
    storage,
    stream_text,
    tool,
    tool_called,
)
from chatrun.ai.settings import NextStep
from chatrun.messages.types import (
    ModelMessage,
    ToolUIPart,
    UIMessage,
    is_tool_part,
    message_text,
    tool_name,
)
from chatrun.models.base import ResponseFormat, Usage
from chatrun.wire.chunks import Chunk


@dataclass
class Customer:
    """What the client sends along."""

    name: str
    plan: Literal["free", "paid"] = "free"


class Weather(TypedDict):
    """What the tool gives."""

    city: str
    degrees: float


@tool
async def weather(city: str, unit: Literal["C", "F"] = "C") -> Weather:
    """Tell the weather."""
    return {"city": city, "degrees": 21.0 if unit == "C" else 70.0}


def is_costly(call: ToolCall) -> bool:
    """Decide by the input."""
    return call.input.get("amount") != 0


@tool(name="refund", needs_approval=is_costly, to_model_output=str)
async def give_back(amount: int, call: ToolCall) -> AsyncIterator[dict[str, object]]:
    """Refund an amount, in steps."""
    yield {"state": "asked", "call": call.tool_call_id}
    yield {"state": "done", "amount": amount}


@tool(client=True)
def pick(reason: str) -> str:
    """Let the user pick."""
    raise NotImplementedError


TOOLS: list[Tool] = [
    weather,
    give_back,
    pick,
    Tool.from_schema("raw", {"type": "object"}, lambda given: given["a"]),
    Tool.native_of({"type": "web_search_20260318", "name": "web_search"}),
]
MODELS = (Demo(pace_s=0), OpenAI("gpt-4o", base_url="http://127.0.0.1:1/v1"), Anthropic("claude"))


def next_step(step: NextStep) -> StepChanges | None:
    """Choose another model for later steps."""
    return StepChanges(model=MODELS[0], active_tools=["weather"]) if step.number else None


@chat.task("support", client_data=Customer, tools=TOOLS, turn_timeout="5m", idle_timeout=10)
async def support(turn: Turn[Customer]) -> TextStream:
    """Answer with a model and tools."""
    assert_type(turn.client_data, Customer)
    assert_type(turn.messages, list[ModelMessage])
    assert_type(turn.ui_messages, list[UIMessage])
    assert_type(turn.usage, Usage)
    stream = stream_text(
        "anthropic:claude-sonnet-5-5",
        messages=turn.messages,
        stop_when=[step_count(8), tool_called("refund")],
        prepare_step=next_step,
        tool_choice="auto",
        response_format=ResponseFormat(schema={"type": "object"}),
        message_metadata=lambda ended: {"tokens": ended.usage.total_tokens},
    )
    assert_type(stream, TextStream)
    return stream


assert_type(support, ChatTask[Customer])


@support.on_turn_start
async def greet(event: TurnStart) -> None:
    """Tell the page what happens."""
    await event.turn.write({"type": "data-status", "data": "thinking", "transient": True})


@support.on_turn_complete
async def keep(event: TurnComplete) -> None:
    """Look at how the turn ended."""
    if event.outcome == "failed" and isinstance(event.error, ChatrunError):
        raise ChatError(event.error.code)


@support.system
def instructions(turn: Turn[Customer]) -> str:
    """Give the instructions by the customer."""
    return f"You help {turn.client_data.name}."


@chat.task("story")
async def story(turn: Turn[None]) -> AsyncIterator[object]:
    """Answer with words and chunks."""
    yield "Once upon a time, "
    yield {"type": "data-mood", "data": {"kind": "calm"}}
    async for chunk in stream_text(Demo(), messages=turn.messages):
        assert_type(chunk, Chunk)
        yield chunk


@chat.task("plain")
def plain(turn: Turn[None]) -> str:
    """Answer from a thread."""
    return turn.text.upper()


@chat.session("loop", client_data=Customer)
async def loop(session: ChatSession[Customer]) -> None:
    """Take the turns one by one."""
    async for turn in session:
        assert_type(turn, LoopTurn[Customer])
        await turn.complete(stream_text(Demo(), messages=turn.messages))


@chat.custom("raw")
async def raw(session: RawSession[None]) -> None:
    """Do all by itself."""
    await session.pipe("hello")
    await session.write_turn_complete()


def tokens() -> tuple[str, str]:
    """Mint both kinds of tokens."""
    task = chat.create_access_token("support", ttl="2h")
    return task, chat.create_session_token("session_1", read_only=True)


async def ask(agent: AgentChat) -> str:
    """Talk to a task from Python."""
    answer = await (await agent.send("hello")).result()
    return answer.text


def states(message: UIMessage) -> dict[str, str]:
    """Read the tool calls of a message."""
    found = {"text": message_text(message)}
    for part in message["parts"]:
        if is_tool_part(part):
            assert_type(part, ToolUIPart)
            found[tool_name(part)] = part["state"]
    return found


@tool
async def forecast(city: str) -> Weather:
    """Tell the weather of tomorrow."""
    return {"city": city, "degrees": 12.5}


@tool
async def steps() -> AsyncIterator[int]:
    """Count."""
    yield 1


def degrees(message: UIMessage) -> list[float]:
    """Read what one tool gave, in its own type."""
    assert_type(steps.parts_of(message)[0]["output"], int)
    return [part["output"]["degrees"] for part in forecast.parts_of(message) if "output" in part]


def outputs(turn: Turn[Any]) -> list[object]:
    """Read what the tools of the newest answer gave."""
    return [part.get("output") for part in turn.history.resolved_tool_calls()]


GREETING = prompts.define("greeting", "You greet {{name}}.")


class Rows:
    """A storage of the user's own."""

    async def load(
        self, chat_id: str, *, limit: int | None = None, before: str | None = None
    ) -> storage.Slice:
        """Read from a database."""
        return storage.Slice([])

    async def save(self, save: storage.Save) -> None:
        """Write to a database."""


@chat.task("stored", storage=Rows())
async def stored(turn: Turn[None]) -> str:
    """Answer with what the storage has."""
    return turn.text


@chat.task("skilled", skills=Skills("skills/*", bash="ask"))
async def skilled(turn: Turn[None]) -> TextStream:
    """Answer with the help of skills, on a prompt that is kept in a file."""
    return stream_text("demo", system=str(GREETING.resolve({"name": "Ada"})))
