"""React pages in a real browser, on another origin than the server's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browser import Browser, chromium
from tests.support.npm import bundle, require_chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.browser import Page
    from tests.support.node import Node

pytestmark = [pytest.mark.npm, pytest.mark.browser]

COUNTED = "".join(f"{number} " for number in range(1, 101)).strip()


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A chromium that the tests of this module share."""
    require_chromium()
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
async def site(node: Node) -> str:
    """The address of a web app that holds the pages of tests/npm/page."""
    url: str = await node.call("site.open", folder=str(bundle(node.major) / "page"), task="my-chat")
    return url


async def say(page: Page, text: str) -> None:
    """Type and press Enter, as a person does."""
    await page.type(text)
    await page.press("Enter")


async def test_the_quick_start_works_as_it_is_written(browser: Browser, site: str) -> None:
    async with browser.page(f"{site}/quickstart") as page:
        await say(page, "hello")
        await page.sees("p.assistant", "You said: hello")
        await page.sees("output", "ready")

        await say(page, "count to 100")
        await page.sees("p.assistant", "1 2 3")
        await page.click("Stop")
        await page.sees("output", "ready")

        await say(page, "recall")
        await page.sees("p.assistant", "hello | You said: hello | count to 100 | 1 2 3")
        await page.sees("output", "ready")

        assert await page.texts("p.user") == ["hello", "count to 100", "recall"]
        assert await page.problems() == []


async def test_a_reloaded_page_shows_what_was_said_and_goes_on(browser: Browser, site: str) -> None:
    async with browser.page(f"{site}/durable?chat=reload-at-rest-{hash(site)}") as page:
        await say(page, "hello")
        await page.sees("output", "ready")
        await page.sees("p.assistant", "You said: hello")

        await page.reload()
        await page.sees("p.assistant", "You said: hello")
        await say(page, "recall")
        await page.sees("p.assistant", "hello | You said: hello")

        assert await page.texts("p") == [
            "hello",
            "You said: hello",
            "recall",
            "hello | You said: hello",
        ]
        assert await page.problems() == []


@pytest.mark.parametrize("kind", ["durable", "ui-stream"])
async def test_a_page_reloaded_in_mid_answer_sees_it_to_its_end(
    browser: Browser, site: str, kind: str
) -> None:
    async with browser.page(f"{site}/{kind}?chat=reload-{kind}-{hash(site)}") as page:
        await say(page, "count to 100")
        await page.sees("p.assistant", "1 2 3")
        await page.reload()
        await page.sees("p.assistant", COUNTED)
        await page.sees("output", "ready")

        assert await page.texts("p") == ["count to 100", COUNTED]
        assert await page.problems() == []


async def test_the_ai_sdks_own_transport_works_across_origins(browser: Browser, site: str) -> None:
    async with browser.page(f"{site}/ui-stream?chat=ui-stream-{hash(site)}") as page:
        await say(page, "hello")
        await page.sees("p.assistant", "You said: hello")
        await page.sees("output", "ready")
        await page.click("Again")
        await page.sees("output", "ready")
        await say(page, "recall")
        await page.sees("p.assistant", "hello | You said: hello")

        assert await page.problems() == []
