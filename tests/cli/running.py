"""Runs the `chatrun` command to its end."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.server import clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WAIT_S = 30.0


@dataclass(frozen=True)
class Ran:
    """What a command left."""

    code: int
    out: str
    err: str


async def chatrun(
    *args: str, folder: Path, piped: str = "", env: Mapping[str, str] | None = None
) -> Ran:
    """Run `chatrun` with `args` in `folder`, `piped` being its standard input."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatrun", *args),
        cwd=folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**clean_environment(), **(env or {})},
    )
    async with asyncio.timeout(WAIT_S):
        out, err = await process.communicate(piped.encode())
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())
