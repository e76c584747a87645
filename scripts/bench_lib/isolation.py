"""Sessions on other workers while one task blocks its own 50 of every 200 ms."""

from __future__ import annotations

import json
import secrets
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench_lib.processes import BenchFailed
from bench_lib.project import TASKS, Serving
from bench_lib.report import Findings
from bench_lib.subjects import chatrun_subjects, check, fake_model, run_paced, warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench_lib.context import Context
    from bench_lib.project import Project
    from bench_lib.subjects import Subject

CHATS = 40
RATE = 20
RAMP_S = 0.6


def run(context: Context) -> Findings:
    """Measure with and without a task that blocks, round by round."""
    found = Findings(f"isolation: {CHATS} chats × {RATE} tokens/s while one task blocks its worker")
    calm: list[float] = []
    others: list[float] = []
    same: list[float] = []
    window_s = context.pick(1.2, 6)
    with fake_model() as url, Serving({"tasks/bench.py": TASKS}, model_url=url) as project:
        chat = replace(chatrun_subjects(project)[0], path="/api/chat/placed")
        warm_up(chat)
        for _ in context.each_round():
            calm.append(_all_p99(_ages(chat, window_s)))
            with _blocking(project, window_s + 5) as worker:
                ages = _ages(chat, window_s)
            if worker in ages:
                same.append(ages.pop(worker)["p99"])
            others.append(_all_p99(ages))
    found.at_most("sessions on other workers, p99", others, 3, "ms")
    found.plain("all sessions while nothing blocks, p99", calm, "ms")
    if same:
        found.plain("sessions on the same worker, p99", same, "ms")
    else:
        found.notes.append("no session was put on the worker that was blocked")
    return found


def _ages(subject: Subject, window_s: float) -> dict[str, Any]:
    """Return how old tokens were when they came, by the worker they came from."""
    measured = run_paced(subject, RATE, chats=CHATS, ramp_s=RAMP_S, window_s=window_s)
    groups: dict[str, Any] = check(measured, subject).result["groups"]
    return groups


def _all_p99(ages: dict[str, Any]) -> float:
    """Return the worst of the workers' percentiles."""
    return max((group["p99"] for group in ages.values()), default=0.0)


@contextmanager
def _blocking(project: Project, for_s: float) -> Iterator[str]:
    """Have a task block its worker for as long as the context is open; yield which worker."""
    client = project.client()
    key = secrets.token_hex(6)
    events = client.chat("blocking", key, str(for_s))
    worker = ""
    for _at_us, data in events:
        if "data-worker" in data:
            worker = str(json.loads(data)["data"])
            break
    if not worker:
        raise BenchFailed("the task that blocks did not begin")
    reading = threading.Thread(target=lambda: list(events), daemon=True)
    reading.start()
    try:
        yield worker
    finally:
        project.client().stop("blocking", key)
        reading.join(10)
        client.close()
