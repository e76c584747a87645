"""Tasks as tools, and the answers of sub-agents shown within a tool call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from chatrun import (
    ChatSession,
    ChatTask,
    RawSession,
    Tool,
    Turn,
    TurnComplete,
    chat,
    stream_text,
    tool,
)
from chatrun.errors import InvalidInput
from chatrun.messages.fold import MessageFold
from chatrun.messages.types import message_text
from chatrun.testing import ScriptedModel, call, harness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from chatrun.engine.hooks import TurnStart
    from chatrun.testing import TurnResult


class Topic(BaseModel):
    topic: str
    depth: int = 1


def parent_of(*tools: Tool, model: ScriptedModel) -> ChatTask[Any]:
    @chat.task("parent", tools=list(tools))
    async def parent(turn: Turn[Any]) -> object:
        return stream_text(model, messages=turn.messages)

    return parent


def asks(name: str, **given: object) -> ScriptedModel:
    return ScriptedModel([[call(name, given, tool_call_id="c1")], "done"])


def batches(turn: TurnResult) -> list[dict[str, Any]]:
    found = [chunk for chunk in turn.chunks if chunk["type"] == "data-subagent"]
    assert all(chunk["transient"] for chunk in found)
    return [chunk["data"] for chunk in found]


def shown(turn: TurnResult) -> str:
    """Return the text that a page shows of the sub-agent."""
    fold = MessageFold()
    for batch in batches(turn):
        for chunk in batch["chunks"]:
            fold.apply(chunk)
    return message_text(fold.message)


def output(turn: TurnResult) -> object:
    found = [c for c in turn.chunks if c["type"] in ("tool-output-available", "tool-output-error")]
    return found[-1].get("output", found[-1].get("errorText"))


async def test_a_task_answers_a_tool_call_and_its_chunks_are_shown_as_they_come() -> None:
    gate = asyncio.Event()

    @chat.task("research")
    async def research(turn: Turn[Any]) -> AsyncIterator[str]:
        """Look something up."""
        yield f"On {turn.text}: "
        await gate.wait()
        yield "it is blue."

    model = asks("research", prompt="the sky")
    async with harness(parent_of(research.as_tool(), model=model)) as h, h.begin("why?") as pending:
        first = await pending.until("data-subagent")
        gate.set()
        turn = await pending.done()
        kept = await h.messages()

    assert first["data"]["toolCallId"] == "c1"
    assert first["data"]["chunks"][0]["type"] == "start"
    assert [batch["seq"] for batch in batches(turn)] == list(range(len(batches(turn))))
    assert batches(turn)[-1]["chunks"][-1]["type"] == "finish"
    assert shown(turn) == output(turn) == "On the sky: it is blue."
    assert turn.text == "done"
    assert [part["type"] for part in kept[1]["parts"] if "subagent" in part["type"]] == []
    spec = model.requests[0].tools[0]
    assert (spec.name, spec.description) == ("research", "Look something up.")
    assert spec.input_schema["required"] == ["prompt"]


async def test_the_input_may_be_a_model_and_the_context_tells_of_the_call() -> None:
    seen: list[object] = []

    @chat.task("research")
    async def research(turn: Turn[Any]) -> str:
        context = chat.tool_context()
        seen.extend((context.input, context.tool_call_id, context.chat_id, context.client_data))
        seen.extend((context.turn.text, turn.text, turn.number, len(turn.ui_messages)))
        return "found"

    lookup = research.as_tool(Topic, name="lookup", description="Look up.")
    async with harness(
        parent_of(lookup, model=asks("lookup", topic="sky", depth=2)), client_data={"user": 1}
    ) as h:
        turn = await h.send("why?")

    assert output(turn) == "found"
    assert seen[:4] == [Topic(topic="sky", depth=2), "c1", "test-chat", {"user": 1}]
    assert seen[4:] == ["why?", '{"topic":"sky","depth":2}', 0, 1]


async def test_the_message_can_be_made_from_the_input() -> None:
    @chat.task("research")
    async def research(turn: Turn[Any]) -> str:
        return turn.text

    def said(topic: Topic) -> str:
        return f"{topic.topic} {topic.depth}"

    lookup = research.as_tool(Topic, message=said)
    async with harness(parent_of(lookup, model=asks("research", topic="sky"))) as h:
        turn = await h.send("why?")

    assert output(turn) == "sky 1"


async def test_an_input_that_does_not_fit_is_the_models_to_mend() -> None:
    @chat.task("research")
    async def research(turn: Turn[Any]) -> str:
        raise AssertionError("it must not be called")

    lookup = research.as_tool(Topic)
    async with harness(parent_of(lookup, model=asks("research", topic=1))) as h:
        turn = await h.send("why?")

    assert "topic" in str(output(turn))
    assert batches(turn) == []
    assert turn.outcome == "finished"


async def test_a_stop_of_the_parent_stops_the_child() -> None:
    seen: list[object] = []
    model = ScriptedModel([["thinking", asyncio.Event()]])

    @chat.task("research")
    async def research(turn: Turn[Any]) -> object:
        return stream_text(model, messages=turn.messages)

    @research.on_turn_complete
    async def complete(event: TurnComplete) -> None:
        seen.append((event.outcome, event.turn.stopped, model.answering))

    parent = parent_of(research.as_tool(), model=asks("research", prompt="x"))
    async with harness(parent) as h, h.begin("why?") as pending:
        await pending.until("data-subagent")
        async with asyncio.timeout(2):
            await h.stop()
            turn = await pending.done()

    assert turn.outcome == "stopped"
    assert seen == [("stopped", True, 0)]


async def test_a_child_that_fails_is_an_error_of_the_tool_and_the_parent_goes_on() -> None:
    @chat.task("research")
    async def research(turn: Turn[Any]) -> AsyncIterator[str]:
        yield "I try."
        raise ValueError("no network")

    async with harness(parent_of(research.as_tool(), model=asks("research", prompt="x"))) as h:
        turn = await h.send("why?")

    assert output(turn) == "research failed: ValueError: no network"
    assert shown(turn) == "I try."
    assert (turn.outcome, turn.text) == ("finished", "done")


async def test_hooks_usage_and_steps_of_the_child_are_its_own() -> None:
    order: list[str] = []
    inner = ScriptedModel([["Let me see.", call("clock", {})], "It is noon."])

    @tool
    async def clock() -> str:
        context = chat.tool_context()
        order.append(f"clock in {context.call.tool_name}, asked {context.turn.text!r}")
        return "12:00"

    @chat.task("research", tools=[clock])
    async def research(turn: Turn[Any]) -> object:
        return stream_text(inner, messages=turn.messages)

    @research.on_turn_start
    async def start(event: TurnStart) -> None:
        order.append(f"start {event.turn.number}")

    model = asks("research", prompt="the time")
    spent: list[object] = []
    parent = parent_of(research.as_tool(), model=model)

    @parent.on_turn_complete
    async def complete(event: TurnComplete) -> None:
        spent.append(event.usage.total_tokens)

    async with harness(parent) as h:
        turn = await h.send("why?")
        await turn.settled

    assert output(turn) == "It is noon."
    assert order == ["start 0", "clock in clock, asked 'the time'"]
    one = ScriptedModel("x")._usage.total_tokens
    assert one is not None
    assert spent == [4 * one]


async def test_loops_and_raw_tasks_are_tools_as_well() -> None:
    @chat.session("loop")
    async def loop(session: ChatSession[Any]) -> None:
        async for turn in session:
            await turn.complete(f"loop {turn.text}")

    @chat.custom("raw")
    async def raw(session: RawSession[Any]) -> None:
        while (message := await session.messages.next()) is not None:
            await session.pipe(f"raw {message.text}")
            await session.write_turn_complete()

    answers = []
    tasks: tuple[ChatTask[Any], ...] = (loop, raw)
    for task in tasks:
        async with harness(parent_of(task.as_tool(), model=asks(task.id, prompt="x"))) as h:
            answers.append(output(await h.send("why?")))

    assert answers == ["loop x", "raw x"]


async def test_what_only_a_client_can_give_is_refused_plainly() -> None:
    inner = ScriptedModel([[call("pick", {}, tool_call_id="c9")]])

    @tool(client=True)
    def pick() -> str:
        raise AssertionError

    @chat.task("research", tools=[pick])
    async def research(turn: Turn[Any]) -> object:
        return stream_text(inner, messages=turn.messages)

    async with harness(parent_of(research.as_tool(), model=asks("research", prompt="x"))) as h:
        turn = await h.send("why?")

    assert output(turn) == (
        "research waits for a client to answer its tool call 'c9', which cannot be done in a task "
        "that is used as a tool: talk to it with AgentChat"
    )


async def test_children_within_children_are_shown_within_each_other() -> None:
    @chat.task("inner")
    async def inner(turn: Turn[Any]) -> str:
        return "deep"

    @chat.task("outer", tools=[inner.as_tool()])
    async def outer(turn: Turn[Any]) -> object:
        return stream_text(asks("inner", prompt="y"), messages=turn.messages)

    async with harness(parent_of(outer.as_tool(), model=asks("outer", prompt="x"))) as h:
        turn = await h.send("why?")

    nested = [c for b in batches(turn) for c in b["chunks"] if c["type"] == "data-subagent"]
    assert [c["data"]["chunks"][0]["type"] for c in nested][:1] == ["start"]
    assert output(turn) == "done"


async def sizes(words: int, source: Callable[[int], ScriptedModel]) -> int:
    @chat.task("research")
    async def research(turn: Turn[Any]) -> object:
        return stream_text(source(words), messages=turn.messages)

    async with harness(parent_of(research.as_tool(), model=asks("research", prompt="x"))) as h:
        turn = await h.send("why?")
    return sum(len(str(batch)) for batch in batches(turn))


async def test_the_cost_grows_with_the_length_of_the_answer() -> None:
    def words(count: int) -> ScriptedModel:
        return ScriptedModel("word " * count)

    short, long = await sizes(200, words), await sizes(2000, words)

    assert long < 11 * short


async def test_any_answer_can_be_forwarded_from_a_tool() -> None:
    @tool
    async def ask_twice(topic: str) -> str:
        first = await chat.forward(stream_text(ScriptedModel("one"), messages=[])).text()
        texts = [first]
        async for chunk in chat.forward("two"):
            texts.append(chunk.get("delta", ""))
        return " ".join(filter(None, texts))

    async with harness(parent_of(ask_twice, model=asks("ask_twice", topic="x"))) as h:
        turn = await h.send("why?")

    assert output(turn) == "one two"
    assert [batch["seq"] for batch in batches(turn)] == list(range(len(batches(turn))))
    assert shown(turn) == "onetwo"


async def test_an_answer_that_fails_while_it_is_forwarded_raises_in_the_tool() -> None:
    async def failing() -> AsyncIterator[dict[str, str]]:
        yield {"type": "error", "errorText": "out of words"}

    @tool
    async def ask() -> str:
        return await chat.forward(failing()).text()

    async with harness(parent_of(ask, model=asks("ask"))) as h:
        turn = await h.send("why?")

    assert output(turn) == "out of words"


async def test_outside_of_a_tool_there_is_no_call_to_tell_of() -> None:
    errors: list[str] = []

    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        for wrong in (chat.tool_context, lambda: chat.forward("x")):
            with pytest.raises(InvalidInput, match="there is no tool call here") as info:
                wrong()
            errors.append(str(info.value))
        return await chat.forward("fine", tool_call_id="c1").text()

    async with harness(my_chat) as h:
        turn = await h.send("hi")

    assert len(errors) == 2
    assert (turn.text, shown(turn)) == ("fine", "fine")


async def test_an_input_that_is_no_object_is_refused() -> None:
    @chat.task("research")
    async def research(turn: Turn[Any]) -> str:
        return ""

    with pytest.raises(InvalidInput, match="must be an object"):
        research.as_tool(int)
