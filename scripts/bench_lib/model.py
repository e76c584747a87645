"""A fake OpenAI endpoint for chat completions, a process: `python -m bench_lib.model`.

The model's name says what it does: `paced-50-200` sends 200 tokens at 50 a second, the first at
once; `flat-30000` sends as many as the reader takes; `silent-x` sends one token and is silent from
then on. Every token is `@` and the microseconds of the monotonic clock at which it was sent, 15
digits: all processes of a machine share that clock, so a reader knows how old a token is.

`GET /closed/silent-x` answers, once that model's connection has closed, when it did.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
EVENT = (
    b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"bench",'
    b'"system_fingerprint":"fp_bench","choices":[{"index":0,"delta":%b,"logprobs":null,'
    b'"finish_reason":%b}]}\n\n'
)
BURST = 256
"""How many tokens of a flat answer are written at a time."""


def framed(data: bytes) -> bytes:
    """Return `data` as one piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


ROLE = framed(EVENT % (b'{"role":"assistant","content":""}', b"null"))
END = framed(EVENT % (b"{}", b'"stop"')) + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
_TOKEN_DATA = EVENT % (b'{"content":"@%015d "}', b"null")
TOKEN = b"%x\r\n%b\r\n" % (len(_TOKEN_DATA % 0), _TOKEN_DATA)


def now_us() -> int:
    """Return the monotonic clock, in microseconds."""
    return time.monotonic_ns() // 1000


class Endpoint(asyncio.Protocol):
    """One connection: a request at a time."""

    closed_at: dict[str, int] = {}
    waiting: dict[str, list[Endpoint]] = {}

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._request = bytearray()
        self._model = ""
        self._left = 0
        self._due_at = 0.0
        self._gap_s = 0.0
        self._flat = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio calls this."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Note when a silent model was left; asyncio calls this."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._model:
            self.closed_at[self._model] = now_us()
            for endpoint in self.waiting.pop(self._model, []):
                endpoint._tell_closed(self._model)

    def data_received(self, data: bytes) -> None:
        """Collect a request and answer it; asyncio calls this."""
        self._request += data
        head, found, body = bytes(self._request).partition(b"\r\n\r\n")
        if not found or len(body) < _content_length(head):
            return
        self._request.clear()
        path = head.split(b" ", 2)[1].decode()
        if path.startswith("/closed/"):
            self._when_closed(path.removeprefix("/closed/"))
        else:
            self._answer(json.loads(body)["model"])

    # --- when a connection was closed -------------------------------------------------------

    def _when_closed(self, model: str) -> None:
        if model in self.closed_at:
            self._tell_closed(model)
        else:
            self.waiting.setdefault(model, []).append(self)

    def _tell_closed(self, model: str) -> None:
        body = json.dumps({"at_us": self.closed_at[model]}).encode()
        self._write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    # --- answers ----------------------------------------------------------------------------

    def _answer(self, model: str) -> None:
        kind, _, rest = model.partition("-")
        if kind == "silent":
            self._model = model
            self._write(HEAD + ROLE + TOKEN % now_us())
        elif kind == "flat":
            self._left, self._flat = int(rest), True
            self._write(HEAD + ROLE)
            self._pour()
        else:
            rate, count = map(int, rest.split("-"))
            self._left, self._gap_s, self._due_at = count - 1, 1 / rate, self._loop.time()
            self._write(HEAD + ROLE + TOKEN % now_us())
            self._next()

    def _next(self) -> None:
        if not self._left:
            self._write(END)
            return
        self._due_at += self._gap_s
        self._timer = self._loop.call_at(self._due_at, self._tick)

    def _tick(self) -> None:
        self._left -= 1
        self._write(TOKEN % now_us())
        self._next()

    def _pour(self) -> None:
        """Write as much of a flat answer as the reader takes."""
        while self._left and not self._paused and self._transport is not None:
            count = min(BURST, self._left)
            self._left -= count
            self._write(TOKEN % now_us() * count)
        if not self._left and self._flat:
            self._flat = False
            self._write(END)

    def pause_writing(self) -> None:
        """Wait for the reader; asyncio calls this."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on; asyncio calls this."""
        self._paused = False
        self._loop.call_soon(self._pour)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


async def main() -> None:
    """Serve on a free port of loopback and print the address, until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Endpoint, "127.0.0.1", 0, backlog=2048)
    port = server.sockets[0].getsockname()[1]
    gc.freeze()
    gc.disable()  # a collection would delay the tokens of everybody
    print(f"http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
