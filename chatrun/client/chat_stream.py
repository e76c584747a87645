"""One answer as it arrives."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Literal, Self

from chatrun.aio import close_quietly
from chatrun.client.chat_result import AnswerSoFar
from chatrun.client.turn_reader import TurnReader
from chatrun.errors import InvalidInput, SessionClosed, TaskFailed
from chatrun.wire.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
    from types import TracebackType

    from chatrun.client.chat_result import ChatResult
    from chatrun.client.conversation import Conversation
    from chatrun.client.follow import Follower
    from chatrun.messages.types import UIMessage

_STOP_S = 5.0
_Mode = Literal["chunks", "text", "result", "messages"]


class ChatStream:
    """An answer, read in one of four ways and in one only.

    `await stream` sends what asks for the answer, which is durable then, and reads nothing yet;
    reading does it too. Read with `async for chunk in stream`, `await stream.text()`,
    `await stream.result()` or `async for message in stream.messages()`.

    Leaving early, by `aclose`, by the end of an `async with`, or because the reading asyncio.Task
    is cancelled, stops the turn if this stream asked for it, and only stops listening if it was
    resumed.

    Reading raises:
        SessionBusy: Another stream of the chat is being read.
        SessionClosed: The session was closed before the answer was complete.
        LinkBroken: The server is away, or the stream keeps breaking off.
        ChatrunError: The server refuses it.
    """

    def __init__(
        self,
        conversation: Conversation,
        payload: Mapping[str, object] | None,
        *,
        follower: Follower | None = None,
    ) -> None:
        """Ask for an answer with `payload`, or read on with an open `follower`."""
        self._conversation = conversation
        self._payload = payload
        self._part_id = new_id("part")  # one for all tries
        self._follower = follower
        self._reader: TurnReader | None = TurnReader() if payload is None else None
        self._sending = asyncio.Lock()
        self._is_used = payload is None
        self._is_over = False
        self._mode: _Mode | None = None
        self._answer = AnswerSoFar()

    def __del__(self) -> None:
        if not self._is_used:
            text = "a ChatStream was neither awaited nor read: nothing was sent"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        if self._follower is not None:
            self._follower.close()

    @property
    def answer(self) -> ChatResult:
        """What has been read so far."""
        return self._answer.result()

    # --- sending and leaving

    def __await__(self) -> Generator[object, None, Self]:
        yield from self._send().__await__()
        return self

    async def _send(self) -> None:
        async with self._sending:
            self._is_used = True
            if self._reader is None and self._payload is not None:
                is_inside = self._conversation.is_inside
                seq = await self._conversation.say(self._payload, part_id=self._part_id)
                self._reader = TurnReader(seq=seq, message_id=self._message_id, inside=is_inside)

    @property
    def _message_id(self) -> str | None:
        message = (self._payload or {}).get("message")
        return message.get("id") if isinstance(message, dict) else None

    async def __aenter__(self) -> Self:
        await self._send()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the answer. Closing twice, or after its end, changes nothing."""
        if self._is_over:
            return
        # Also while it is being sent: it may have arrived.
        asked = self._payload is not None and self._is_used
        self._is_used = True
        self._end()
        if asked:
            turn = None if self._reader is None else self._reader.seq
            stopping = self._conversation.stop(turn=turn)
            await close_quietly(stopping, within_s=_STOP_S, what="the answer that was left")

    def _end(self) -> None:
        self._is_over = True
        if self._follower is not None:
            self._follower.close()
        self._conversation.end_reading(self)

    # --- the four ways to read

    def __aiter__(self) -> AsyncIterator[Mapping[str, object]]:
        return self._chunks("chunks")

    async def text(self) -> str:
        """Return the whole text of the answer.

        Raises:
            TaskFailed: The turn failed; the message is what the task's users are told.
        """
        answer = await self._read_all("text")
        if answer.error is not None:
            raise TaskFailed(answer.error)
        return answer.text

    async def result(self) -> ChatResult:
        """Return the whole answer. A turn that failed has an `error` in it."""
        return await self._read_all("result")

    async def messages(self) -> AsyncIterator[UIMessage]:
        """Yield the message as it grows, once for each chunk that belongs to the answer."""
        async for _ in self._chunks("messages"):
            growing = self._conversation.messages.growing
            if growing is not None:
                yield growing

    async def _read_all(self, mode: _Mode) -> ChatResult:
        async for _ in self._chunks(mode):
            pass
        return self._answer.result()

    async def _chunks(self, mode: _Mode) -> AsyncGenerator[Mapping[str, object]]:
        if self._mode is not None:
            raise InvalidInput(f"this answer is already read, as its {self._mode}")
        self._mode = mode
        while (chunk := await self._next()) is not None:
            yield chunk

    # --- reading

    async def _next(self) -> Mapping[str, object] | None:
        """Return the next chunk of the answer, None at its end."""
        try:
            await self._send()
            while not self._is_over:
                chunk = await self._read_record()
                if chunk is not None:
                    return chunk
        except asyncio.CancelledError:
            await self.aclose()
            raise
        except BaseException:
            self._end()
            raise
        return None

    async def _read_record(self) -> Mapping[str, object] | None:
        """Read one record; return it if it is a chunk of the answer."""
        assert self._reader is not None
        record = await anext(self._open_follower(), None)
        if record is None:
            self._end()
            return None
        is_mine = self._reader.take(record)
        if (is_mine or self._reader.is_over) and self._message_id is not None:
            self._conversation.messages.begin(self._message_id)
        if self._reader.is_over:
            self._answer.message = self._conversation.messages.growing
        self._conversation.take(record)
        if self._reader.is_over:
            self._finish(self._reader)
        if is_mine and record.chunk is not None:
            self._answer.take(record.chunk)
            return record.chunk
        return None

    def _open_follower(self) -> Follower:
        if self._follower is None:
            conversation = self._conversation
            conversation.begin_reading(self)
            self._follower = conversation.transport.follow(
                conversation.chat_id, after=conversation.cursor
            )
        return self._follower

    def _finish(self, reader: TurnReader) -> None:
        self._answer.outcome = reader.outcome
        self._end()
        if reader.is_closed and reader.outcome is None:
            raise SessionClosed(
                f"session {self._conversation.chat_id!r} was closed", reason=reader.closed_reason
            )
