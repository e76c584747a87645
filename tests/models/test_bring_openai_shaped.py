"""Streams of packages that copy the shape of OpenAI's chunks, such as litellm and any-llm."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import Turn, chat
from chatrun.models.base import ModelFinish, Usage
from chatrun.models.detect import chunks_of
from chatrun.testing import harness
from tests.support.models import brief

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


def plain_chunk(delta: dict[str, Any], finish: str | None = None, **kept: Any) -> Any:
    """A chunk that is an object without any methods."""
    choice = SimpleNamespace(index=0, delta=SimpleNamespace(**delta), finish_reason=finish)
    return SimpleNamespace(id="c1", object="chat.completion.chunk", choices=[choice], **kept)


class DumpedChunk:
    """A chunk that gives itself as a dict, as models of pydantic do."""

    def __init__(self, delta: dict[str, Any], finish: str | None = None, **kept: Any) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self._whole = {"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **kept}

    def model_dump(self, **options: Any) -> dict[str, Any]:
        return self._whole


class Wrapper:
    """A stream that can be read either way, as litellm's can, and tells when it is closed."""

    def __init__(self, chunks: list[Any], *, hangs: bool = False) -> None:
        self._chunks = iter(chunks)
        self._hangs = hangs
        self.closed = asyncio.Event()

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("the asynchronous side is to be read")

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        for chunk in self._chunks:
            return chunk
        if self._hangs:
            await asyncio.Event().wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed.set()


CALL: Any = {"index": 0, "id": "c", "function": {"name": "t", "arguments": "{}"}}


@pytest.mark.parametrize("make", [plain_chunk, DumpedChunk], ids=["plain", "dumped"])
async def test_chunks_in_openais_shape_are_understood_whoever_made_them(
    make: Callable[..., Any],
) -> None:
    finished: list[ModelFinish] = []
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    stream = Wrapper(
        [
            make({"reasoning_content": "hm"}),
            make({"content": "Hel"}),
            make({"content": "lo"}),
            make({"tool_calls": [CALL]}),
            make({}, "tool_calls", usage=usage),
        ]
    )

    chunks = [chunk async for chunk in chunks_of(stream, on_finish=finished.append)]

    assert brief(chunks) == [
        *("start-step", ["reasoning", "hm"], ["text", "Hello"]),
        *("tool-input-start", "tool-input-delta", "tool-input-available"),
        *("finish-step", "finish"),
    ]
    assert [(finish.reason, finish.usage) for finish in finished] == [
        ("tool-calls", Usage(input_tokens=3, no_cache_tokens=3, output_tokens=4))
    ]
    assert stream.closed.is_set()


async def test_stopping_closes_such_a_stream() -> None:
    stream = Wrapper([plain_chunk({"content": "Hel"})], hangs=True)

    @chat.task("my-chat")
    async def my_chat(turn: Turn[None]) -> Any:
        return stream

    async with harness(my_chat) as h, h.begin("hi") as turn:
        await turn.until("text-delta")
        await h.stop()
        done = await turn.done()

    assert (done.outcome, done.text) == ("stopped", "Hel")
    assert stream.closed.is_set()
