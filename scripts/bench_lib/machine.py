"""What processes use of the machine, and how steady the machine is meanwhile; Linux's /proc."""

from __future__ import annotations

import os
import resource
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SPIN = 200_000


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time since their start, in microseconds."""

    root_us: float = 0.0
    """Of the process itself."""
    below_us: float = 0.0
    """Of all that descend from it."""

    def since(self, earlier: Usage) -> Usage:
        """Return what was used since `earlier`."""
        return Usage(self.root_us - earlier.root_us, self.below_us - earlier.below_us)

    @property
    def all_us(self) -> float:
        """The whole tree's."""
        return self.root_us + self.below_us


def tree_usage(root: int) -> Usage:
    """Return the CPU time of a process tree; processes that have ended do not count."""
    below = sum(_cpu_us(pid) for pid in descendants(root))
    return Usage(_cpu_us(root), below)


def descendants(root: int) -> list[int]:
    """Return the processes that descend from `root`."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            parent = _stat(int(entry.name))
            if parent:
                children.setdefault(int(parent[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def rss_bytes(pid: int) -> int:
    """Return how much memory of the process is resident."""
    return int(_read(PROC / str(pid) / "statm").split()[1]) * PAGE_BYTES


def _cpu_us(pid: int) -> float:
    """Return the CPU time of all threads of a process, exact where the kernel tells it exactly."""
    found = [
        _read(PROC / str(pid) / "task" / thread / "schedstat").split()
        for thread in _names(PROC / str(pid) / "task")
    ]
    if found and all(found):
        return sum(int(fields[0]) for fields in found) / 1000
    stat = _stat(pid)
    return sum(map(int, stat[11:13])) / TICKS_A_SECOND * 1e6 if stat else 0.0


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name; none when the process has gone."""
    return _read(PROC / str(pid) / "stat").rpartition(")")[2].split()


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


class Noise:
    """How much others use the machine during a run, and how much a fixed piece of work varies."""

    def __init__(self) -> None:
        self._spins_ms: list[float] = []
        self._began = time.monotonic()
        self._busy_s, self._stolen_s = _machine_s()
        self._own_s = _own_s()

    def look(self) -> None:
        """Time the piece of work a few times; called between measurements."""
        for _ in range(3):
            began = time.perf_counter()
            sum(range(SPIN))
            self._spins_ms.append((time.perf_counter() - began) * 1000)

    def report(self) -> dict[str, float]:
        """Return what was seen since the beginning; call it when all measured processes ended."""
        elapsed_s = max(time.monotonic() - self._began, 0.001)
        busy_s, stolen_s = (
            now - then
            for now, then in zip(_machine_s(), (self._busy_s, self._stolen_s), strict=True)
        )
        cores = os.cpu_count() or 1
        spins = sorted(self._spins_ms) or [0.0]
        return {
            "cores": cores,
            "elapsed_s": round(elapsed_s, 1),
            "own_cores": round((_own_s() - self._own_s) / elapsed_s, 2),
            "others_cores": round(max(busy_s - (_own_s() - self._own_s), 0) / elapsed_s, 2),
            "stolen_cores": round(stolen_s / elapsed_s, 2),
            "load_1m": round(os.getloadavg()[0], 1),
            "same_work_slowest_to_median": round(spins[-1] / (statistics.median(spins) or 1), 2),
        }


def _machine_s() -> tuple[float, float]:
    """Return how long all cores were busy, and how long the hypervisor took them away."""
    fields = [int(text) for text in _read(PROC / "stat").partition("\n")[0].split()[1:9]]
    if len(fields) < 8:
        return 0.0, 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    busy = user + nice + system + irq + softirq
    return busy / TICKS_A_SECOND, steal / TICKS_A_SECOND


def _own_s() -> float:
    """Return the CPU time of this process and of those of its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(kind) for kind in kinds]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
