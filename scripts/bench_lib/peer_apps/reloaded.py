"""The least app that streams, for `uvicorn --reload`; the benchmark saves it with other words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

VERSION = "v0"

app = FastAPI()


async def slowly(count: int) -> AsyncIterator[str]:
    """Say the version again and again."""
    for _ in range(count):
        yield f"{VERSION} "
        await asyncio.sleep(0.02)


@app.get("/version")
async def version() -> str:
    """Return the version of the code."""
    return VERSION


@app.get("/stream/{count}")
async def stream(count: int) -> StreamingResponse:
    """Stream for as long as it takes."""
    return StreamingResponse(slowly(count), media_type="text/plain")
