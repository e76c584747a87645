"""Every number of the client in one place."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait and how often to try; seconds unless the name says otherwise.

    The defaults are those of the published chat clients, but for `away_s`: they try for ever.
    """

    connect_s: float = 30.0
    """Until an answer's headers are there."""
    request_s: float = 30.0
    """For a whole request that is not a stream."""
    stall_s: float = 60.0
    """How long a stream may bring no record before it is opened anew; pings do not count."""
    window_s: int = 120
    """How long the server is asked to keep a stream without records open, 1 to 600."""
    max_ends: int = 5
    """How often in a row a stream may end without having brought a record."""
    away_s: float = 60.0
    """How long a server that was there may be unreachable, as it is while it restarts."""
    first_wait_s: float = 0.1
    """How long to wait before the first new try; each further wait is twice as long."""
    longest_wait_s: float = 5.0

    def wait_s(self, tries: int, *, chance: Callable[[], float] = random.random) -> float:
        """Return how long to wait after `tries` failed tries in a row, the first being 1.

        Half of it is left to chance, so that clients that were cut off together do not all come
        back together.
        """
        longest = min(self.first_wait_s * 2.0 ** min(tries - 1, 30), self.longest_wait_s)
        return longest * (0.5 + 0.5 * chance())
