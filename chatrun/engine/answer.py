"""The answer a turn gives: chunks on their way out, folded into the message that is kept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chatrun.errors import TooLarge
from chatrun.messages.clean import close_partial
from chatrun.messages.fold import MessageFold
from chatrun.wire.chunks import check_chunk, floor_chunk
from chatrun.wire.records import data_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.engine.port import RunPort
    from chatrun.messages.types import UIMessage

MAX_LINE_BYTES = 1_047_552
"""The largest chunk; the limit of the original (features.md §1.7)."""


class Answer:
    """One turn's output.

    Everything that is sent goes to the port and into `message`. A `start` with the message's id
    goes out before the first chunk, whether or not the task sends one of its own, because a page
    that comes back in mid-turn learns the id from it. Once closed, what still comes is dropped:
    code that ignores its cancellation cannot write into the next turn.
    """

    def __init__(self, port: RunPort, *, message_id: str, base: UIMessage | None = None) -> None:
        self._port = port
        self._fold = MessageFold(base, message_id=message_id)
        self._message_id = base["id"] if base is not None else message_id
        self._started = False
        self._finished = False
        self._closed = False
        self.last_write = time.monotonic()

    @property
    def started(self) -> bool:
        """Whether anything was sent."""
        return self._started

    @property
    def finish_reason(self) -> str | None:
        """The reason that the last `finish` chunk gave."""
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
        if checked["type"] == "start":
            self._start(checked)
            return
        if not self._started:
            self._start({"type": "start"})
        if checked["type"] == "finish":
            self._finished = True
        self._pass_on(checked)

    def _start(self, chunk: Mapping[str, object]) -> None:
        """Send the turn's one `start`; a second one may only bring metadata."""
        metadata = chunk.get("messageMetadata")
        if self._started:
            if metadata is not None:
                self.send({"type": "message-metadata", "messageMetadata": metadata})
            return
        start: dict[str, object] = {"type": "start", "messageId": self._message_id}
        if metadata is not None:
            start["messageMetadata"] = metadata
        self._started = True
        self._pass_on(start)

    def finish(self) -> None:
        """Send the `finish` that the task left out, when it sent anything at all."""
        if self._started and not self._finished:
            self.send({"type": "finish"})

    def close(self) -> None:
        """Take no more: the turn is being completed."""
        self._closed = True

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
        self._port.append(line)
