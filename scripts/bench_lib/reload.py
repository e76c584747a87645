"""Save → the next reply from the new code, while a stream is open and others keep asking."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench_lib import peers
from bench_lib.client import Client, text_of
from bench_lib.peers import App
from bench_lib.processes import BenchFailed
from bench_lib.project import Serving
from bench_lib.report import Findings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench_lib.context import Context
    from bench_lib.project import Project

TASK = '''\
import asyncio

import words
from chatrun import Turn, chat

VERSION = "{version}"


@chat.task("saved")
async def saved(turn: Turn):
    """Say which code this is: once, or again and again for as long as the text says."""
    count = int(turn.text) if turn.text.isdigit() else 0
    yield f"{{VERSION}}+{{words.VERSION}}"
    for _ in range(count):
        await asyncio.sleep(0.02)
        yield f" {{VERSION}}+{{words.VERSION}}"
'''
WORDS = 'VERSION = "{version}"\n'
OTHER = """\
from chatrun import Turn, chat


@chat.task("{name}")
async def task(turn: Turn):
    return "{name}"
"""

LINES = 35
"""How often the open stream says its version, every 20 ms."""
LIMIT_S = 20.0


def run(context: Context) -> Findings:
    """Save in every way, round by round."""
    found = Findings("reload: save → the next reply from the new code, with a stream open")
    times = int(context.pick(1, 5))
    files = {"chat.py": TASK.format(version="v0"), "words.py": WORDS.format(version="w0")}
    took: dict[str, list[float]] = {}
    with Serving(files) as project:
        bench = Bench(project)
        bench.settle()
        for _ in context.each_round():
            for _, way in itertools.product(range(times), WAYS):
                took.setdefault(way, []).append(bench.save(way))
    for way, name in WAYS.items():
        found.at_most(name, took[way], 150, "ms")
    every = [ms for values in took.values() for ms in values]
    found.plain("slowest of all", [max(every)], "ms")
    found.at_most("the same chat's next turn, behind the save", bench.same_chat_ms, 150, "ms")
    found.at_most(f"refused of {bench.asked:,} requests", [bench.refused], 0, "requests")
    found.at_most(f"open streams cut or changed, of {len(every)}", [bench.cut], 0, "streams")
    found.notes += sorted(bench.reasons)[:3]
    if context.peers:
        _beside_uvicorn(context, found, every)
    return found


WAYS = {
    "in place": "a file saved in place",
    "rename": "a file replaced by a rename, as editors do",
    "new file": "a new file with a task",
    "shared": "a module that the task imports",
}


@dataclass(slots=True)
class Bench:
    """A project that is saved again and again."""

    project: Project
    asked: int = 0
    refused: int = 0
    cut: int = 0
    reasons: set[str] = field(default_factory=set)
    same_chat_ms: list[float] = field(default_factory=list)
    version: int = 0
    words: int = 0

    @property
    def says(self) -> str:
        """What the code says as it stands now."""
        return f"v{self.version}+w{self.words}"

    def settle(self) -> None:
        """Wait until the workers that come behind the first are there, as a person would."""
        for number in range(3):
            self.project.ask("saved", f"settle-{number}", "once")
        time.sleep(3)

    def save(self, way: str) -> float:
        """Save in one way; return the milliseconds to the first reply from the new code."""
        stream = OpenStream(self.project, f"open-{time.monotonic_ns()}")
        same = f"same-{time.monotonic_ns()}"
        self._ask("saved", same, 0)
        expected = self.says
        began = time.monotonic()
        ask = self._write(way)
        while not ask():
            if time.monotonic() - began > LIMIT_S:
                raise BenchFailed(f"no reply from the new code within {LIMIT_S:g} s ({way})")
        took_ms = (time.monotonic() - began) * 1000
        self._ask_same(same, began, way)
        if stream.text() != " ".join([expected] * (LINES + 1)):
            self.cut += 1
            self.reasons.add(f"an open stream: {stream.failed or 'other text than expected'}")
        return took_ms

    def _ask_same(self, same: str, began: float, way: str) -> None:
        """Go on with the chat from before the save until the new code answers."""
        if way == "new file":
            return
        for number in itertools.count(1):
            if self._ask("saved", same, number) == self.says:
                break
            if time.monotonic() - began > LIMIT_S:
                raise BenchFailed("a chat from before the save stays on the old code")
        self.same_chat_ms.append((time.monotonic() - began) * 1000)

    def _write(self, way: str) -> Callable[[], bool]:
        """Save; return what asks whether the new code answers."""
        folder = self.project.folder
        if way == "new file":
            name = f"task-{time.monotonic_ns()}"
            (folder / f"{name.replace('-', '_')}.py").write_text(OTHER.format(name=name))
            return lambda: self._is_served(name)
        if way == "shared":
            self.words += 1
            (folder / "words.py").write_text(WORDS.format(version=f"w{self.words}"))
        else:
            self.version += 1
            _save(folder / "chat.py", TASK.format(version=f"v{self.version}"), way)
        return lambda: self._ask("saved", f"new-{time.monotonic_ns()}", 0) == self.says

    def _is_served(self, name: str) -> bool:
        """Ask a task that may not be there yet: that it is unknown is no refusal."""
        client = self.project.client()
        with contextlib.closing(client):
            tasks = client.json("GET", "/api/v1/tasks")["tasks"]
        if not any(task["id"] == name for task in tasks):
            self.asked += 1
            return False
        return self._ask(name, f"new-{time.monotonic_ns()}", 0) == name

    def _ask(self, task: str, key: str, number: int) -> str:
        """Return the answer; a request that gets none is counted as refused."""
        self.asked += 1
        try:
            return self.project.ask(task, key, "once", number)
        except (OSError, http.client.HTTPException, BenchFailed) as exc:
            self.refused += 1
            self.reasons.add(f"refused: {exc}")
            return ""


def _save(file: Path, text: str, way: str) -> None:
    if way == "rename":
        draft = file.with_name(".draft")
        draft.write_text(text)
        draft.replace(file)
    else:
        file.write_text(text)


class OpenStream:
    """An answer that goes on for more than a second, read in a thread."""

    def __init__(self, project: Project, key: str) -> None:
        self._client = project.client()
        self._begun = threading.Event()
        self._text = ""
        self.failed = ""
        self._thread = threading.Thread(target=self._read, args=(key,))
        self._thread.start()
        if not self._begun.wait(LIMIT_S):
            raise BenchFailed("the stream that is to stay open does not begin")

    def text(self) -> str:
        """Wait for the end and return all that came."""
        self._thread.join(LIMIT_S)
        return self._text

    def _read(self, key: str) -> None:
        try:
            self._text = text_of(self._noted(self._client.chat("saved", key, str(LINES))))
        except (OSError, http.client.HTTPException, BenchFailed) as exc:
            self.failed = str(exc) or type(exc).__name__
        finally:
            self._begun.set()
            self._client.close()

    def _noted(self, events: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        for at_us, data in events:
            if "text-delta" in data:
                self._begun.set()
            yield at_us, data


# --- uvicorn ------------------------------------------------------------------------------------


def _beside_uvicorn(context: Context, found: Findings, ours: list[float]) -> None:
    """Compare with `uvicorn --reload` on the least app, which has no stream open."""
    source = (peers.APPS / "reloaded.py").read_text()
    with Serving({"empty.txt": ""}) as scratch:
        app_file = scratch.folder / "reloaded.py"
        app_file.write_text(source)
        command: list[str | Path] = [peers.python(), "-m", "uvicorn", "reloaded:app", "--reload"]
        command += ["--port", "PORT", "--app-dir", scratch.folder]
        command += ["--reload-dir", scratch.folder, "--log-level", "warning"]
        with App(command, env={}) as app:
            theirs = [
                _uvicorn_ms(app, app_file, source, number) for number in range(2 * context.rounds)
            ]
    found.plain("uvicorn --reload, without a stream open", theirs, "ms")
    middle = sorted(theirs)[len(theirs) // 2]
    found.at_most("ours, × uvicorn --reload", [ms / middle for ms in ours], 0.4, "×")


def _uvicorn_ms(app: App, file: Path, source: str, number: int) -> float:
    version = f"u{number + 1}"
    time.sleep(0.3)
    began = time.monotonic()
    file.write_text(source.replace('VERSION = "v0"', f'VERSION = "{version}"'))
    while time.monotonic() - began < LIMIT_S:
        client = Client(app.url, "none")
        with contextlib.suppress(OSError, http.client.HTTPException, json.JSONDecodeError):
            if client.json("GET", "/version") == version:
                return (time.monotonic() - began) * 1000
        client.close()
    raise BenchFailed("uvicorn --reload does not take up the save")
