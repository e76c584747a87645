"""The page at `/` in a real browser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chatrun import Turn, chat
from tests.support.browser import Browser, chromium
from tests.support.http import Http, scoped, served
from tests.support.npm import require_chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.npm, pytest.mark.browser]

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    @chat.task("echo")
    async def echo(turn: Turn[None]) -> AsyncIterator[str]:
        text = turn.ui_messages[-1]["parts"][0].get("text")
        yield f"{turn.number}: {text} "
        if text == "wait":
            await asyncio.Event().wait()
        yield "and more"

    async with served(echo) as http:
        yield http


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    require_chromium()
    async with chromium() as browser:
        yield browser


async def test_a_person_talks_to_a_task_stops_it_and_comes_back(
    http: Http, browser: Browser
) -> None:
    async with browser.page(f"{http.url}/#token={scoped('admin')}") as page:
        await page.sees("#task", "echo")
        await page.sees("form:has(#stop[hidden])", "")
        for text, answer in ((MARKUP, f"0: {MARKUP} and more"), ("wait", "1: wait")):
            await page.type(text, into="#text")
            await page.press("Enter")
            await page.sees("article.assistant p", answer)
        assert await page.evaluate("location.href") == f"{http.url}/"

        await page.reload()
        await page.sees("article.assistant p", "1: wait")
        await page.click("Stop")
        await page.sees("form:has(#stop[hidden])", "")
        await page.type("again", into="#text")
        await page.press("Enter")
        await page.sees("article.assistant p", "again and more")

        told = [text.strip() for text in await page.texts("article")]
        assert told == [MARKUP, f"0: {MARKUP} and more", "wait", "1: wait", "again"] + [
            "2: again and more"
        ]
        assert await page.problems() == []


async def test_without_its_token_the_page_says_what_to_do(http: Http, browser: Browser) -> None:
    async with browser.page(f"{http.url}/") as page:
        await page.sees("#notice", "open the URL that chatrun dev printed")
