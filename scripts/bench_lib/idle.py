"""Memory of streams that nothing comes on, and of sessions whose run has ended."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
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
ENDED_S = 1.0
"""By then the runs of all sessions have ended: theirs do after 50 ms."""


def run(context: Context) -> Findings:
    """Fill a fresh server with sessions, then with streams; once, unless all is measured."""
    found = Findings("idle: memory of what nothing happens on")
    streams: list[float] = []
    sessions: list[float] = []
    workers: list[float] = []
    for _ in range(context.rounds if context.full else 1):
        context.noise.look()
        with Serving({"tasks/bench.py": TASKS}) as project:
            _measure(project, sessions, workers, streams)
    found.at_most(f"{COUNT:,} idle open streams, each", streams, 20, "KiB")
    found.plain(f"{COUNT:,} sessions whose run has ended, each, server", sessions, "KiB")
    found.plain(f"{COUNT:,} sessions whose run has ended, each, workers", workers, "KiB")
    return found


def _measure(
    project: Project, sessions: list[float], workers: list[float], streams: list[float]
) -> None:
    # The first thousand bring caches and the allocator's arenas to the size that they keep.
    for _ in range(2):
        _turns(project)
    before, below = rss_bytes(project.pid), _below(project)
    keys = _turns(project)
    sessions.append((rss_bytes(project.pid) - before) / COUNT / KIB)
    workers.append((_below(project) - below) / COUNT / KIB)
    streams.append(_streams_kib(project, keys))


def _below(project: Project) -> int:
    return sum(map(rss_bytes, descendants(project.pid)))


def _turns(project: Project) -> list[str]:
    """Have a thousand new sessions answered; return their keys once their runs have ended."""
    prefix = secrets.token_hex(4)
    keys = [f"{prefix}-{number}" for number in range(COUNT)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: project.ask("brief", key, "hello"), keys))
    time.sleep(ENDED_S)
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
