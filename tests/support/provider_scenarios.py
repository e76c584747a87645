"""What the fake provider answers: a scenario for each model name, on every wire.

A scenario is an `async def` that writes one answer to an `Exchange`; returning ends the body as
HTTP wants it. A test may add scenarios of its own with `FakeProvider.on`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tests.support.provider_wires import Call

if TYPE_CHECKING:
    from tests.support.provider import Exchange

Scenario = Callable[["Exchange"], Awaitable[None]]

HELLO = ("Hel", "lo, ", "wörld ", "👋🏽", "!")
MINUTE_S = 60.0


async def _text(exchange: Exchange, pieces: tuple[str, ...] = HELLO) -> None:
    wire = exchange.wire
    await exchange.send(wire.open() + wire.begin_text())
    for piece in pieces:
        await exchange.send(wire.text(piece))
    await exchange.send(wire.end_text() + wire.close())


async def ok(exchange: Exchange) -> None:
    """Answer with a few words."""
    await _text(exchange)


async def thinking(exchange: Exchange) -> None:
    """Reason first, then answer."""
    wire = exchange.wire
    await exchange.send(wire.open() + wire.reason("Let me ", "think.") + wire.begin_text())
    await exchange.send(wire.text("Done.") + wire.end_text() + wire.close())


async def tools(exchange: Exchange) -> None:
    """Call each tool of the request once, side by side; answer once their results are in."""
    results = exchange.seen.results()
    if results:
        return await _text(exchange, ("Results: ", "; ".join(results)))
    wire = exchange.wire
    calls = [
        Call(f"call_{index}", name, ('{"city"', ': "Pa', 'ris"}'))
        for index, name in enumerate(exchange.seen.tools())
    ]
    await exchange.send(wire.open() + b"".join(wire.call(call) for call in calls))
    await exchange.send(wire.close("tool-calls"))


async def bad_input(exchange: Exchange) -> None:
    """Call the first tool with an input that is no JSON, then say what it was told."""
    results = exchange.seen.results()
    if results:
        return await _text(exchange, ("Told: ", results[-1]))
    wire = exchange.wire
    call = Call("call_0", exchange.seen.tools()[0], ('{"city": ', "Par"))
    await exchange.send(wire.open() + wire.call(call) + wire.close("tool-calls"))


async def length(exchange: Exchange) -> None:
    """Run out of tokens in the middle of a sentence."""
    wire = exchange.wire
    head = wire.open() + wire.begin_text() + wire.text("It was a dark and")
    await exchange.send(head + wire.end_text() + wire.close("length"))


async def refusal(exchange: Exchange) -> None:
    """Refuse with an empty answer."""
    wire = exchange.wire
    head = wire.open() + wire.begin_text() + wire.end_text()
    await exchange.send(head + wire.close("content-filter"))


async def echo(exchange: Exchange) -> None:
    """Repeat what the user said last."""
    await _text(exchange, ("You said: ", exchange.seen.last_user_text()))


async def noise(exchange: Exchange) -> None:
    """Answer between pings, comments and events nobody has heard of."""
    wire = exchange.wire
    await exchange.send(wire.noise() + wire.open() + wire.noise())
    await exchange.send(wire.begin_text() + wire.text("Hel"))
    await exchange.send(b": a comment\n\n" + wire.text("lo") + wire.end_text())
    await exchange.send(wire.noise() + wire.close())


async def huge(exchange: Exchange) -> None:
    """Answer with one fragment of a megabyte."""
    await _text(exchange, ("x" * 1_000_000,))


async def crlf(exchange: Exchange) -> None:
    """Answer with CRLF line ends."""
    exchange.rewrite = lambda frame: [frame.replace(b"\n", b"\r\n")]
    await _text(exchange)


async def bytewise(exchange: Exchange) -> None:
    """Answer one byte at a time, so that every character and line end is torn apart."""
    exchange.rewrite = lambda frame: [bytes([byte]) for byte in frame]
    await _text(exchange)


async def hang(exchange: Exchange) -> None:
    """Say a word, then nothing until the client has gone."""
    wire = exchange.wire
    await exchange.send(wire.open() + wire.begin_text() + wire.text("Hel"))
    await exchange.gone()


async def pings(exchange: Exchange) -> None:
    """Say a word, then send pings and comments only until the client has gone."""
    wire = exchange.wire
    await exchange.send(wire.open() + wire.begin_text() + wire.text("Hel"))
    while True:
        await exchange.send(wire.beat())
        await asyncio.sleep(0.02)


async def no_headers(exchange: Exchange) -> None:
    """Take the request and send nothing at all until the client has gone."""
    await exchange.gone()


async def slow_headers(exchange: Exchange) -> None:
    """Let the client wait a little for the headers."""
    await asyncio.sleep(0.1)
    await _text(exchange)


async def overloaded(exchange: Exchange) -> None:
    """Say a word, then fail in mid-stream."""
    wire = exchange.wire
    await exchange.send(wire.open() + wire.begin_text() + wire.text("Hel") + wire.failure())


async def overloaded_at_once(exchange: Exchange) -> None:
    """Fail in mid-stream before any content, the first time; answer from the second on."""
    if exchange.attempt > 1:
        return await _text(exchange)
    await exchange.send(exchange.wire.open() + exchange.wire.failure())


async def tcp_cut(exchange: Exchange) -> None:
    """Say a word, then reset the connection."""
    wire = exchange.wire
    await exchange.send(wire.open() + wire.begin_text() + wire.text("Hel"))
    exchange.cut()


async def clean_cut(exchange: Exchange) -> None:
    """Say a word, then end the body as if that were all."""
    wire = exchange.wire
    await exchange.send(wire.open() + wire.begin_text() + wire.text("Hel"))


async def empty(exchange: Exchange) -> None:
    """End the body at once."""
    await exchange.send(b"")


NAMED: dict[str, Scenario] = {
    function.__name__.replace("_", "-"): function
    for function in (
        ok, thinking, tools, bad_input, length, refusal, echo, noise, huge, crlf, bytewise, hang,
        pings, no_headers, slow_headers, overloaded, overloaded_at_once, tcp_cut, clean_cut, empty,
    )
}  # fmt: skip


def status(code: int, *, until_attempt: int | None = None) -> Scenario:
    """Answer with an HTTP error; from `until_attempt` on, answer well."""

    async def scenario(exchange: Exchange) -> None:
        if until_attempt is not None and exchange.attempt >= until_attempt:
            return await _text(exchange)
        await exchange.refuse(code)

    return scenario


def paced(count: int, pause_s: float, *, stamped: bool = False) -> Scenario:
    """Answer with `count` tokens, `pause_s` apart; `stamped` tokens carry their time in ns."""

    async def scenario(exchange: Exchange) -> None:
        wire = exchange.wire
        await exchange.send(wire.open() + wire.begin_text())
        begun = time.monotonic()
        for number in range(count):
            token = f"{time.time_ns()} " if stamped else f"token{number} "
            await exchange.send(wire.text(token))
            await asyncio.sleep(max(0.0, begun + (number + 1) * pause_s - time.monotonic()))
        await exchange.send(wire.end_text() + wire.close())

    return scenario


def flat_out(count: int) -> Scenario:
    """Answer with `count` tokens as fast as the connection takes them."""

    async def scenario(exchange: Exchange) -> None:
        wire = exchange.wire
        await exchange.send(wire.open() + wire.begin_text())
        for start in range(0, count, 50):
            tokens = range(start, min(start + 50, count))
            await exchange.send(b"".join(wire.text(f"token{number} ") for number in tokens))
        await exchange.send(wire.end_text() + wire.close())

    return scenario


_PATTERNS: list[tuple[str, Callable[[re.Match[str]], Scenario]]] = [
    (r"(?:paced|stamped)-(\d+)x(\d+(?:\.\d+)?)ms", lambda match: paced(
        int(match[1]), float(match[2]) / 1000, stamped=match[0].startswith("stamped"))),
    (r"flat-(\d+)", lambda match: flat_out(int(match[1]))),
    (r"status-(\d{3})", lambda match: status(int(match[1]))),
    (r"retry-(\d{3})", lambda match: status(int(match[1]), until_attempt=2)),
]  # fmt: skip


def scenario_for(model: str) -> Scenario | None:
    """Return the built-in scenario of this model name, or None."""
    if model in NAMED:
        return NAMED[model]
    for pattern, build in _PATTERNS:
        if match := re.fullmatch(pattern, model):
            return build(match)
    return None


def error_body(code: int, message: str, *, anthropic: bool) -> dict[str, Any]:
    """Return the body of an HTTP error as the provider would word it."""
    kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
    kinds |= {429: "rate_limit_error", 529: "overloaded_error"}
    kind = kinds.get(code, "api_error")
    if anthropic:
        error = {"type": kind, "message": message}
        return {"type": "error", "error": error, "request_id": "req_1"}
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def last_text(content: object) -> str:
    """Return the text of a message's content, whatever the wire wraps it in."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return json.dumps(content)
    texts = [part.get("text", "") for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))
