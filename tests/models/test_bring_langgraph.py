"""Graphs and chat models of the real LangGraph and LangChain, with the fake provider as model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from chatrun import Turn, chat
from chatrun.errors import ProviderRejected, ProviderTruncated, ProviderUnavailable
from chatrun.models.detect import chunks_of
from chatrun.testing import harness
from tests.support.brought import brought
from tests.support.models import brief, named_alike

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from chatrun.models.base import ModelFinish
    from tests.support.provider import FakeProvider

# The prebuilt agent has moved to a package of its own, and the packages warn of deprecations in
# what they are built on.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:create_react_agent has been moved"),
]

QUESTION: Any = {"messages": [("user", "Hi")]}
CALL = {"toolCallId": "call_0", "toolName": "weather"}
ANSWERED = ["start-step", ["text", "Results: sunny in Paris"], "finish-step", "finish"]
CALLED = ["start-step", "tool-input-start", *["tool-input-delta"] * 3, "tool-input-available"]


@pytest.fixture
async def make_model(provider: FakeProvider) -> AsyncIterator[Callable[..., Any]]:
    """A function that makes a chat model on a scenario, over one of the two wires."""
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="k", max_retries=0)
    chat_model = brought("langchain_openai").ChatOpenAI

    def make(name: str, *, wire: str = "chat") -> Any:
        # The package would make a blocking client besides, which nobody closes.
        return chat_model(
            model=name,
            root_async_client=client,
            async_client=client.chat.completions,
            root_client=client,
            client=client.chat.completions,
            streaming=True,
            stream_usage=True,
            use_responses_api=wire == "responses",
        )

    yield make
    await client.close()


@pytest.fixture
def make_graph(make_model: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes an agent on a scenario."""

    def make(name: str, *tools: Any, wire: str = "chat", **kept: Any) -> Any:
        prebuilt = brought("langgraph.prebuilt")
        return prebuilt.create_react_agent(make_model(name, wire=wire), list(tools), **kept)

    return make


def weather(city: str) -> str:
    """Tell the weather."""
    brought("langgraph.config").get_stream_writer()({"progress": 1})
    return f"sunny in {city}"


def guarded(city: str) -> str:
    """Tell the weather once somebody has allowed it."""
    request = {"name": "guarded", "args": {"city": city}}
    allowed = brought("langgraph.types").interrupt({"action_requests": [request]})
    return f"allowed: {allowed}"


async def told(value: Any, **kept: Any) -> list[Any]:
    return [chunk async for chunk in chunks_of(value, **kept)]


async def test_a_graph_is_told_with_its_tools_and_what_they_write(
    make_graph: Callable[..., Any],
) -> None:
    modes = ["messages", "updates", "custom"]
    finished: list[ModelFinish] = []
    stream = make_graph("tools", weather).astream(QUESTION, stream_mode=modes)

    chunks = await told(stream, on_finish=finished.append)

    assert named_alike(chunks) == [
        {"type": "start-step"},
        {"type": "tool-input-start", **CALL},
        *(
            {"type": "tool-input-delta", "toolCallId": "call_0", "inputTextDelta": piece}
            for piece in ('{"city"', ': "Pa', 'ris"}')
        ),
        {"type": "tool-input-available", **CALL, "input": {"city": "Paris"}},
        {"type": "data-custom", "data": {"progress": 1}},
        {"type": "tool-output-available", "toolCallId": "call_0", "output": "sunny in Paris"},
        {"type": "finish-step"},
        {"type": "start-step"},
        {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "Results: "},
        {"type": "text-delta", "id": "0", "delta": "sunny in Paris"},
        {"type": "text-end", "id": "0"},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]
    used = [(finish.reason, finish.usage.total_tokens) for finish in finished]
    assert used == [("tool-calls", 26), ("stop", 26)]


STREAMED: dict[str, Callable[[Any], Any]] = {
    "messages": lambda graph: graph.astream(QUESTION, stream_mode="messages"),
    "list": lambda graph: graph.astream(QUESTION, stream_mode=["messages", "values"]),
    "subgraphs": lambda graph: graph.astream(QUESTION, stream_mode="messages", subgraphs=True),
    "nested": lambda graph: graph.astream(QUESTION, stream_mode=["messages"], subgraphs=True),
    "v2": lambda graph: graph.astream(QUESTION, stream_mode=["messages"], version="v2"),
    "events": lambda graph: graph.astream_events(QUESTION, version="v2"),
}
WHOLE: dict[str, Callable[[Any], Any]] = {
    "updates": lambda graph: graph.astream(QUESTION),
    "values": lambda graph: graph.astream(QUESTION, stream_mode="values"),
    "state": lambda graph: graph.ainvoke(QUESTION),
}


@pytest.mark.parametrize("form", STREAMED)
async def test_every_way_to_stream_a_graph_tells_the_same(
    make_graph: Callable[..., Any], form: str
) -> None:
    chunks = await told(STREAMED[form](make_graph("tools", weather)))

    assert brief(chunks) == [*CALLED, "tool-output-available", "finish-step", *ANSWERED]


@pytest.mark.parametrize("form", WHOLE)
async def test_messages_that_come_whole_are_told_whole(
    make_graph: Callable[..., Any], form: str
) -> None:
    chunks = await told(WHOLE[form](make_graph("tools", weather)))

    called = ["start-step", "tool-input-available", "tool-output-available", "finish-step"]
    assert brief(chunks) == [*called, *ANSWERED]


