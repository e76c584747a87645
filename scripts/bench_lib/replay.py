"""Replay of a long answer from the store to one client that comes later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench_lib.faces import follow_request
from bench_lib.processes import BenchFailed
from bench_lib.project import TASKS, Serving
from bench_lib.raw import read_until
from bench_lib.report import Findings
from bench_lib.subjects import chatrun_subjects, check, fake_model, run_load

if TYPE_CHECKING:
    from bench_lib.context import Context
    from bench_lib.project import Project

END = b'"turn-complete"'


def run(context: Context) -> Findings:
    """Have one long answer made, then read it from its beginning, round by round."""
    found = Findings("replay: a long answer from the store to one client")
    count = int(context.pick(20_000, 100_000))
    rates: list[float] = []
    with fake_model() as url, Serving({"tasks/bench.py": TASKS}, model_url=url) as project:
        key = _answered(project, count)
        _replay_s(project, key, count)
        for _ in context.each_round():
            rates += [count / _replay_s(project, key, count) for _ in range(3)]
    found.at_least(f"{count:,} chunks from the store", rates, 100_000, "chunks/s")
    return found


def _answered(project: Project, count: int) -> str:
    """Have a session answered by so many chunks; return its key."""
    session = chatrun_subjects(project)[1]
    load = run_load(session, f"flat-{count}", chats=1, tokens_each=count)
    key: str = check(load, session).keys[0]
    return key


def _replay_s(project: Project, key: str, count: int) -> float:
    """Return how long it takes from asking to the last chunk."""
    request = follow_request(key, token=project.secret)
    began = time.perf_counter()
    data = read_until(project.url, request, END)
    took_s = time.perf_counter() - began
    if (chunks := data.count(b"text-delta")) != count:
        raise BenchFailed(f"the replay had {chunks} of {count} chunks")
    return took_s
