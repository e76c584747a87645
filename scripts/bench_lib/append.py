"""A durable append over HTTP: to a session at rest, and to one whose turn is running."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from bench_lib.faces import message_record
from bench_lib.project import TASKS, Serving
from bench_lib.report import Findings, middle
from bench_lib.subjects import fake_model

if TYPE_CHECKING:
    from bench_lib.context import Context
    from bench_lib.project import Project


def run(context: Context) -> Findings:
    """Append one record after the other, round by round."""
    found = Findings("append: a durable append over HTTP, one after the other")
    times = int(context.pick(150, 1000))
    resting: list[list[float]] = []
    running: list[list[float]] = []
    with fake_model() as url, Serving({"tasks/bench.py": TASKS}, model_url=url) as project:
        project.ask("bench", "warm", "paced-100-3")
        for _ in context.each_round():
            resting.append(_resting(project, times))
            running.append(_running(project, times))
    for name, rounds in (("at rest", resting), ("in a turn", running)):
        found.plain(f"session {name}, p50", [middle(ms) for ms in rounds], "ms")
        p99s = [sorted(ms)[int(len(ms) * 0.99) - 1] for ms in rounds]
        found.plain(f"session {name}, p99", p99s, "ms")
    return found


def _resting(project: Project, times: int) -> list[float]:
    """Append what starts no run; return how many milliseconds each took."""
    key = secrets.token_hex(6)
    project.ask("brief", key, "hello")
    time.sleep(0.3)
    record: dict[str, object] = {"kind": "stop", "message": "nothing runs, so this is only kept"}
    return _append(project, key, [record] * times)


def _running(project: Project, times: int) -> list[float]:
    """Append messages that wait for the turn that runs; return how long each took."""
    key = secrets.token_hex(6)
    client = project.client()
    client.create_session(key, "bench")
    client.say(key, f"silent-{key}")
    records = [message_record(key, text="silent", number=n + 1) for n in range(times)]
    took = _append(project, key, records)
    client.json("POST", f"/api/v1/sessions/{key}/close", {})
    client.close()
    return took


def _append(project: Project, key: str, records: list[dict[str, object]]) -> list[float]:
    client = project.client()
    took: list[float] = []
    for record in records:
        began = time.perf_counter()
        client.append(key, record)
        took.append((time.perf_counter() - began) * 1000)
    client.close()
    return took
