"""A run's mailbox: its session's `in` records, each consumed exactly once and in order.

One consumer takes messages one at a time; only a stop acts at once, on the turn that runs. The
`cursor` is what a commit may say is consumed: every record up to it was acted on, so whatever a
run leaves behind is, by construction, what the next one finds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, assert_never

from chatrun.wire.inputs import Handover, HandoverSkip, Junk, Message, Stop, parse_input

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence, Set

    from chatrun.wire.records import InRecord


@dataclass(slots=True)
class Letter:
    """A message that waits for its turn, or what wanted to be one and cannot be read."""

    seq: int
    message: Message | Junk
    stopped: bool = False
    """Its stop came before its turn began."""


class Mailbox:
    """Records in, turns' messages out."""

    def __init__(self, *, consumed: int, stops: int, interrupts: bool = False) -> None:
        """Begin behind record `consumed`; stops up to record `stops` were acted on before.

        With `interrupts`, a message stops the turn that runs, as a stop does.
        """
        self._interrupts = interrupts
        self._received = consumed
        self._stops = stops
        self._waiting: deque[Letter] = deque()
        self._current: Letter | None = None
        self._taken: set[str] = set()
        self._on_stop: Callable[[], None] | None = None
        self._changed = asyncio.Event()
        self._leaving = False

    @property
    def cursor(self) -> int:
        """The last record such that it and all before it were acted on."""
        first = min((letter.seq for letter in self._waiting), default=None)
        return self._received if first is None else first - 1

    @property
    def stops(self) -> int:
        """The last stop that was acted on; kept with the session so that none acts twice."""
        return self._stops

    @property
    def leaving(self) -> bool:
        """Whether the run has been asked to end after its current turn."""
        return self._leaving

    def leave(self, *, stop: bool = False) -> None:
        """Ask the run to end after its current turn; waiting messages are the next run's.

        With `stop`, the current turn is stopped as well.
        """
        self._leaving = True
        self._changed.set()
        if stop and self._current is not None:
            self._stop_current(self._current)

    def deliver(self, records: Iterable[InRecord]) -> None:
        """Take `records`; those that were delivered before are passed over."""
        for record in records:
            if record.seq > self._received:
                self._received = record.seq
                self._take(record)
        self._changed.set()

    def _take(self, record: InRecord) -> None:
        parsed = parse_input(record.body)
        match parsed:
            case Message(trigger="preload" | "handover-prepare"):
                pass  # these boot a run; on the stream they ask for nothing
            case Message() | Junk(awaited=True):
                self._waiting.append(Letter(record.seq, parsed))
                if self._interrupts and self._current is not None and record.seq > self._stops:
                    self._stop_current(self._current)
            case Stop(turn=turn):
                self._stop(record.seq, turn)
            case Handover() | HandoverSkip() | Junk():
                pass
            case _:
                assert_never(parsed)

    def _stop(self, seq: int, turn: int | None) -> None:
        """Stop the turn whose message came before; with none, the stop is dropped.

        With `turn`, only the turn that answers this record is meant, running or waiting.
        """
        if seq <= self._stops:
            return
        if self._current is not None and turn in (None, self._current.seq):
            self._stops = seq
            self._stop_current(self._current)
            return
        first = self._waiting[0].seq if self._waiting and self._current is None else None
        for letter in self._waiting:
            if letter.seq == (first if turn is None else turn):
                self._stops = seq
                letter.stopped = True

    def _stop_current(self, letter: Letter) -> None:
        letter.stopped = True
        if self._on_stop is not None:
            self._on_stop()

    def peek(self) -> Letter | None:
        """Return the next message, which goes on waiting; None without one."""
        return self._waiting[0] if self._waiting else None

    def steerable(self) -> list[Letter]:
        """Return the user messages at the head of what waits; they go on waiting."""
        return list(takewhile(_is_said, self._waiting))

    @property
    def taken(self) -> Set[str]:
        """The ids of the messages that were made part of the current turn."""
        return self._taken

    def take(self, letters: Sequence[Letter]) -> None:
        """Consume `letters`, which `steerable` gave: they were made part of the current turn."""
        for letter in letters:
            self._waiting.remove(letter)
            if (message_id := said_id(letter)) is not None:
                self._taken.add(message_id)

    def put_first(self, message: Message, *, seq: int) -> None:
        """Put `message` in front of all that waits, on behalf of record `seq`."""
        self._waiting.appendleft(Letter(seq, message))

    async def next(self, *, wait_s: float) -> Letter | None:
        """Take the next message; None after `wait_s` seconds without one, or when leaving.

        From here until `done` a stop that arrives is that message's.
        """
        try:
            async with asyncio.timeout(wait_s):
                while not self._waiting and not self._leaving:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        if self._leaving:
            return None
        self._current = self._waiting.popleft()
        return self._current

    def when_stopped(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the current message is stopped, at once if it is already."""
        self._on_stop = callback
        if self._current is not None and self._current.stopped:
            callback()

    def done(self) -> None:
        """Say that the current message's turn takes no more stops."""
        self._current = None
        self._on_stop = None
        self._taken = set()


def said_id(letter: Letter) -> str | None:
    """Return the id that the sender gave the message of `letter`, None without one."""
    message = letter.message.message if isinstance(letter.message, Message) else None
    message_id = message.get("id") if message is not None else None
    return message_id if isinstance(message_id, str) and message_id else None


def _is_said(letter: Letter) -> bool:
    """Tell whether a letter is a new message of the user's, and nothing but that."""
    message = letter.message
    return (
        isinstance(message, Message)
        and message.trigger == "submit-message"
        and message.message is not None
        and message.message.get("role") == "user"
        and message.message_id is None
        and message.standing is None
    )
