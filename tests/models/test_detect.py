"""Whatever a task gives, as one stream of chunks."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from chatrun.errors import ChunkInvalid, ProviderTruncated
from chatrun.messages.fold import MessageFold
from chatrun.models.detect import chunks_of
from tests.support.models import brief, named_alike

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from chatrun.models.base import ModelFinish

STEP: list[Any] = [{"type": "start-step"}, {"type": "finish-step"}]
HELLO: list[Any] = [
    {"type": "start-step"},
    {"type": "text-start", "id": "0"},
    {"type": "text-delta", "id": "0", "delta": "Hel"},
    {"type": "text-delta", "id": "0", "delta": "lo"},
    {"type": "text-end", "id": "0"},
    {"type": "finish-step"},
]
DATA = {"type": "data-x", "data": 1}


async def told(value: object) -> list[Any]:
    return named_alike([chunk async for chunk in chunks_of(value)])


async def _later(value: object) -> object:
    await asyncio.sleep(0)
    return value


async def _each(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


def _each_plainly(*values: Any) -> Iterator[Any]:
    yield from values


async def test_nothing_is_nothing() -> None:
    nothings: list[Any] = [None, "", [], _each(), _each_plainly(), _later(None), _each("", None)]
    for nothing in nothings:
        assert await told(nothing) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: ["Hel", "lo"],
        lambda: _each("Hel", "", "lo"),
        lambda: _each_plainly("Hel", "lo"),
        lambda: _later(_each("Hel", "lo")),
        lambda: _each(["Hel", "lo"]),
        lambda: _each(_each("Hel"), _later("lo")),
        lambda: iter(("Hel", "lo")),
        lambda: _each_plainly(["Hel"], "lo"),
        lambda: (_each_plainly("Hel"), _later("lo")),
    ],
)
async def test_text_has_a_part_and_a_step_of_its_own(make: Any) -> None:
    assert await told(make()) == HELLO


async def test_chunks_pass_as_they_are_and_text_ends_before_them() -> None:
    own = {"type": "text-delta", "id": "mine", "delta": "!"}

    assert await told(_each(DATA, "Hel", DATA, "lo", own)) == [
        DATA,
        {"type": "start-step"},
        {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "Hel"},
        {"type": "text-end", "id": "0"},
        DATA,
        {"type": "text-start", "id": "1"},
        {"type": "text-delta", "id": "1", "delta": "lo"},
        {"type": "text-end", "id": "1"},
        {**own, "id": "2"},
        {"type": "finish-step"},
    ]


async def test_steps_and_the_finish_of_the_task_are_its_own() -> None:
    finish = {"type": "finish", "finishReason": "length"}

    assert await told(_each(STEP[0], "a", STEP[1], finish)) == [
        STEP[0],
        {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "a"},
        {"type": "text-end", "id": "0"},
        STEP[1],
        finish,
    ]


async def test_a_ui_message_is_told_part_by_part_and_folds_back_to_itself() -> None:
    parts: list[Any] = [
        {"type": "step-start"},
        {"type": "reasoning", "text": "hm", "providerMetadata": {"a": {"b": 1}}},
        {"type": "text", "text": "Hello"},
        {"type": "file", "mediaType": "image/png", "url": "https://e.com/a.png"},
        {"type": "source-url", "sourceId": "s", "url": "https://e.com"},
        {"type": "data-x", "data": {"y": 1}, "id": "d"},
        {
            "type": "tool-weather",
            "toolCallId": "c1",
            "state": "output-available",
            "input": {"city": "Paris"},
            "output": "sunny",
        },
        {"type": "step-start"},
        {
            "type": "dynamic-tool",
            "toolName": "odd",
            "toolCallId": "c2",
            "state": "output-error",
            "input": {},
            "errorText": "no",
        },
        {"type": "tool-ask", "toolCallId": "c3", "state": "input-streaming"},
        {"type": "text", "text": ""},
    ]
    message = {"id": "m", "role": "assistant", "parts": parts, "metadata": {"k": 1}}
    fold = MessageFold(message_id="m")

    async for chunk in chunks_of(message):
        fold.apply(chunk)

    folded: Any = fold.message
    said = [part for part in folded["parts"] if part["type"] in ("text", "reasoning")]
    assert [part.pop("state") for part in said] == ["done"] * 3
    assert [part.pop("id", None) is not None for part in said] == [True, False, False]
    assert folded == message


async def test_an_approval_and_what_came_of_it_are_told_too() -> None:
    def part(state: str, **fields: Any) -> dict[str, Any]:
        call = {"type": "tool-pay", "toolCallId": state, "state": state, "input": {}}
        return {**call, "callProviderMetadata": {"a": {"b": 1}}, **fields}

    parts = [
        part("approval-requested", approval={"id": "a1"}),
        part("output-denied", approval={"id": "a2", "approved": False}),
        {"type": "text", "text": "no step"},
    ]

    chunks = await told({"role": "assistant", "parts": parts})

    assert brief(chunks) == [
        *("tool-input-start", "tool-input-available", "tool-approval-request"),
        *("tool-input-start", "tool-input-available", "tool-approval-request"),
        "tool-output-denied",
        ["text", "no step"],
    ]
    assert chunks[1]["providerMetadata"] == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (7, "int"),
        (object(), "object"),
        (b"bytes", "bytes"),
        ({"no": "type"}, "dict"),
        (threading.Lock, "builtin_function_or_method"),
    ],
)
async def test_what_cannot_be_sent_is_named(value: object, name: str) -> None:
    for given in (value, _each("a", value)):
        with pytest.raises(ChunkInvalid, match=name):
            await told(given)


async def test_an_error_of_the_task_comes_out_as_it_is() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "a"
        raise FileNotFoundError("mine")

    def failing_plainly() -> Iterator[str]:
        yield "a"
        raise FileNotFoundError("mine")

    for source in (failing(), failing_plainly()):
        with pytest.raises(FileNotFoundError, match="mine") as caught:
            await told(source)
        assert caught.value.__cause__ is None


class Both:
    """Something that can be awaited and iterated, as an answer of another agent can."""

    def __await__(self) -> Generator[Any, None, str]:
        yield from ()
        return "awaited"

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "Hello"


async def test_what_can_be_iterated_is_not_awaited() -> None:
    assert brief(await told(Both()))[1] == ["text", "Hello"]


# --- closing --------------------------------------------------------------------------------


class Watched:
    """Asynchronous and plain generators that tell when they were closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.waiting = threading.Event()
        self.go_on = threading.Event()

    async def silent(self) -> AsyncIterator[str]:
        try:
            yield "a"
            self.waiting.set()
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    def busy(self) -> Iterator[str]:
        try:
            yield "a"
            self.waiting.set()
            self.go_on.wait(5)
            yield "b"
        finally:
            self.closed.set()


