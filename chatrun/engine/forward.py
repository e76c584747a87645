"""Showing the answer of a sub-agent within the tool call that it is given in.

Its chunks go to the chat's clients as transient `data-subagent` chunks, each once and in batches,
so the cost grows with the length of the answer. Trigger.dev's `useSubAgentMessages` draws them.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.engine.tool_context import tool_context
from chatrun.engine.turn import current_turn
from chatrun.errors import InvalidInput, TaskFailed
from chatrun.messages.fold import MessageFold
from chatrun.messages.types import is_text_part
from chatrun.models.detect import chunks_of
from chatrun.wire.records import data_line

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from chatrun.engine.turn import Turn
    from chatrun.messages.types import UIMessage
    from chatrun.wire.records import Line

SUB_AGENT = "data-subagent"
"""The chunk that carries a sub-agent's; clients know this name."""
FLUSH_S = 0.05
"""How long chunks are held so that they go out together."""
MAX_BATCH_BYTES = 131_072
"""The largest batch, unless a single chunk is larger."""


class Forwarder:
    """Sends what a sub-agent streams to the clients of `turn`, as part of one tool call."""

    def __init__(self, turn: Turn[Any], tool_call_id: str) -> None:
        self._turn = turn
        self._tool_call_id = tool_call_id
        self._batch: list[Line] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, line: Line) -> None:
        """Send the chunk in `line`, within 50 ms.

        Raises:
            TooLarge: It is too large to be sent within another chunk.
        """
        if self._batch and self._size + len(line) > MAX_BATCH_BYTES:
            self.flush()
        self._batch.append(line)
        self._size += len(line)
        if self._size >= MAX_BATCH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Send what is held. Batches are numbered from 0 within the tool call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._batch:
            return
        batch, self._batch, self._size = self._batch, [], 0
        seq = self._turn.forwarded.get(self._tool_call_id, 0)
        self._turn.forwarded[self._tool_call_id] = seq + 1
        chunks = [orjson.loads(line) for line in batch]
        data = {"toolCallId": self._tool_call_id, "seq": seq, "chunks": chunks}
        self._turn.send({"type": SUB_AGENT, "data": data, "transient": True})


class Forwarded:
    """An answer that is forwarded while it is read: in one of three ways, and once."""

    def __init__(self, source: object, forwarder: Forwarder, turn: Turn[Any]) -> None:
        self._source = source
        self._forwarder = forwarder
        self._turn = turn
        self._fold = MessageFold()
        self._error: str | None = None
        self._is_used = False

    def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        return self._chunks()

    async def message(self) -> UIMessage | None:
        """Return the whole answer, None when it said nothing.

        Raises:
            TaskFailed: It failed; the message is what its clients are told.
        """
        async for _ in self:
            pass
        if self._error is not None:
            raise TaskFailed(self._error)
        message = self._fold.message
        return message if message["parts"] else None

    async def text(self) -> str:
        """Return the text of the answer's last step that has any.

        Raises:
            TaskFailed: It failed; the message is what its clients are told.
        """
        message = await self.message()
        return final_text(message) if message is not None else ""

    async def _chunks(self) -> AsyncGenerator[Mapping[str, Any]]:
        if self._is_used:
            raise InvalidInput("this answer is forwarded already")
        self._is_used = True
        try:
            async with aclosing(chunks_of(self._source)) as chunks:
                async for chunk in chunks:
                    self._take(chunk)
                    await self._turn.ready()
                    yield chunk
        finally:
            self._forwarder.flush()

    def _take(self, chunk: Mapping[str, Any]) -> None:
        if chunk["type"] == "error":
            self._error = str(chunk["errorText"])
        self._fold.apply(chunk)
        self._forwarder.feed(data_line(chunk))


def forward(source: object, *, tool_call_id: str | None = None) -> Forwarded:
    """Show what `source` gives to the chat's clients while it is read, within a tool call.

        @tool
        async def research(topic: str) -> str:
            chat_id = f"{chat.current_turn().chat_id}-research"
            async with AgentChat("researcher", id=chat_id) as researcher:
                return await chat.forward(researcher.send(topic)).text()

    `source` is an answer of an `AgentChat`, or anything that a task may return. Nothing is sent
    before it is read, with `async for`, `text()` or `message()`. Nothing of it is kept but what
    the tool returns. Several answers may be forwarded in one call, one after the other.

    Raises:
        InvalidInput: There is no current turn, or no tool call here and none is named.
    """
    turn = current_turn()
    call_id = tool_call_id if tool_call_id is not None else tool_context().tool_call_id
    return Forwarded(source, Forwarder(turn, call_id), turn)


def final_text(message: UIMessage) -> str:
    """Return the text of the last step of `message` that has any, empty when none has."""
    texts: list[str] = []
    begins_anew = True
    for part in message["parts"]:
        if part["type"] == "step-start":
            begins_anew = True
        elif is_text_part(part) and part["text"]:
            if begins_anew:
                texts, begins_anew = [], False
            texts.append(part["text"])
    return "".join(texts)
