"""Requests to one server: tokens, new tries, and refusals as errors of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from chatrun.client.failures import refusal, unreachable
from chatrun.errors import AccessError, InvalidInput, LinkBroken, StoreUnavailable

if TYPE_CHECKING:
    from types import TracebackType

    from chatrun.client.bearers import Bearers
    from chatrun.client.timing import Timing

Headers = Mapping[str, str]
_NOTHING: Final = b"null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request that is safe to make again."""

    method: str
    path: str
    """With its query, encoded."""
    what: str
    """Completes "cannot ..." in errors."""
    ref: str | None = None
    """The session it concerns."""
    body: Mapping[str, object] | None = None
    headers: Headers | None = None


class Http:
    """One server's requests; an async context manager.

    Its methods raise:
        LinkBroken: The server cannot be reached.
        TokenInvalid, ScopeMissing: The token is not good for this; a new one was asked for.
        StoreUnavailable: The server cannot do it now.
    """

    def __init__(
        self, url: str, *, bearers: Bearers, timing: Timing, headers: Headers | None = None
    ) -> None:
        self.url = checked_url(url)
        """The server's address, without a slash at its end; it may change."""
        self._bearers = bearers
        self._timing = timing
        self._headers = dict(headers or {})
        self._session: aiohttp.ClientSession | None = None
        self._was_there = False

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, ask: Ask) -> dict[str, object]:
        """Make a request and return the JSON object in its answer.

        It is made again after a refusal of its token, if there is another; while a server that
        was there before is away; and some times while the server is overloaded.
        """
        clock = asyncio.get_running_loop().time
        gives_up, tries, renewals = clock() + self._timing.away_s, 0, 0
        bearer = await self._bearers.current(ask.ref)
        while True:
            try:
                return await self._ask_once(ask, bearer)
            except AccessError:
                renewals += 1
                other = await self._bearers.renewed(ask.ref, bearer) if renewals == 1 else None
                if other is None:
                    raise
                bearer = other
            except LinkBroken:
                if not self._was_there or clock() >= gives_up:
                    raise
                tries = await self._wait(tries)
            except StoreUnavailable:
                if tries >= self._timing.max_ends:
                    raise
                tries = await self._wait(tries)

    async def _wait(self, tries: int) -> int:
        await asyncio.sleep(self._timing.wait_s(tries + 1))
        return tries + 1

    async def _ask_once(self, ask: Ask, bearer: str) -> dict[str, object]:
        data = None if ask.body is None else orjson.dumps(ask.body)
        sent = self._sent(bearer, ask.headers)
        status, said = await self.exchange(ask.method, ask.path, headers=sent, data=data)
        if status >= 400:
            raise refusal(status, said, what=ask.what)
        return _parsed(said, ask.what)

    async def exchange(
        self, method: str, path: str, *, headers: Headers | None = None, data: bytes | None = None
    ) -> tuple[int, bytes]:
        """Make a request once, without a token of its own, and return status and body."""
        url = URL(self.url + path, encoded=True)
        try:
            async with asyncio.timeout(self._timing.request_s):
                request = self._opened().request(method, url, headers=headers, data=data)
                async with request as response:
                    said = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise unreachable(self.url, _reason(exc)) from exc
        self._was_there = True
        return response.status, said

    async def open_stream(self, ask: Ask) -> aiohttp.ClientResponse:
        """Open an event stream once, with another token if the first is refused."""
        bearer = await self._bearers.current(ask.ref)
        try:
            return await self._open_stream(ask, bearer)
        except AccessError:
            other = await self._bearers.renewed(ask.ref, bearer)
            if other is None:
                raise
        return await self._open_stream(ask, other)

    async def _open_stream(self, ask: Ask, bearer: str) -> aiohttp.ClientResponse:
        url = URL(self.url + ask.path, encoded=True)
        try:
            async with asyncio.timeout(self._timing.connect_s):
                response = await self._opened().get(url, headers=self._sent(bearer, ask.headers))
                if response.status == 200:
                    return _checked_stream(response, self.url)
                said = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise unreachable(self.url, _reason(exc)) from exc
        raise refusal(response.status, said, what=ask.what)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise InvalidInput("the client is not open: use it inside `async with`")
        return self._session

    def _sent(self, bearer: str, headers: Headers | None) -> dict[str, str]:
        own = {"content-type": "application/json", "authorization": f"Bearer {bearer}"}
        return {**self._headers, **own, **(headers or {})}


def path_of(root: str, ref: str, tail: str = "", **query: str | None) -> str:
    """Return the path of a session under `root`, encoded, with what of the query is not None."""
    return with_query(f"{root}/{quote(ref, safe='')}{tail}", query)


def with_query(path: str, query: Mapping[str, str | None]) -> str:
    """Return `path` with what of the query is not None, encoded."""
    pairs = [f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in query.items() if v is not None]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def checked_url(url: str) -> str:
    """Return `url` without a slash at its end.

    Raises:
        InvalidInput: It is not the address of a server.
    """
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise InvalidInput(f"{url!r} is no server's address: write it as http://localhost:2428")
    return url.rstrip("/")


def _checked_stream(response: aiohttp.ClientResponse, url: str) -> aiohttp.ClientResponse:
    if response.headers.get("x-stream-version") != "v2":
        response.close()
        raise InvalidInput(f"{url} answers, but does not speak the session protocol")
    return response


def _parsed(body: bytes, what: str) -> dict[str, object]:
    try:
        value = orjson.loads(body or _NOTHING)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput(f"cannot {what}: the answer is not one of a chatrun server")
    return value


def _reason(exc: BaseException) -> str:
    """Return why a server could not be reached; a refused connection needs no words."""
    cause = getattr(exc, "os_error", exc)
    if isinstance(cause, ConnectionRefusedError) or "Connect call failed" in str(exc):
        return ""
    if isinstance(exc, TimeoutError):
        return "it does not answer"
    return str(getattr(cause, "strerror", None) or exc or type(exc).__name__)
