"""Finds the server that a command speaks to, or starts one for as long as the command runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chatrun.cli.secret import find_secret
from chatrun.client.server_file import read_server_file
from chatrun.client.timing import Timing
from chatrun.client.transport import Transport
from chatrun.config import read_environ
from chatrun.errors import WorkerFailed
from chatrun.wire.secret import open_private_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

READY_S: Final = 30.0
ENDING_S: Final = 5.0
LOG: Final = "dev.log"
_PROBE: Final = Timing(request_s=2.0)


@dataclass(frozen=True, slots=True)
class Server:
    """A server, and what opens it."""

    url: str
    secret: str | None = None
    token: str | None = None
    is_own: bool = False
    """Whether it was started for this command and ends with it."""

    def transport(self, timing: Timing | None = None) -> Transport:
        """Return a connection to it."""
        return Transport(self.url, secret=self.secret, token=self.token, timing=timing)


@asynccontextmanager
async def reach_server(
    folder: Path, *, url: str | None, token: str | None
) -> AsyncIterator[Server]:
    """Yield the server that `find_server` finds, else one that is started and ends with the block.

    Raises:
        WorkerFailed: None runs, and none could be started.
        SecretMissing: There is neither a token nor a secret.
    """
    server = await find_server(folder, url=url, token=token)
    if server is not None:
        yield server
        return
    async with _own_server(folder) as address:
        yield Server(address, secret=find_secret(folder), is_own=True)


async def find_server(folder: Path, *, url: str | None, token: str | None) -> Server | None:
    """Return the server at `url`, else at `CHATRUN_URL`, else the one of `folder` if it answers.

    It is opened with `token`, else with the secret of `folder`.

    Raises:
        SecretMissing: There is neither.
    """
    address = await find_address(folder, url=url)
    if address is None:
        return None
    return Server(address, secret=None if token else find_secret(folder), token=token)


async def find_address(folder: Path, *, url: str | None) -> str | None:
    """Return where that server is; None when none is named and none answers for `folder`."""
    named = url or read_environ(folder).get("CHATRUN_URL")
    if named is not None:
        return named
    running = read_server_file(folder)
    return running.url if running is not None and await answers(running.url) else None


async def answers(url: str) -> bool:
    """Tell whether a server answers at `url` within two seconds."""
    async with Transport(url, timing=_PROBE) as transport:
        return await transport.is_healthy()


@asynccontextmanager
async def _own_server(folder: Path) -> AsyncIterator[str]:
    """Run `chatrun dev` on a free port within the block; yield its address when it is ready."""
    log = open_private_folder(folder) / LOG
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chatrun", "dev", str(folder)),
            *("--port", "0", "--json", "--until-eof"),
            # It ends when this end of the pipe is closed, however this process ends.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C is not meant for it
        )
    draining = None
    try:
        address = await _wait_until_ready(process, log)
        draining = asyncio.create_task(_drain(process))
        yield address
    finally:
        await _end(process)
        if draining is not None:
            await draining


async def _wait_until_ready(process: asyncio.subprocess.Process, log: Path) -> str:
    try:
        async with asyncio.timeout(READY_S):
            async for event in _events(process):
                if event.get("event") == "ready":
                    return str(event["url"])
    except TimeoutError:
        raise WorkerFailed(f"`chatrun dev` is not ready after {READY_S:g} s; see {log}") from None
    raise WorkerFailed(f"`chatrun dev` could not start: {_last_line(log)}")


async def _events(process: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    async for line in process.stdout:
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


async def _drain(process: asyncio.subprocess.Process) -> None:
    async for _ in _events(process):
        pass


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(ENDING_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            return lines[-1].removeprefix("chatrun: ")
    return f"see {log}"
