"""A real `chatrun dev` on a project folder that the test wrote."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

READY_S = 20.0
LEAVING_S = 10.0
CHATRUN = Path(sys.executable).with_name("chatrun")


class DevServer:
    """A `chatrun dev` process; `url` and `secret` are known once it has said that it is ready."""

    def __init__(self, folder: Path, args: Sequence[str], env: Mapping[str, str]) -> None:
        self.folder = folder
        self.url = ""
        self.secret = ""
        self.events: list[dict[str, Any]] = []
        """What it printed, oldest first, of every life."""
        self.log = ""
        """What it wrote to stderr, of every life."""
        self._args = args
        self._env = env
        self._news = asyncio.Condition()
        self._lives: list[asyncio.subprocess.Process] = []
        self._reading: list[asyncio.Task[None]] = []

    @property
    def pid(self) -> int:
        """The number of the server process."""
        return self._lives[-1].pid

    def write(self, path: str, text: str) -> Path:
        """Save a file of the project, as an editor does; return where it is."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    async def start(self, *, port: int = 0) -> None:
        """Start the server and return when it is ready."""
        process = await asyncio.create_subprocess_exec(
            CHATRUN,
            "dev",
            self.folder,
            *("--port", str(port), "--json"),
            *self._args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**clean_environment(), **self._env},
            start_new_session=True,  # so that its workers can be found and ended with it
        )
        self._lives.append(process)
        self._reading += [
            asyncio.create_task(self._read_events(process)),
            asyncio.create_task(self._read_log(process)),
        ]
        ready = await self.event("ready", nth=sum(e["event"] == "ready" for e in self.events))
        self.url = ready["url"]
        self.secret = self._env.get("CHATRUN_SECRET_KEY") or self._own_secret()

    def _own_secret(self) -> str:
        return (self.folder / ".chatrun/secret").read_text(encoding="utf-8").strip()

    async def start_again(self) -> None:
        """Start a server that has ended once more: same folder, same port."""
        await self.start(port=int(self.url.rpartition(":")[2]))

    async def event(self, kind: str, *, nth: int = 0, wait_s: float = READY_S) -> dict[str, Any]:
        """Return the nth event of a kind, waiting for it if need be.

        Raises:
            AssertionError: The server ended, or the time passed, without it.
        """

        def found() -> dict[str, Any] | None:
            of_kind = [event for event in self.events if event["event"] == kind]
            return of_kind[nth] if len(of_kind) > nth else None

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s), self._news:
                await self._news.wait_for(lambda: found() is not None or self._ended())
        event = found()
        assert event is not None, f"no {kind!r} event; it printed {self.events} and {self.log}"
        return event

    async def kill9(self) -> None:
        """Kill the server process as the kernel would, and wait until it is gone."""
        self._lives[-1].kill()
        await self._lives[-1].wait()

    async def terminate(self) -> int:
        """Ask the server to end (SIGTERM); return its exit code."""
        self._lives[-1].terminate()
        async with asyncio.timeout(LEAVING_S):
            return await self._lives[-1].wait()

    async def aclose(self) -> None:
        """End the server and whatever its lives left behind."""
        try:
            if self._lives and self._lives[-1].returncode is None:
                await self.terminate()
        finally:
            for process in self._lives:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            await asyncio.gather(*self._reading)

    def _ended(self) -> bool:
        stdout = self._lives[-1].stdout
        return stdout is not None and stdout.at_eof()

    async def _read_events(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            async with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.log += line.decode(errors="replace")


def clean_environment() -> dict[str, str]:
    """Return this environment without what would change how chatrun runs."""
    # Byte code is kept: without it each server would compile everything again.
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CHATRUN_", "PYTHON")) and not name.endswith("_API_KEY")
    }


@asynccontextmanager
async def dev_server(
    files: Mapping[str, str],
    *,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[DevServer]:
    """Run `chatrun dev` on a new folder with these files, on a free port; leaving ends it."""
    with tempfile.TemporaryDirectory(prefix="chatrun-") as folder:
        server = DevServer(Path(folder), args, env or {})
        for path, text in files.items():
            server.write(path, text)
        try:
            await server.start()
            yield server
        finally:
            await server.aclose()
