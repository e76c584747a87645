"""The answer a turn gives: chunks on their way out, folded into the message that is kept."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from chatrun.errors import TooLarge
from chatrun.messages.clean import close_partial
from chatrun.messages.fold import MessageFold
from chatrun.messages.types import is_tool_part
from chatrun.models.detect import chunks_of
from chatrun.wire.chunks import check_chunk, floor_chunk
from chatrun.wire.records import Line, data_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatrun.engine.port import RunPort
    from chatrun.messages.types import UIMessage
    from chatrun.models.base import ModelFinish

MAX_LINE_BYTES = 1_047_552
"""The largest chunk; the limit of the original (features.md §1.7)."""


class Answer:
    """One turn's output.

    Everything that is sent goes to the port and into `message`. A `start` with the message's id
    goes out before the first chunk, whether or not the task sends one of its own, because a page
    that comes back in mid-turn learns the id from it; `finish` goes out last, because hooks may
    add to the answer behind it. Once closed, what still comes is dropped: code that ignores its
    cancellation cannot write into the next turn.
    """

    def __init__(self, port: RunPort, *, message_id: str) -> None:
        self._port = port
        self._message_id = message_id
        self._fold = MessageFold(message_id=message_id)
        self._started = False
        self._finish: Mapping[str, object] | None = None
        self._closed = False
        self._held: list[Line] | None = None
        self.last_write = time.monotonic()

    def go_on_with(self, base: UIMessage) -> None:
        """Answer into `base`, the assistant's message that the history ends with.

        Pages have folded it in already: another id would show its parts twice.
        """
        self._message_id = base["id"]
        self._fold = MessageFold(base)

    @property
    def started(self) -> bool:
        """Whether anything was sent."""
        return self._started

    @property
    def finish_reason(self) -> str | None:
        """The reason that the `finish` chunk gave."""
        return self._fold.finish_reason

    def send(self, chunk: Mapping[str, object]) -> None:
        """Check `chunk`, fold it into the message and hand it on.

        Raises:
            ChunkInvalid: It is not a chunk that the clients accept, or not at this place.
            TooLarge: It is larger than a record may be.
            TypeError: It holds what JSON cannot.
        """
        if self._closed:
            return
        checked: Mapping[str, object] = check_chunk(chunk)
        kind = checked["type"]
        if kind == "start":
            self._start(checked)
            return
        if not self._started:
            self._start({"type": "start"})
        if kind == "finish":
            self._finish = checked
        else:
            self._pass_on(checked)

    async def send_all(
        self, source: object, *, on_finish: Callable[[ModelFinish], None] | None = None
    ) -> None:
        """Send whatever `source` gives, at the pace of disk and readers; see `chunks_of`."""
        told = chunks_of(source, on_finish=on_finish, earlier_call=self._tool_call)
        async with aclosing(told) as chunks:
            async for chunk in chunks:
                self.send(chunk)
                await self.ready()

    def _tool_call(self, tool_call_id: str) -> Mapping[str, Any] | None:
        """Return the part of the answer, or of what it continues, that holds a tool call."""
        for part in self._fold.message["parts"]:
            if is_tool_part(part) and part["toolCallId"] == tool_call_id:
                return part
        return None

    def _start(self, chunk: Mapping[str, object]) -> None:
        """Send the turn's one `start`; a second one may only bring metadata."""
        metadata = chunk.get("messageMetadata")
        if self._started:
            if metadata is not None:
                self._pass_on({"type": "message-metadata", "messageMetadata": metadata})
            return
        start: dict[str, object] = {"type": "start", "messageId": self._message_id}
        if metadata is not None:
            start["messageMetadata"] = metadata
        self._started = True
        self._pass_on(start)

    def finish(self) -> None:
        """Send the `finish`, the task's own or one without a reason, if anything was sent."""
        if self._started and not self._closed:
            self._pass_on(self._finish if self._finish is not None else {"type": "finish"})

    def close(self) -> None:
        """Take no more: the turn is being completed. What is held goes out."""
        self.release()
        self._closed = True

    def hold(self) -> None:
        """Keep what is sent from here on until `release`."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Send what was held."""
        held, self._held = self._held, None
        for line in held or ():
            self._port.append(line)

    def raw_message(self) -> UIMessage | None:
        """Return the message exactly as it was streamed, None when nothing was."""
        return self._fold.message if self._started else None

    def kept_message(self) -> UIMessage | None:
        """Return the message as it is kept when the turn was cut short.

        Unfinished tool calls are gone and open parts are done; None when nothing is left.
        """
        return close_partial(self._fold.message) if self._started else None

    async def ready(self) -> None:
        """Wait while readers and disk are far behind."""
        await self._port.ready()

    def _pass_on(self, chunk: Mapping[str, object]) -> None:
        """Keep all of `chunk`, and send of it what every client accepts."""
        line = data_line(floor_chunk(chunk))
        if len(line) > MAX_LINE_BYTES:
            raise TooLarge(
                f"a {chunk['type']!r} chunk has {len(line):,} bytes; at most {MAX_LINE_BYTES:,} "
                "fit into one: send it in pieces, or a link to it",
                limit_bytes=MAX_LINE_BYTES,
                size_bytes=len(line),
            )
        self._fold.apply(chunk)
        self.last_write = time.monotonic()
        if self._held is not None:
            self._held.append(line)
        else:
            self._port.append(line)
