"""Programs driven by JSON lines: calls on stdin, answers on stdout (tests/npm/drive/rpc.mjs)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WAIT_S = 15.0
LINE_LIMIT_BYTES = 64 * 1024 * 1024


class CallFailed(Exception):
    """The call was made and threw; the attributes are those of the JavaScript error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.name: str | None = error.get("name")
        self.status: int | None = error.get("status")
        self.code: str | None = error.get("code")


class Program:
    """A running program; any number of calls may be under way at once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def call(self, method: str, **params: Any) -> Any:
        """Return what `method` returns.

        Raises:
            CallFailed: It threw.
            TimeoutError: It did not return within `WAIT_S`.
        """
        assert self._process.stdin is not None
        call_id = next(self._ids)
        answer = self._waiting[call_id] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": call_id, "method": method, "params": params})
        try:
            self._process.stdin.write(line.encode() + b"\n")
            async with asyncio.timeout(WAIT_S):
                return await answer
        finally:
            del self._waiting[call_id]

    async def read_answers(self) -> None:
        """Hand out answers until the program ends; calls still waiting then fail."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            waiting = self._waiting.get(answer["id"])
            if waiting is None or waiting.done():
                continue
            if "error" in answer:
                waiting.set_exception(CallFailed(answer["error"]))
            else:
                waiting.set_result(answer["result"])
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the program ended"))


@asynccontextmanager
async def program(*command: str | Path) -> AsyncIterator[Program]:
    """Run `command`, a program that answers JSON lines; leaving ends it by closing its stdin."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT_BYTES,
    )
    assert process.stdin is not None
    running = Program(process)
    reading = asyncio.create_task(running.read_answers())
    try:
        yield running
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await reading
