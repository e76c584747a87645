"""What the tests of the stores say often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatrun.store.base import NewSession, OutWrite
from chatrun.wire.ids import START, Cursor
from chatrun.wire.records import TURN_COMPLETE, control_line, data_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from chatrun.store.base import Session, Store
    from chatrun.wire.records import Line

TURN_END = control_line(TURN_COMPLETE)


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now_ms: int = 1_700_000_000_000

    def __call__(self) -> float:
        return self.now_ms / 1000


@dataclass(frozen=True)
class Backend:
    """One kind of store, opened anew or again."""

    name: str
    open: Callable[[], Awaitable[Store]]


def chunk(text: str) -> Line:
    return data_line({"type": "text-delta", "id": "0", "delta": text})


def chunks(*texts: str) -> OutWrite:
    """Say `texts`; the turn goes on."""
    return OutWrite(tuple(chunk(text) for text in texts))


def turn(*texts: str) -> OutWrite:
    """Say `texts` and end the turn."""
    return OutWrite((*chunks(*texts).lines, TURN_END), ends_turn=True)


def numbered(*lines: Line, first: int = 0) -> list[tuple[int, Line]]:
    return list(enumerate(lines, first))


async def new_session(store: Store, external_id: str | None = None) -> Session:
    session, _ = await store.create_session(NewSession("my-chat", external_id))
    return session


async def new_run(store: Store, run_id: str = "run_1") -> Session:
    """Return a new session that a run holds."""
    session = await new_session(store)
    return await store.claim(session.id, run_id=run_id)


async def out_of(store: Store, session_id: str, *, after: int = START) -> list[tuple[int, Line]]:
    """Return all records of `out` behind `after`, with their numbers, read page by page."""
    found: list[tuple[int, Line]] = []
    while batches := await store.read_out(session_id, after=Cursor(after), limit=3):
        for batch in batches:
            found += enumerate(batch.lines, batch.first)
        after = found[-1][0]
    return found
