"""What a benchmark has found: rows with goals, and tables beside them."""

from __future__ import annotations

import math
import statistics
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """One number, and whether it is what was promised."""

    what: str
    value: str
    """As people read it, unit included."""
    goal: str = ""
    stands: bool | None = None
    """None where nothing was promised, or what it is compared with is missing."""
    raw: float | None = None
    """The number itself."""


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers side by side, without a goal."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(slots=True)
class Findings:
    """All that one benchmark has found."""

    name: str
    rows: list[Row] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def at_most(self, what: str, values: Iterable[float], limit: float, unit: str) -> None:
        """Add the median of `values`, which must not be above `limit`."""
        self._judge(what, values, unit, f"≤ {number(limit)} {unit}", lambda v: v <= limit)

    def at_least(self, what: str, values: Iterable[float], limit: float, unit: str) -> None:
        """Add the median of `values`, which must not be below `limit`."""
        self._judge(what, values, unit, f"≥ {number(limit)} {unit}", lambda v: v >= limit)

    def plain(self, what: str, values: Iterable[float], unit: str) -> None:
        """Add the median of `values`, of which nothing was promised."""
        found = list(values)
        value = middle(found)
        self.rows.append(Row(what, f"{number(value)} {unit}{_span(found)}", raw=value))

    def _judge(
        self,
        what: str,
        values: Iterable[float],
        unit: str,
        goal: str,
        stands: Callable[[float], bool],
    ) -> None:
        found = list(values)
        value = middle(found)
        text = f"{number(value)} {unit}{_span(found)}"
        self.rows.append(Row(what, text, goal, stands(value), raw=value))

    def ratio(
        self, what: str, ours: Sequence[float], theirs: Sequence[float], limit: float
    ) -> None:
        """Add how many times `theirs` ours is, round by round; at most `limit` times."""
        pairs = zip(ours, theirs, strict=True)
        ratios = [our / their for our, their in pairs if 0 < their < math.inf]
        if ratios:
            self.at_most(what, ratios, limit, "×")
        else:
            self.notes.append(f"{what}: nothing to compare with")

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)


def middle(values: Sequence[float]) -> float:
    """Return the median; 0 of nothing."""
    return statistics.median(values) if values else 0.0


def number(value: float) -> str:
    """Return a number as people read it: three digits that count."""
    if math.isinf(value):
        return "∞"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _span(values: Sequence[float]) -> str:
    if len(values) < 2 or min(values) == max(values):
        return ""
    return f" ({number(min(values))} to {number(max(values))})"


# --- for people ---------------------------------------------------------------------------------


def print_findings(found: Findings) -> None:
    """Print one benchmark's tables, rows and notes."""
    print(f"\n■ {found.name}")
    for table in found.tables:
        print(f"  {table.title}")
        _print_columns([table.header, *table.rows])
    if found.rows:
        marks = {True: "stands", False: "MISSED", None: ""}
        cells = [(row.what, row.value, row.goal, marks[row.stands]) for row in found.rows]
        _print_columns([("what", "measured", "goal", ""), *cells])
    for note in found.notes:
        print(f"  · {note}")
    sys.stdout.flush()


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for at, row in enumerate(rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"    {'  '.join(cells).rstrip()}")
        if at == 0:
            print(f"    {'  '.join('─' * width for width in widths)}")


def print_noise(noise: Mapping[str, float]) -> None:
    """Print how steady the machine was."""
    print(
        f"\nThe machine: {noise['cores']:g} cores, load {noise['load_1m']:g}; over "
        f"{noise['elapsed_s']:g} s this run used {noise['own_cores']:g} cores, others "
        f"{noise['others_cores']:g}, {noise['stolen_cores']:g} were taken by the host; the same "
        f"work took up to {noise['same_work_slowest_to_median']:g}× its median time."
    )
