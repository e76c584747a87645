"""A model that says what the test wrote down."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, cast

import orjson

from chatrun.models.base import ModelFinish, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    from chatrun.models.base import ModelItem, ModelRequest
    from chatrun.wire.chunks import Chunk

USAGE = Usage(input_tokens=10, output_tokens=5)
"""What an answer has used unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call of an answer; see `call`."""

    tool_name: str
    input: Mapping[str, object] = field(default_factory=dict)
    tool_call_id: str | None = None


def call(
    tool_name: str, input: Mapping[str, object] | None = None, *, tool_call_id: str | None = None
) -> ScriptedCall:
    """Return an answer, or a piece of one, that calls a tool.

    Calls without an id are named `call_1`, `call_2` and so on, by the model that makes them.
    """
    return ScriptedCall(tool_name, input if input is not None else {}, tool_call_id)


Piece: TypeAlias = (
    "str | ScriptedCall | Mapping[str, object] | ModelFinish | BaseException | asyncio.Event"
)
Answer: TypeAlias = "Piece | Sequence[Piece] | Callable[[ModelRequest], Answer | Awaitable[Answer]]"
Gate: TypeAlias = Callable[[], Awaitable[object]]


class ScriptedModel:
    """A model whose answers are written down, for `stream_text(model)`.

    `answers` is a list with the answer to each request in turn. An answer that stands alone, not
    in a list, is given to every request. An answer is

    - text, which is streamed word by word;
    - a tool call, made by `call`;
    - an exception, which is raised instead of answering, as when a provider refuses;
    - a function of the request, plain or async, that returns an answer;
    - a list of pieces: texts and tool calls, chunks as they are, an exception to raise at that
      place, an `asyncio.Event` to wait for there, and a `ModelFinish` for another end than usual.

    With `gate`, it is awaited before each chunk: a semaphore's `acquire` lets one out at a time,
    an event's `wait` holds them all back.
    """

    def __init__(
        self,
        answers: Answer | Sequence[Answer],
        *,
        name: str = "scripted",
        usage: Usage = USAGE,
        gate: Gate | None = None,
    ) -> None:
        self.name = name
        self.requests: list[ModelRequest] = []
        """What it was asked, oldest first."""
        self.answering = 0
        """How many answers it is giving at this moment; a stop brings it back to 0."""
        self._answers = answers
        self._usage = usage
        self._gate = gate
        self._calls = 0

    def __repr__(self) -> str:
        return f"<ScriptedModel {self.name!r}, asked {len(self.requests)} times>"

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelItem]]:
        """Give the next answer; see `Model.stream`.

        Raises:
            AssertionError: There is no answer left.
        """
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelItem]]:
        self.requests.append(request)
        pieces = await _pieces_of(self._next_answer(), request)
        self.answering += 1
        try:
            async with aclosing(self._items(pieces, request.id_prefix)) as items:
                yield items
        finally:
            self.answering -= 1

    def _next_answer(self) -> Answer:
        if not _is_list(self._answers):
            return cast("Answer", self._answers)
        number = len(self.requests)
        answers = cast("Sequence[Answer]", self._answers)
        if number > len(answers):
            raise AssertionError(
                f"{self.name} was asked {number} times, for {len(answers)} answers"
            )
        return answers[number - 1]

    async def _items(self, pieces: Sequence[Piece], prefix: str) -> AsyncGenerator[ModelItem]:
        """Yield what an answer of these pieces is streamed as."""
        called = any(isinstance(piece, ScriptedCall) for piece in pieces)
        finish = ModelFinish(reason="tool-calls" if called else "stop", usage=self._usage)
        text_id: str | None = None
        for number, piece in enumerate((*pieces, finish)):
            if isinstance(piece, asyncio.Event):
                await piece.wait()
                continue
            if text_id is not None and not isinstance(piece, str):
                yield await self._paced({"type": "text-end", "id": text_id})
                text_id = None
            if isinstance(piece, BaseException):
                raise piece
            if isinstance(piece, ModelFinish):
                yield piece
                return
            if isinstance(piece, str) and text_id is None:
                text_id = f"{prefix}{number}"
                yield await self._paced({"type": "text-start", "id": text_id})
            for chunk in self._chunks(piece, text_id):
                yield await self._paced(chunk)

    def _chunks(
        self, piece: str | ScriptedCall | Mapping[str, object], text_id: str | None
    ) -> Iterable[Mapping[str, object]]:
        if isinstance(piece, ScriptedCall):
            self._calls += 1
            return _call_chunks(piece, piece.tool_call_id or f"call_{self._calls}")
        if isinstance(piece, str):
            words = re.findall(r"\s*\S+|\s+", piece)
            return [{"type": "text-delta", "id": text_id, "delta": word} for word in words]
        return [piece]

    async def _paced(self, chunk: Mapping[str, object]) -> Chunk:
        if self._gate is not None:
            await self._gate()
        return cast("Chunk", chunk)


def _is_list(answer: object) -> bool:
    return isinstance(answer, Sequence) and not isinstance(answer, str)


async def _pieces_of(answer: Answer, request: ModelRequest) -> Sequence[Piece]:
    """Return the pieces of an answer; one that is an exception is raised at once."""
    while callable(answer):
        made = answer(request)
        answer = await made if inspect.isawaitable(made) else made
    if isinstance(answer, BaseException):
        raise answer
    return cast("Sequence[Piece]", answer) if _is_list(answer) else (cast("Piece", answer),)


def _call_chunks(call: ScriptedCall, call_id: str) -> Iterator[dict[str, object]]:
    """Yield a tool call as models make it: its input comes in pieces, then as a whole."""
    named = {"toolCallId": call_id, "toolName": call.tool_name}
    text = orjson.dumps(call.input).decode()
    middle = len(text) // 2
    yield {"type": "tool-input-start", **named}
    for piece in (text[:middle], text[middle:]):
        yield {"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": piece}
    yield {"type": "tool-input-available", **named, "input": dict(call.input)}
