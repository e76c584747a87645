"""What many write by hand: FastAPI, the `openai` package, a chunk for each token."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

app = FastAPI()
client = AsyncOpenAI(base_url=f"{os.environ['BENCH_MODEL_URL']}/v1", api_key="bench")


async def answer(model: str) -> AsyncIterator[str]:
    """Yield the model's answer as the AI SDK's chunks."""
    messages: Any = [{"role": "user", "content": model}]
    stream = await client.chat.completions.create(model=model, messages=messages, stream=True)
    yield 'data: {"type":"start"}\n\ndata: {"type":"text-start","id":"0"}\n\n'
    async for event in stream:
        text = event.choices[0].delta.content if event.choices else None
        if text:
            chunk = {"type": "text-delta", "id": "0", "delta": text}
            yield f"data: {json.dumps(chunk)}\n\n"
    yield 'data: {"type":"text-end","id":"0"}\n\ndata: {"type":"finish"}\n\ndata: [DONE]\n\n'


@app.post("/api/chat")
async def chat(body: dict[str, Any]) -> StreamingResponse:
    """Answer the last message, whose text names the model."""
    model = body["messages"][-1]["parts"][0]["text"]
    return StreamingResponse(answer(model), media_type="text/event-stream")
