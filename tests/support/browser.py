"""A real chromium, driven through playwright-core (tests/npm/browser.mjs)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.support.lines import program
from tests.support.npm import FOLDER, require_chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.lines import Program


class Page:
    """One tab with a storage of its own."""

    def __init__(self, program: Program, name: str) -> None:
        self._program = program
        self._name = name

    async def _do(self, method: str, **params: Any) -> Any:
        return await self._program.call(method, name=self._name, **params)

    async def reload(self) -> None:
        """Load the page again, as F5 does."""
        await self._do("reload")

    async def type(self, text: str, *, into: str = "input") -> None:
        """Type `text` into the field that the selector names."""
        await self._do("type", text=text, into=into)

    async def press(self, key: str) -> None:
        """Press a key, such as `Enter`."""
        await self._do("press", key=key)

    async def click(self, button: str) -> None:
        """Click the button with this label."""
        await self._do("click", button=button)

    async def texts(self, selector: str) -> list[str]:
        """Return the visible text of every element that the selector names."""
        texts: list[str] = await self._do("texts", selector=selector)
        return texts

    async def sees(self, selector: str, text: str) -> None:
        """Wait until the last element that the selector names contains `text`."""
        await self._do("sees", selector=selector, text=text)

    async def evaluate(self, script: str) -> Any:
        """Return what a JavaScript expression gives in the page."""
        return await self._do("evaluate", script=script)

    async def screenshot(self, path: Path) -> None:
        """Save what the page looks like as a PNG file."""
        await self._do("screenshot", path=str(path))

    async def problems(self) -> list[str]:
        """Return what the console complained of: errors, uncaught exceptions, refused requests."""
        problems: list[str] = await self._do("problems")
        return problems


class Browser:
    """A running chromium."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._names = (f"page-{number}" for number in count())

    @asynccontextmanager
    async def page(self, url: str) -> AsyncIterator[Page]:
        """Open a tab; leaving closes it and forgets its storage."""
        name = next(self._names)
        await self._program.call("open", name=name, url=url)
        try:
            yield Page(self._program, name)
        finally:
            await self._program.call("close", name=name)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start a headless chromium; skip or fail where it is missing."""
    executable = require_chromium()
    async with program("node", FOLDER / "browser.mjs", executable) as running:
        yield Browser(running)
