"""Which token goes with a request."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

TokenSource = Callable[[], str | Awaitable[str]]
"""Gives an access token; asked for another when the server refuses one."""


class Bearers:
    """The server's secret, or a token and the fresh ones that the server sends for sessions."""

    def __init__(self, secret: str | None, token: str | TokenSource | None) -> None:
        self._secret = secret
        self._source: TokenSource = token if callable(token) else lambda: token or ""
        self._fresh: dict[str, str] = {}

    def adopt(self, ref: str, token: str | None) -> None:
        """Use `token`, which the server sent for this session, from now on.

        A secret stays in use: it may do everything a token may.
        """
        if token and self._secret is None:
            self._fresh[ref] = token

    def fresh(self, ref: str) -> str | None:
        """Return the token that the server sent last for this session."""
        return self._fresh.get(ref)

    async def current(self, ref: str | None) -> str:
        """Return what to present for a session, or for what concerns none."""
        if self._secret is not None:
            return self._secret
        if ref in self._fresh:
            return self._fresh[ref]
        given = self._source()
        return await given if inspect.isawaitable(given) else given

    async def renewed(self, ref: str | None, refused: str) -> str | None:
        """Return another token than the refused one, None where there is none."""
        if ref is not None:
            self._fresh.pop(ref, None)
        bearer = await self.current(ref)
        return bearer if bearer != refused else None
