"""Turns as a client saw them, read from a tape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.errors import ChunkInvalid
from chatrun.messages.fold import MessageFold
from chatrun.wire.records import (
    IN_EVENT_ID,
    OUTCOME,
    TURN_COMPLETE,
    TURN_START,
    Line,
    is_control,
    parse_control,
)

if TYPE_CHECKING:
    from chatrun.messages.types import UIMessage
    from chatrun.testing.tape import Tape

Chunk = dict[str, Any]
WaitSettled = Callable[[int], Awaitable[None]]


class Settled:
    """Awaited, it waits until the hooks behind a turn have ended. It can be awaited again."""

    def __init__(self, wait: WaitSettled, seq: int) -> None:
        self._wait, self._seq = wait, seq

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait(self._seq).__await__()


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A turn as a client saw it."""

    outcome: str
    """finished, stopped, timed-out or failed."""
    chunks: list[Chunk]
    message: UIMessage | None
    """The answer that the chunks make, as a page shows it; None when they make none. It is
    whole also where the turn went on with an earlier answer."""
    settled: Settled = field(repr=False, compare=False)
    """Await it before looking at what `on_turn_complete` does: a client sees the turn's end
    before those hooks run. It raises `TimeoutError` when they run for longer than 20 seconds."""

    @property
    def text(self) -> str:
        """The text that the turn streamed, empty without any."""
        return "".join(chunk["delta"] for chunk in self.chunks if chunk["type"] == "text-delta")

    @property
    def error(self) -> str | None:
        """What the client was told of a failure, None without one."""
        texts = [chunk["errorText"] for chunk in self.chunks if chunk["type"] == "error"]
        return texts[-1] if texts else None


class PendingTurn:
    """A turn that was asked for by the `in` record `seq`.

    `place` is a place on the tape before its beginning, `known` the messages there were then.
    """

    def __init__(
        self,
        tape: Tape,
        seq: int,
        *,
        place: int,
        known: Mapping[str, UIMessage],
        wait_settled: WaitSettled,
    ) -> None:
        self._tape, self._seq, self._place = tape, seq, place
        self._known = known
        self._wait_settled = wait_settled
        self._begun = False
        self._chunks: list[Chunk] = []
        self._given = 0
        self._outcome: str | None = None

    async def chunk(self) -> Chunk | None:
        """Wait for the turn's next chunk; None when it has ended.

        Raises:
            TimeoutError: Nothing came for 20 seconds.
        """
        while self._given == len(self._chunks):
            if self._outcome is not None:
                return None
            line = await self._tape.line(self._place)
            self._place += 1
            self._take(line)
        self._given += 1
        return self._chunks[self._given - 1]

    async def until(self, kind: str) -> Chunk:
        """Wait for a chunk of this type and return it.

        Raises:
            AssertionError: The turn ended without one.
            TimeoutError: Nothing came for 20 seconds.
        """
        while (chunk := await self.chunk()) is not None:
            if chunk["type"] == kind:
                return chunk
        raise AssertionError(f"the turn ended {self._outcome} without a {kind!r} chunk")

    async def done(self) -> TurnResult:
        """Wait for the turn's end and return all of it.

        Raises:
            TimeoutError: Nothing came for 20 seconds.
        """
        while await self.chunk() is not None:
            pass
        assert self._outcome is not None
        message = fold_message(self._chunks, self._known)
        settled = Settled(self._wait_settled, self._seq)
        return TurnResult(self._outcome, self._chunks, message, settled)

    def _take(self, line: Line) -> None:
        if not is_control(line):
            if self._begun:
                self._chunks.append(orjson.loads(line))
            return
        control = parse_control(line)
        seq = int(control.headers.get(IN_EVENT_ID, -1))
        if control.subtype == TURN_START:
            self._begun = seq == self._seq
        elif control.subtype == TURN_COMPLETE and seq >= self._seq:
            self._outcome = control.headers[OUTCOME]


def ended_turns(
    lines: Iterable[Line], known: Mapping[str, UIMessage], wait_settled: WaitSettled
) -> Iterator[TurnResult]:
    """Yield the turns that ended in `lines`, oldest first; `known` are the messages before."""
    messages = dict(known)
    chunks: list[Chunk] = []
    for line in lines:
        if not is_control(line):
            chunks.append(orjson.loads(line))
            continue
        control = parse_control(line)
        if control.subtype == TURN_START:
            chunks = []
        elif control.subtype == TURN_COMPLETE:
            message = fold_message(chunks, messages)
            if message is not None:
                messages[message["id"]] = message
            settled = Settled(wait_settled, int(control.headers.get(IN_EVENT_ID, -1)))
            yield TurnResult(control.headers[OUTCOME], chunks, message, settled)
            chunks = []


def fold_message(chunks: Iterable[Chunk], known: Mapping[str, UIMessage]) -> UIMessage | None:
    """Return the message that the chunks of a turn make, None when they make none.

    It goes on with the one of `known` whose id it has. It ends, as a page's does, at a chunk that
    does not fit.
    """
    fold: MessageFold | None = None
    for chunk in chunks:
        if fold is None:
            fold = MessageFold(known.get(chunk.get("messageId", "")))
        try:
            fold.apply(chunk)
        except ChunkInvalid:
            break
    return fold.message if fold is not None and fold.message["parts"] else None
