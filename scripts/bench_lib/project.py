"""The project under test: tasks in a folder of their own, served by a real `chatrun dev`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_lib.client import Client, text_of
from bench_lib.processes import BenchFailed, Child

if TYPE_CHECKING:
    from collections.abc import Mapping

CHATRUN = Path(sys.executable).with_name("chatrun")

TASKS = '''\
"""What the benchmarks ask: the user's text names the model, and that what the model does."""

import asyncio
import os
import time

from chatrun import OpenAI, Turn, chat, stream_text

URL = os.environ["BENCH_MODEL_URL"]


def answer(turn: Turn):
    return stream_text(OpenAI(turn.text, base_url=URL, api_key="bench"))


@chat.task("bench", idle_timeout="1h")
async def bench(turn: Turn):
    return answer(turn)


@chat.task("placed")
async def placed(turn: Turn):
    """Tell first which worker this is."""
    yield {"type": "data-worker", "data": os.getpid()}
    yield answer(turn)


@chat.task("blocking")
async def blocking(turn: Turn):
    """Block the loop for 50 of every 200 ms, for as many seconds as the text says."""
    yield {"type": "data-worker", "data": os.getpid()}
    ends_at = time.monotonic() + float(turn.text)
    while time.monotonic() < ends_at:
        time.sleep(0.05)
        await asyncio.sleep(0.15)
        yield "."


@chat.task("stubborn")
async def stubborn(turn: Turn):
    """Swallow cancellation for as long as it can."""
    yield "begun"
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


@chat.task("brief")
async def brief(turn: Turn):
    """Answer at once; the run ends right behind."""
    turn.end_run()
    return "ok"


@chat.task("suspended", idle_timeout=0.05)
async def suspended(turn: Turn):
    """Answer at once; the run is suspended right behind."""
    return "ok"


@chat.task("lasting", idle_timeout="1h", max_turns=100_000)
async def lasting(turn: Turn):
    """Answer at once; the run goes on."""
    return "ok"
'''


class Project:
    """A folder with tasks, and the `chatrun dev` that serves it."""

    def __init__(self, folder: Path, server: Child) -> None:
        self.folder = folder
        self.server = server
        self.ready_ns, self.ready = ready_event(server)
        """When the server said that it was ready, and what it said."""
        self.url: str = self.ready["url"].replace("localhost", "127.0.0.1")
        secret = folder / ".chatrun/secret"
        self.secret = secret.read_text(encoding="utf-8").strip()

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.server.pid

    def client(self) -> Client:
        """Return a new client of the server, which may do everything."""
        return Client(self.url, self.secret)

    def ask(self, task: str, key: str, text: str, number: int = 0) -> str:
        """Say something in a chat and return the answer's text."""
        client = self.client()
        try:
            return text_of(client.chat(task, key, text, number))
        finally:
            client.close()


class Serving:
    """Writes a project and serves it for as long as the context is open."""

    def __init__(self, files: Mapping[str, str], *args: str, model_url: str = "") -> None:
        self._files = files
        self._args = args
        self._env = {"BENCH_MODEL_URL": f"{model_url}/v1"}
        self._folder = tempfile.TemporaryDirectory(prefix="chatrun-bench-")
        self._server: Child | None = None

    def __enter__(self) -> Project:
        folder = Path(self._folder.name)
        for name, text in self._files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        command: list[str | Path] = [CHATRUN, "dev", folder, "--port", "0", "--json", *self._args]
        self._server = Child(command, env=self._env)
        try:
            return Project(folder, self._server)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._folder.cleanup()


def ready_event(server: Child) -> tuple[int, dict[str, Any]]:
    """Wait until a `chatrun dev --json` says that it is ready; return when, and what it says.

    Raises:
        BenchFailed: A file of the project cannot be imported, or the server ended.
    """
    while True:
        at_ns, line = server.timed_line()
        event: dict[str, Any] = json.loads(line)
        if event["event"] == "ready":
            return at_ns, event
        if event["event"] == "file-broken":
            raise BenchFailed(f"the tasks to measure cannot be imported: {event}")
