"""What every benchmark is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench_lib.machine import Noise

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Context:
    """How to measure."""

    rounds: int
    full: bool
    peers: bool
    noise: Noise = field(default_factory=Noise)

    def each_round(self) -> Iterator[int]:
        """Yield the number of each round, having looked at the machine."""
        for number in range(self.rounds):
            self.noise.look()
            yield number

    def pick(self, quick: float, full: float) -> float:
        """Return what to use: more of it with `--full`."""
        return full if self.full else quick
