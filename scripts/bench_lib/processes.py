"""Processes that a benchmark starts, and ends again."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

READY_S = 60.0
LEAVING_S = 10.0
SCRIPTS = Path(__file__).resolve().parent.parent


Command = Sequence[str | Path]


class BenchFailed(Exception):
    """A benchmark cannot be run; the message says why."""


class Child:
    """A process of ours, whose standard output is read line by line."""

    def __init__(self, command: Command, *, env: Mapping[str, str] | None = None) -> None:
        self._log = tempfile.TemporaryFile()
        self._lines: queue.SimpleQueue[tuple[int, str] | None] = queue.SimpleQueue()
        self.started_ns = time.monotonic_ns()
        self._command = list(map(str, command))
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(env or {}),
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def tell(self, text: str) -> None:
        """Write `text` to its standard input and close that."""
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.close()

    def line(self, *, wait_s: float = READY_S) -> str:
        """Return its next line.

        Raises:
            BenchFailed: It ended, or said nothing for `wait_s` seconds.
        """
        return self.timed_line(wait_s=wait_s)[1]

    def timed_line(self, *, wait_s: float = READY_S) -> tuple[int, str]:
        """Return when its next line came, on the monotonic clock in nanoseconds, and the line."""
        try:
            found = self._lines.get(timeout=wait_s)
        except queue.Empty:
            found = None
        if found is None:
            name = " ".join(self._command)
            raise BenchFailed(f"`{name[:200]}` ended or fell silent:\n{self.errors()}")
        return found

    def errors(self) -> str:
        """Return the end of what it wrote to its standard error."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]

    def close(self) -> None:
        """End it, and what it has left behind."""
        self._process.terminate()
        try:
            self._process.wait(LEAVING_S)
        except subprocess.TimeoutExpired:
            pass
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(LEAVING_S)
        self._reader.join(LEAVING_S)
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put((time.monotonic_ns(), line.rstrip("\n")))
        self._lines.put(None)


def environment(more: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Return this environment without what would change what is measured.

    PYTHONDONTWRITEBYTECODE is one of these: where it is set, every start compiles everything.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHATRUN_", "PYTHON", "OPENAI_")) and not name.endswith("_API_KEY")
    }
    return {**kept, **dict(more)}


def own_module(name: str, *args: str, python: str | Path = sys.executable) -> Child:
    """Start a module of this folder's package as a process."""
    return Child([python, "-m", f"bench_lib.{name}", *args], env={"PYTHONPATH": str(SCRIPTS)})