async def _until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 5)


async def test_cancelling_closes_an_asynchronous_source_before_it_comes_out() -> None:
    watched = Watched()
    reading = asyncio.create_task(told(watched.silent()))
    await _until(watched.waiting)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert watched.closed.is_set()


async def test_closing_the_chunks_closes_the_source() -> None:
    for method in ("silent", "busy"):
        watched = Watched()
        source = getattr(watched, method)()
        async with aclosing(chunks_of(_each(source))) as chunks:
            async for chunk in chunks:
                if chunk["type"] == "text-delta":
                    break
        watched.go_on.set()
        await _until(watched.closed)


async def test_cancelling_does_not_wait_for_a_thread_but_closes_its_source_afterwards() -> None:
    watched = Watched()
    reading = asyncio.create_task(told(watched.busy()))
    await _until(watched.waiting)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert not watched.closed.is_set()
    watched.go_on.set()
    await _until(watched.closed)


async def test_a_plain_generator_runs_beside_the_event_loop_and_in_its_context() -> None:
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("seen")
    loop_thread = threading.get_ident()

    def source() -> Iterator[str]:
        assert threading.get_ident() != loop_thread
        yield variable.get()

    assert brief(await told(source()))[1] == ["text", "seen"]


class Stubborn:
    """An iterator that cannot be closed."""

    def __iter__(self) -> Iterator[str]:
        return iter(("a",))

    def close(self) -> None:
        raise OSError("stuck")


