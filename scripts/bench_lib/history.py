"""What a turn costs at the beginning of a chat, after a hundred turns, after a thousand."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from bench_lib.machine import Usage, tree_usage
from bench_lib.processes import BenchFailed
from bench_lib.project import TASKS, Serving
from bench_lib.report import Findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench_lib.client import Client
    from bench_lib.context import Context
    from bench_lib.project import Project

AT = (1, 100, 1000)
WINDOW = 40
"""Over how many turns the cost is taken."""


def run(context: Context) -> Findings:
    """Have a chat go on for a thousand turns; once, unless all is measured."""
    found = Findings("history: cost of a turn against the number of turns before it")
    cpu: dict[int, list[Usage]] = {at: [] for at in AT}
    wall: dict[int, list[float]] = {at: [] for at in AT}
    with Serving({"tasks/bench.py": TASKS}) as project:
        _go_on(project, "warm", 100, cpu={}, wall={})
        for _ in range(context.rounds if context.full else 1):
            context.noise.look()
            _go_on(project, secrets.token_hex(6), AT[-1] + WINDOW, cpu=cpu, wall=wall)
    for at in AT:
        found.plain(f"time of a turn, from turn {at:,} on", wall[at], "ms")
        found.plain("… its CPU in the server", [usage.root_us / 1000 for usage in cpu[at]], "ms")
        found.plain("… and in the worker", [usage.below_us / 1000 for usage in cpu[at]], "ms")
    first = [usage.all_us for usage in cpu[1]]
    for later in AT[1:]:
        now = [usage.all_us for usage in cpu[later]]
        found.ratio(f"CPU at turn {later:,}, × turn 1", now, first, 1.3)
    return found


def _go_on(
    project: Project,
    key: str,
    turns: int,
    *,
    cpu: dict[int, list[Usage]],
    wall: dict[int, list[float]],
) -> None:
    """Say something `turns` times; keep what the turns behind each of `AT` cost."""
    client = project.client()
    reading = project.client()
    client.create_session(key, "lasting")
    ends = _turn_ends(reading, key)
    began = (time.perf_counter(), tree_usage(project.pid))
    for number in range(1, turns + 1):
        if number in cpu:
            began = (time.perf_counter(), tree_usage(project.pid))
        client.say(key, "hello", number)
        next(ends)
        at = number - WINDOW + 1
        if at in cpu:
            used = tree_usage(project.pid).since(began[1])
            cpu[at].append(Usage(used.root_us / WINDOW, used.below_us / WINDOW))
            wall[at].append((time.perf_counter() - began[0]) * 1000 / WINDOW)
    client.close()
    reading.close()


def _turn_ends(client: Client, key: str) -> Iterator[None]:
    """Yield once for every turn that ends."""
    for _at_us, data in client.follow(key):
        for _ in range(data.count('"turn-complete"')):
            yield
    raise BenchFailed("the session's stream ended")
