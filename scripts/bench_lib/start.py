"""How long the first look takes: `--help`, ready to serve, imports; and what is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lib.processes import BenchFailed, environment
from bench_lib.project import CHATRUN, Serving
from bench_lib.report import Findings, Table, middle, number

if TYPE_CHECKING:
    from bench_lib.context import Context

TASK = """\
from chatrun import Turn, chat, stream_text


@chat.task("my-chat")
async def my_chat(turn: Turn):
    return stream_text("demo")
"""
IMPORTS = ("chatrun", "chatrun.cli.main", "aiohttp.web", "pydantic", "openai", "anthropic")
HEAVY = ("aiohttp", "anthropic", "openai", "prompt_toolkit", "pydantic", "rich", "watchfiles")
"""What `--help` must not load."""
LARGE = ("anthropic", "openai")
"""The providers' own packages, beside which the size of the install is counted."""


def run(context: Context) -> Findings:
    """Start everything, round by round."""
    found = Findings("start: how long the first look takes")
    times = int(context.pick(3, 10))
    bare: list[float] = []
    helped: list[float] = []
    imports: dict[str, list[float]] = {}
    starts = Starts()
    for name in IMPORTS:
        _wall_ms(sys.executable, "-c", f"import {name}")  # so that it is compiled
    for _ in context.each_round():
        for _ in range(times):
            bare.append(_wall_ms(sys.executable, "-c", "pass"))
            helped.append(_wall_ms(CHATRUN, "--help"))
        for name in IMPORTS:
            took = _wall_ms(sys.executable, "-c", f"import {name}")
            imports.setdefault(name, []).append(max(took - middle(bare), 0))
        starts.measure()
    found.at_most("chatrun --help", helped, 120, "ms")
    found.plain("an interpreter that does nothing", bare, "ms")
    loaded = _loaded_by_help()
    found.at_most(f"heavy packages that --help loads {_named(loaded)}", [len(loaded)], 0, "")
    starts.report(found)
    rows = [(name, number(round(middle(ms), 1))) for name, ms in imports.items()]
    found.tables.append(Table("imports, beyond an interpreter that does nothing", ("", "ms"), rows))
    _measure_install(found)
    return found


def _wall_ms(*command: str | Path) -> float:
    """Return how long a command takes that must succeed."""
    began = time.perf_counter()
    done = subprocess.run(list(map(str, command)), capture_output=True, env=environment())
    took_ms = (time.perf_counter() - began) * 1000
    if done.returncode:
        raise BenchFailed(f"`{command[0]}` failed: {done.stderr.decode()[-1000:]}")
    return took_ms


def _named(names: list[str]) -> str:
    return f"({', '.join(names)})" if names else ""


def _loaded_by_help() -> list[str]:
    """Return the heavy packages that are imported for `chatrun --help`."""
    command = [sys.executable, "-X", "importtime", "-m", "chatrun", "--help"]
    done = subprocess.run(command, capture_output=True, env=environment(), text=True)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    return [name for name in HEAVY if name in modules]


# --- ready to serve -----------------------------------------------------------------------------


class Starts:
    """Starts of `chatrun dev` on a project of one task."""

    def __init__(self) -> None:
        self._ready_ms: list[float] = []
        self._said_ms: list[float] = []
        self._answer_ms: list[float] = []

    def measure(self) -> None:
        """Start the server, wait until it is ready, ask it something."""
        with Serving({"tasks/chat.py": TASK}) as project:
            began_ns = project.server.started_ns
            self._ready_ms.append((project.ready_ns - began_ns) / 1e6)
            self._said_ms.append(project.ready["took_s"] * 1000)
            project.client().json("GET", "/api/v1/tasks")
            self._answer_ms.append((time.monotonic_ns() - began_ns) / 1e6)

    def report(self, found: Findings) -> None:
        """Add what was measured."""
        found.at_most("chatrun dev: ready line", self._ready_ms, 700, "ms")
        found.plain("chatrun dev: what its ready line says", self._said_ms, "ms")
        pairs = zip(self._ready_ms, self._said_ms, strict=True)
        found.at_most("… and how far that is off", [abs(a - b) for a, b in pairs], 50, "ms")
        found.plain("chatrun dev: first answer", self._answer_ms, "ms")


# --- what is installed --------------------------------------------------------------------------


def _measure_install(found: Findings) -> None:
    packages = _runtime_packages("chatrun")
    sizes = {name: _size_mb(name) for name in packages}
    beside = _runtime_packages("chatrun", without=LARGE)
    found.at_most("packages beside anthropic, openai and theirs", [len(beside)], 25, "")
    found.at_most("size of these", [sum(sizes[name] for name in beside)], 60, "MB")
    found.plain("packages of all", [len(packages)], "")
    found.plain("size of all", [sum(sizes.values())], "MB")
    largest = sorted(sizes, key=lambda name: -sizes[name])[:8]
    rows = [(name, number(round(sizes[name], 1))) for name in largest]
    found.tables.append(Table(f"the largest of {len(packages)} packages", ("", "MB"), rows))


def _runtime_packages(root: str, *, without: tuple[str, ...] = ()) -> list[str]:
    """Return what running `root` needs, itself included; not `without` and what only they need."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name not in found and name not in without:
            found.add(name)
            waiting += _needed_by(name)
    return sorted(found)


def _needed_by(package: str) -> list[str]:
    """Return what a package requires here, without extras."""
    requirements = [text.partition(";") for text in importlib.metadata.requires(package) or ()]
    names = [
        re.split(r"[ \[(<>=!~]", needed.strip(), maxsplit=1)[0]
        for needed, _, marker in requirements
        if _applies(marker)
    ]
    return [name.lower().replace("_", "-") for name in names]


def _applies(marker: str) -> bool:
    """Tell whether a requirement with this marker is one here; extras never are."""
    if not marker.strip():
        return True
    from packaging.markers import Marker

    return Marker(marker).evaluate({"extra": ""})


def _size_mb(name: str) -> float:
    """Return the size of a package's files, compiled ones included where they are there."""
    files = {Path(str(file.locate())) for file in importlib.metadata.files(name) or ()}
    if name == "chatrun":  # installed from where it stands
        files = set((Path(__file__).parents[2] / "chatrun").rglob("*.*"))
    files |= {
        Path(importlib.util.cache_from_source(str(file))) for file in files if file.suffix == ".py"
    }
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