async def test_a_source_that_cannot_be_closed_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert brief(await told(Stubborn()))[1] == ["text", "a"]

    async with asyncio.timeout(5):
        while "cannot close Stubborn: stuck" not in caplog.text:
            await asyncio.sleep(0.01)


class Plain:
    """An asynchronous source whose `close` is a plain function."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[str]:
        yield "a"

    def close(self) -> None:
        self.closed = True


async def test_a_source_is_closed_when_it_has_come_to_its_end() -> None:
    source = Plain()

    await told(source)

    assert source.closed


# --- finish ---------------------------------------------------------------------------------


async def test_single_events_of_a_provider_are_understood_and_may_end_early() -> None:
    start = {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}}
    block = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    delta = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Hi"},
    }

    assert brief(await told(_each(start, block, delta))) == [
        "start-step",
        ["text", "Hi"],
        "finish-step",
    ]


async def test_events_of_two_replies_are_two_steps() -> None:
    def chunk(reply: str, text: str, finish: str | None = None) -> dict[str, Any]:
        choice = {"delta": {"content": text}, "finish_reason": finish}
        return {"id": reply, "object": "chat.completion.chunk", "choices": [choice]}

    finished: list[ModelFinish] = []
    source = _each(chunk("1", "a"), chunk("1", "b", "stop"), chunk("2", "c", "length"))

    chunks = [c async for c in chunks_of(source, on_finish=finished.append)]

    assert brief(chunks) == [
        *("start-step", ["text", "ab"], "finish-step"),
        *("start-step", ["text", "c"], "finish-step"),
        "finish",
    ]
    assert chunks[-1] == {"type": "finish", "finishReason": "length"}
    assert [finish.reason for finish in finished] == ["stop", "length"]


@pytest.mark.parametrize(
    "reply",
    [
        {
            "type": "message",
            "role": "assistant",
            "id": "m",
            "content": [
                {"type": "text", "text": "Hello"},
                {"type": "tool_use", "id": "c1", "name": "t", "input": {"a": 1}},
            ],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 1, "output_tokens": 2},
        },
        {
            "object": "chat.completion",
            "id": "c",
            "choices": [
                {
                    "finish_reason": "tool_calls",
                    "message": {
                        "content": "Hello",
                        "tool_calls": [
                            {"id": "c1", "function": {"name": "t", "arguments": '{"a": 1}'}}
                        ],
                    },
                }
            ],
        },
        {
            "object": "response",
            "id": "r",
            "status": "completed",
            "output": [
                {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]},
                {"type": "function_call", "call_id": "c1", "name": "t", "arguments": '{"a": 1}'},
            ],
        },
    ],
    ids=["anthropic", "chat", "responses"],
)
async def test_a_whole_reply_is_told_as_if_it_had_been_streamed(reply: dict[str, Any]) -> None:
    chunks = await told(reply)

    said = [chunk for chunk in chunks if chunk["type"] != "tool-input-delta"]
    assert brief(said) == [
        "start-step",
        ["text", "Hello"],
        "tool-input-start",
        "tool-input-available",
        "finish-step",
        "finish",
    ]
    assert chunks[-1] == {"type": "finish", "finishReason": "tool-calls"}


async def test_all_of_a_whole_response_is_told() -> None:
    reply = {
        "object": "response",
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "E",
            },
            {"type": "message", "id": "m_1", "content": [{"type": "refusal", "refusal": "no"}]},
        ],
    }

    chunks = await told(reply)

    assert brief(chunks)[1:3] == [["reasoning", "hm"], ["text", "no"]]
    assert chunks[-1] == {"type": "finish", "finishReason": "length"}


class Broken:
    """A stream that looks as if it were of the openai package, and ends too early."""

    __module__ = "openai._streaming"

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        choice = {"delta": {"content": "Hi"}, "finish_reason": None}
        yield {"id": "1", "object": "chat.completion.chunk", "choices": [choice]}


async def test_a_providers_own_stream_must_say_that_it_is_complete() -> None:
    with pytest.raises(ProviderTruncated, match="the answer of openai broke off"):
        await told(Broken())
