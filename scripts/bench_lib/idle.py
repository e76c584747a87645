"""Memory of streams that nothing comes on, and of sessions whose run has ended."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench_lib.faces import follow_request
from bench_lib.machine import descendants, rss_bytes
from bench_lib.project import TASKS, Serving
from bench_lib.raw import open_stream
from bench_lib.report import Findings

if TYPE_CHECKING:
    import socket

    from bench_lib.context import Context
    from bench_lib.project import Project

COUNT = 1000
KIB = 1024
SETTLED_S = 1.0
"""By then the runs of all sessions have ended, or are suspended: theirs are after 50 ms."""


@dataclass(slots=True)
class Sizes:
    """What each of a thousand costs, in KiB, round by round."""

    streams: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    suspended: list[float] = field(default_factory=list)
    suspended_below: list[float] = field(default_factory=list)


def run(context: Context) -> Findings:
    """Fill a fresh server with sessions, then with streams; once, unless all is measured."""
    found = Findings("idle: memory of what nothing happens on")
    sizes = Sizes()
    for _ in range(context.rounds if context.full else 1):
        context.noise.look()
        with Serving({"tasks/bench.py": TASKS}) as project:
            _measure(project, sizes, warm_ups=11 if context.full else 1)
    found.at_most(f"{COUNT:,} idle open streams, each", sizes.streams, 20, "KiB")
    if context.full:
        found.at_most(f"{COUNT:,} sessions whose run has ended, each", sizes.ended, 0.5, "KiB")
    else:
        found.plain(f"{COUNT:,} sessions whose run has ended, each", sizes.ended, "KiB")
        found.notes.append("caches that stop growing at 10,000 sessions still grow: see --full")
    found.plain(f"{COUNT:,} sessions whose run is suspended, each", sizes.suspended, "KiB")
    found.plain("… and in the workers", sizes.suspended_below, "KiB")
    return found


def _measure(project: Project, sizes: Sizes, *, warm_ups: int) -> None:
    # The first ones bring caches and the allocator's arenas to the size that they keep.
    for _ in range(warm_ups):
        _turns(project, "brief")
    before = rss_bytes(project.pid)
    keys = _turns(project, "brief")
    sizes.ended.append((rss_bytes(project.pid) - before) / COUNT / KIB)
    sizes.streams.append(_streams_kib(project, keys))
    before, below = rss_bytes(project.pid), _below(project)
    _turns(project, "suspended")
    sizes.suspended.append((rss_bytes(project.pid) - before) / COUNT / KIB)
    sizes.suspended_below.append((_below(project) - below) / COUNT / KIB)


def _below(project: Project) -> int:
    return sum(map(rss_bytes, descendants(project.pid)))


def _turns(project: Project, task: str) -> list[str]:
    """Have a thousand new sessions answered; return their keys once all is quiet again."""
    prefix = secrets.token_hex(4)
    keys = [f"{prefix}-{number}" for number in range(COUNT)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: project.ask(task, key, "hello"), keys))
    time.sleep(SETTLED_S)
    return keys


def _streams_kib(project: Project, keys: list[str]) -> float:
    """Follow all sessions from behind their last record; return what each stream costs."""
    latest = b"x-trigger-stream-start: latest\r\n\r\n"
    connections: list[socket.socket] = []
    before = rss_bytes(project.pid)
    try:
        for key in keys:
            request = follow_request(key, token=project.secret)
            connections.append(open_stream(project.url, request[:-2] + latest))
        time.sleep(0.5)
        return (rss_bytes(project.pid) - before) / COUNT / KIB
    finally:
        for connection in connections:
            connection.close()
