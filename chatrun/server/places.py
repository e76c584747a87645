"""What is kept of sessions while somebody serves or reads them, and not a moment longer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from chatrun.server.tails import Tail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from chatrun.server.runs import ServedRun


class Place:
    """One session's."""

    def __init__(self) -> None:
        self.tail = Tail()
        self.run: ServedRun | None = None
        self.lock = asyncio.Lock()
        """Held while the session changes hands."""
        self.users = 0


class Places:
    """All sessions'."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def get(self, session_id: str) -> Place | None:
        """Return the session's place, None when nobody serves or reads it."""
        return self._places.get(session_id)

    def runs(self) -> Iterator[ServedRun]:
        """Yield every run that is served."""
        for place in self._places.values():
            if place.run is not None:
                yield place.run

    @asynccontextmanager
    async def entered(self, session_id: str) -> AsyncIterator[Place]:
        """Yield the session's place, which is kept as long as anybody is in it."""
        place = self.enter(session_id)
        try:
            yield place
        finally:
            self.leave(session_id, place)

    def enter(self, session_id: str) -> Place:
        """Keep the session's place until `leave`."""
        place = self._places.setdefault(session_id, Place())
        place.users += 1
        return place

    def leave(self, session_id: str, place: Place) -> None:
        """Keep it no longer, if nobody else does."""
        place.users -= 1
        if place.users == 0 and self._places.get(session_id) is place:
            del self._places[session_id]
