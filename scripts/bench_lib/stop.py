"""Stop → the model's socket closed, while the model is silent."""

from __future__ import annotations

import json
import secrets
import threading
import time
from typing import TYPE_CHECKING

from bench_lib.client import Client
from bench_lib.processes import BenchFailed
from bench_lib.project import TASKS, Serving
from bench_lib.report import Findings
from bench_lib.subjects import fake_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench_lib.context import Context
    from bench_lib.project import Project

Events = "Iterator[tuple[int, str]]"


def run(context: Context) -> Findings:
    """Stop in every way there is, round by round."""
    found = Findings("stop: from stopping to the model's socket closed, the model being silent")
    took: dict[str, list[float]] = {}
    kept: list[bool] = []
    times = int(context.pick(2, 15))
    with fake_model() as url, Serving({"tasks/bench.py": TASKS}, model_url=url) as project:
        project.ask("bench", "warm", "paced-100-3")
        for _ in context.each_round():
            for _ in range(times):
                _stop_each_way(Bench(project, url), took, kept)
            took.setdefault("stubborn", []).append(_stop_stubborn(project))
    for way, name in WAYS.items():
        found.at_most(f"{name}: model's socket closed", took[way], 100, "ms")
        found.plain(f"{name}: slowest", [max(took[way])], "ms")
    stubborn = [ms / 1000 for ms in took["stubborn"]]
    found.at_most("a task that swallows cancellation: its turn ended", stubborn, 2, "s")
    share = 100 * sum(kept) / len(kept)
    found.at_least("stopped turns whose partial answer is kept", [share], 100, "%")
    return found


WAYS = {
    "route": "the chat's stop route",
    "record": "a stop record of the session protocol",
    "close": "closing the chat's request",
}


def _stop_each_way(bench: Bench, took: dict[str, list[float]], kept: list[bool]) -> None:
    for way in WAYS:
        ms, is_kept = bench.stop(way)
        took.setdefault(way, []).append(ms)
        kept.append(is_kept)


class Bench:
    """One project and one model, whose turns are stopped."""

    def __init__(self, project: Project, model_url: str) -> None:
        self._project = project
        self._model = Client(model_url, "none")

    def stop(self, way: str) -> tuple[float, bool]:
        """Return how many milliseconds it took, and whether the answer was kept."""
        key = secrets.token_hex(6)
        model = f"silent-{key}"
        reading, stopping = self._project.client(), self._project.client()
        if way == "record":
            reading.create_session(key, "bench")
            reading.say(key, model)
            events = reading.follow(key)
        else:
            events = reading.chat("bench", key, model)
        said = _first_token(events)
        stopped_us = time.monotonic_ns() // 1000
        if way == "route":
            stopping.stop("bench", key)
        elif way == "record":
            stopping.append(key, {"kind": "stop"})
        else:
            reading.close()
        closed_us = self._model.json("GET", f"/closed/{model}")["at_us"]
        is_kept = self._is_kept(stopping, key, said)
        for client in (reading, stopping):
            client.close()
        return (closed_us - stopped_us) / 1000, is_kept

    def _is_kept(self, client: Client, key: str, said: str) -> bool:
        """Tell whether what was said is in the transcript once the turn is over."""
        ends_at = time.monotonic() + 5
        while time.monotonic() < ends_at:
            messages = client.json("GET", f"/api/v1/sessions/{key}/transcript")["messages"]
            if messages[-1:] and messages[-1]["role"] == "assistant":
                parts = messages[-1]["parts"]
                return any(part.get("text") == said for part in parts)
            time.sleep(0.01)
        return False


def _first_token(events: Iterator[tuple[int, str]]) -> str:
    """Read up to the model's first token and return it."""
    for _at_us, data in events:
        at = data.find("@")
        if at >= 0:
            return data[at : at + 17]
    raise BenchFailed("the answer ended before its first token")


def _stop_stubborn(project: Project) -> float:
    """Return how many milliseconds the turn goes on that cannot be cancelled."""
    key = secrets.token_hex(6)
    reading, stopping = project.client(), project.client()
    events = reading.chat("stubborn", key, "go")
    for _at_us, data in events:
        if "begun" in data:
            break
    began_us = time.monotonic_ns() // 1000
    threading.Thread(target=stopping.stop, args=("stubborn", key)).start()
    for at_us, data in events:
        if data == "[DONE]":
            return (at_us - began_us) / 1000
        json.loads(data)
    raise BenchFailed("the stopped answer broke off")
