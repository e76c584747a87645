"""The page at `/`: a few static files, read once, that hold nothing of anybody's chats.

It takes its token from the fragment of its URL, which browsers never send.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from chatrun.server.errors import HttpRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.server.routes import Call

FOLDER: Final = Path(__file__).parent / "console"

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}


class Page:
    """The files of the page, by name."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Page:
        """Return the page whose files are in `folder`."""
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        return cls({name: body for name, body in files.items() if Path(name).suffix in _TYPES})

    async def index(self, _call: Call) -> web.StreamResponse:
        """Return the page itself."""
        return self._file("index.html")

    async def file(self, call: Call) -> web.StreamResponse:
        """Return a file that the page refers to."""
        return self._file(call.path("file"))

    def _file(self, name: str) -> web.Response:
        body = self._files.get(name)
        if body is None:
            raise HttpRefused(404, "Not found")
        return web.Response(
            body=body,
            content_type=_TYPES[Path(name).suffix],
            charset="utf-8",
            headers=_HEADERS,
        )
