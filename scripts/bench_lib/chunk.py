"""What a chunk costs and how late it is: chatrun beside the model itself, aiohttp and the peers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench_lib.report import Findings, Table, middle, number
from bench_lib.subjects import (
    AI_SDK,
    BARE,
    CHAT,
    FASTAPI,
    MODEL,
    PASSTHROUGH,
    PYDANTIC_AI,
    SESSION,
    Measured,
    all_subjects,
    check,
    fake_model,
    run_paced,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench_lib.context import Context
    from bench_lib.subjects import Subject

RATE = 50
LEVELS = (10, 50, 200)
RAMP_S = 0.5
BARE_LEVEL = 50
"""Where what the server itself spends is compared with the least that it could."""

Cells = dict[tuple[str, int], list[Measured]]


def run(context: Context) -> Findings:
    """Measure every subject at every level, round by round."""
    found = Findings("chunk: cost and delay of a chunk, at 50 tokens a second for each chat")
    cells: Cells = {}
    with fake_model() as url, all_subjects(url, with_peers=context.peers) as subjects:
        for _ in context.each_round():
            for level in LEVELS:
                for subject in subjects:
                    if subject.name == BARE and level != BARE_LEVEL:
                        continue
                    measured = _cell(subject, level, window_s=context.pick(0.8, 4))
                    cells.setdefault((subject.name, level), []).append(measured)
        names = [subject.name for subject in subjects]
    found.tables = [_table(cells, names, level) for level in LEVELS]
    _judge(found, cells, names)
    return found


def _cell(subject: Subject, level: int, *, window_s: float) -> Measured:
    return check(run_paced(subject, RATE, chats=level, ramp_s=RAMP_S, window_s=window_s), subject)


# --- numbers ------------------------------------------------------------------------------------


def _cpu(measured: Measured) -> float:
    return measured.per_token.all_us


def _first(percentile: str) -> Callable[[Measured], float]:
    return lambda measured: measured.result["first_ms"][percentile]


def _age(percentile: str) -> Callable[[Measured], float]:
    return lambda measured: measured.result["age_ms"][percentile]


def _values(cells: Cells, name: str, level: int, of: Callable[[Measured], float]) -> list[float]:
    return [of(measured) for measured in cells[name, level]]


def _added(cells: Cells, name: str, level: int, of: Callable[[Measured], float]) -> list[float]:
    """Return what `name` adds to asking the model directly, round by round."""
    direct = _values(cells, MODEL, level, of)
    found = _values(cells, name, level, of)
    return [max(mine - its, 0.0) for mine, its in zip(found, direct, strict=True)]


# --- for people ---------------------------------------------------------------------------------


def _table(cells: Cells, names: list[str], level: int) -> Table:
    header = ("", "CPU µs/token", "server", "workers", "added latency p50", "p99 ms")
    rows: list[tuple[str, ...]] = []
    for name in names:
        if (name, level) not in cells:
            continue
        delays = [_added(cells, name, level, of) for of in (_age("p50"), _age("p99"))]
        firsts = [_added(cells, name, level, of) for of in (_first("p50"), _first("p99"))]
        if name == MODEL:  # its own, as the client sees them
            delays = [_values(cells, name, level, of) for of in (_age("p50"), _age("p99"))]
            firsts = [_values(cells, name, level, of) for of in (_first("p50"), _first("p99"))]
        cells_of_name = [*_cpu_columns(cells, name, level), *map(_shown, (*delays, *firsts))]
        rows.append((name, *cells_of_name))
    return Table(f"{level} chats", (*header, "added first token p50", "p99 ms"), rows)


def _cpu_columns(cells: Cells, name: str, level: int) -> list[str]:
    if name == MODEL:
        return ["", "", ""]
    below = _values(cells, name, level, lambda m: m.per_token.below_us)
    return [
        _shown(_values(cells, name, level, _cpu)),
        _shown(_values(cells, name, level, lambda m: m.per_token.root_us)),
        _shown(below) if any(below) else "",
    ]


def _shown(values: list[float]) -> str:
    value = middle(values)
    return number(value if math.isinf(value) else round(value, 2))


def _judge(found: Findings, cells: Cells, names: list[str]) -> None:
    for ours in (CHAT, SESSION):
        _judge_cpu(found, cells, names, ours)
        _judge_delay(found, cells, names, ours)
    bare = _values(cells, BARE, BARE_LEVEL, _cpu)
    for ours in (CHAT, SESSION):
        server = _values(cells, ours, BARE_LEVEL, lambda m: m.per_token.root_us)
        found.ratio(f"{ours}: the server's share, 50 chats, × a bare write", server, bare, 1.5)


def _judge_cpu(found: Findings, cells: Cells, names: list[str], ours: str) -> None:
    limits = {AI_SDK: 0.55, FASTAPI: 0.5, PYDANTIC_AI: 0.3}
    mine = _values(cells, ours, 200, _cpu)
    found.plain(f"{ours}: CPU per token, 200 chats", mine, "µs")
    through = _values(cells, PASSTHROUGH, 200, _cpu)
    ratios = [a / b for a, b in zip(mine, through, strict=True) if b < math.inf]
    found.plain(f"{ours}: CPU per token, 200 chats, × {PASSTHROUGH}", ratios, "×")
    for peer, limit in limits.items():
        if peer in names:
            what = f"{ours}: CPU per token, 200 chats, × {peer}"
            found.ratio(what, mine, _values(cells, peer, 200, _cpu), limit)


def _judge_delay(found: Findings, cells: Cells, names: list[str], ours: str) -> None:
    for percentile, limit in (("p50", 0.6), ("p99", 1.0)):
        mine = _added(cells, ours, 10, _age(percentile))
        what = f"{ours}: added token latency, 10 chats, {percentile}"
        if AI_SDK in names:
            theirs = _added(cells, AI_SDK, 10, _age(percentile))
            found.ratio(f"{what}, × {AI_SDK}", mine, theirs, limit)
        found.plain(what, mine, "ms")
    first = _added(cells, ours, 10, _first("p50"))
    if FASTAPI in names:
        theirs = _added(cells, FASTAPI, 10, _first("p50"))
        found.ratio(f"{ours}: added first token, 10 chats p50, × {FASTAPI}", first, theirs, 0.7)
    found.at_most(f"{ours}: added first token, 10 chats p50", first, 3.3, "ms")
    crowd = _added(cells, ours, 50, _first("p99"))
    found.at_most(f"{ours}: added first token, 50 chats p99", crowd, 50, "ms")
