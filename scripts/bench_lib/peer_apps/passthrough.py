"""The least that can be done with aiohttp: pass the model's bytes on, or write tokens of its own.

`POST /api/chat` asks the model and passes on what it sends, `POST /paced` writes paced tokens
without asking anyone: what writing server-sent events costs by itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from aiohttp import ClientSession, TCPConnector, web

URL = os.environ["BENCH_MODEL_URL"]
HEADERS = {"content-type": "text/event-stream", "cache-control": "no-cache"}
SESSION = web.AppKey("session", ClientSession)


async def model_of(request: web.Request) -> str:
    """Return the text of the last message, which names the model."""
    body = await request.json()
    text: str = body["messages"][-1]["parts"][0]["text"]
    return text


async def chat(request: web.Request) -> web.StreamResponse:
    """Ask the model and pass on its bytes."""
    model = await model_of(request)
    body = {"model": model, "messages": [{"role": "user", "content": model}], "stream": True}
    response = web.StreamResponse(headers=HEADERS)
    url = f"{URL}/v1/chat/completions"
    async with request.app[SESSION].post(url, json=body) as upstream:
        await response.prepare(request)
        async for data in upstream.content.iter_any():
            await response.write(data)
    return response


async def paced(request: web.Request) -> web.StreamResponse:
    """Write tokens as the model would."""
    _, rate, count = (await model_of(request)).split("-")
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    due_at = loop.time()
    for _ in range(int(count)):
        stamp = time.monotonic_ns() // 1000
        chunk = b'data: {"type":"text-delta","id":"0","delta":"@%015d "}\n\n' % stamp
        await response.write(chunk)
        due_at += 1 / int(rate)
        await asyncio.sleep(due_at - loop.time())
    await response.write(b"data: [DONE]\n\n")
    return response


async def main(port: int) -> None:
    """Serve until the process is ended."""
    app = web.Application()
    app.add_routes([web.post("/api/chat", chat), web.post("/paced", paced)])
    async with ClientSession(connector=TCPConnector(limit=0)) as app[SESSION]:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