async def test_items_that_a_task_passes_on_are_understood(make_graph: Callable[..., Any]) -> None:
    async def task() -> AsyncIterator[Any]:
        modes = ["messages", "updates"]
        async for item in make_graph("tools", weather).astream(QUESTION, stream_mode=modes):
            yield item

    chunks = await told(task())

    assert brief(chunks) == [*CALLED, "tool-output-available", "finish-step", *ANSWERED]


@pytest.mark.parametrize("form", ["astream", "events"])
async def test_a_chat_model_by_itself_is_one_step(
    make_model: Callable[..., Any], form: str
) -> None:
    model = make_model("thinking", wire="responses")
    source = model.astream("Hi") if form == "astream" else model.astream_events("Hi", version="v2")

    chunks = await told(source)

    assert brief(chunks) == [
        *("start-step", ["reasoning", "Let me think."], ["text", "Done."]),
        *("finish-step", "finish"),
    ]


async def test_what_a_graph_asks_is_an_approval_of_the_call_and_a_data_part(
    make_graph: Callable[..., Any],
) -> None:
    saver = brought("langgraph.checkpoint.memory").InMemorySaver()
    graph = make_graph("tools", guarded, checkpointer=saver)
    config = {"configurable": {"thread_id": "1"}}
    modes = ["messages", "updates"]

    chunks = await told(graph.astream(QUESTION, config, stream_mode=modes))
    resume = brought("langgraph.types").Command(resume="yes")
    after = await told(graph.astream(resume, config, stream_mode=modes))

    assert brief(chunks)[-4:] == [
        *("tool-approval-request", "data-interrupt", "finish-step", "finish"),
    ]
    asked = next(chunk for chunk in chunks if chunk["type"] == "data-interrupt")
    assert asked["data"] == {"action_requests": [{"name": "guarded", "args": {"city": "Paris"}}]}
    assert after[0] == {
        "type": "tool-output-available",
        "toolCallId": "call_0",
        "output": "allowed: yes",
    }


async def test_a_result_of_a_call_that_the_page_never_saw_brings_the_call_along(
    make_graph: Callable[..., Any],
) -> None:
    messages = brought("langchain_core.messages")
    result = messages.ToolMessage("sunny", tool_call_id="call_9", name="weather")

    chunks = await told([result], earlier_call=lambda call_id: None)

    call = {"toolCallId": "call_9", "toolName": "weather"}
    assert chunks == [
        {"type": "start-step"},
        {"type": "tool-input-available", **call, "input": {}},
        {"type": "tool-output-available", "toolCallId": "call_9", "output": "sunny"},
        {"type": "finish-step"},
    ]


async def test_a_tool_message_with_an_error_is_an_error() -> None:
    messages = brought("langchain_core.messages")
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "call_0"}
    answer = messages.AIMessage("", tool_calls=[call], id="1")
    result = messages.ToolMessage("no city", tool_call_id="call_0", status="error")

    chunks = await told([answer, result])

    error = {"type": "tool-output-error", "toolCallId": "call_0", "errorText": "no city"}
    assert chunks[2] == error


async def test_chunks_that_a_node_writes_pass_as_they_are() -> None:
    brought("langchain_core.messages")
    status = {"type": "data-status", "id": "s", "data": "searching"}

    assert await told([("custom", status)]) == [status]


@pytest.mark.parametrize("form", ["messages", "events"])
@pytest.mark.parametrize("wire", ["chat", "responses"])
async def test_stopping_closes_the_connection_of_the_graphs_model(
    provider: FakeProvider, make_graph: Callable[..., Any], form: str, wire: str
) -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> Any:
        return STREAMED[form](make_graph("hang", wire=wire))

    async with harness(my_chat) as h, h.begin("hi") as turn:
        await turn.until("text-delta")
        await h.stop()
        done = await turn.done()
        await provider.disconnected()

    assert (done.outcome, done.text) == ("stopped", "Hel")


@pytest.mark.parametrize("form", ["messages", "events"])
@pytest.mark.parametrize(
    ("scenario", "wire", "error"),
    [
        ("clean-cut", "chat", ProviderTruncated),
        ("clean-cut", "responses", ProviderTruncated),
        ("overloaded", "chat", ProviderUnavailable),
        ("tcp-cut", "chat", ProviderUnavailable),
        ("tcp-cut", "responses", ProviderUnavailable),
        ("status-404", "chat", ProviderRejected),
        ("status-404", "responses", ProviderRejected),
    ],
)
async def test_a_providers_failure_is_told_as_one(
    make_graph: Callable[..., Any], form: str, scenario: str, wire: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await told(STREAMED[form](make_graph(scenario, wire=wire)))


async def test_an_error_in_the_packages_own_words_stays_as_it_is(
    make_graph: Callable[..., Any],
) -> None:
    with pytest.raises(ValueError, match="server_error: Overloaded"):
        await told(STREAMED["messages"](make_graph("overloaded", wire="responses")))


async def test_an_error_of_a_tool_is_the_users_own(make_graph: Callable[..., Any]) -> None:
    def weather(city: str) -> str:
        """Fail."""
        raise FileNotFoundError(city)

    with pytest.raises(FileNotFoundError, match="Paris"):
        await told(STREAMED["messages"](make_graph("tools", weather)))
