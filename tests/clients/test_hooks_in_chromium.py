"""Trigger.dev's React hooks beside `useChat`, in a page in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.support.browser import Browser, chromium
from tests.support.npm import bundle, require_chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.browser import Page
    from tests.support.node import Node

pytestmark = [pytest.mark.npm, pytest.mark.browser]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A chromium that the tests of this module share."""
    require_chromium()
    async with chromium() as browser:
        yield browser


async def address(node: Node, task: str) -> str:
    """Return the address of the page with a new chat of `task`."""
    site = await node.call("site.open", folder=str(bundle(node.major) / "page"), task=task)
    return f"{site}/hooks?chat={uuid4().hex}"


async def say(page: Page, text: str) -> None:
    """Type and press Enter, as a person does."""
    await page.type(text)
    await page.press("Enter")


async def test_a_message_steered_from_a_page_is_marked_where_it_came_in(
    browser: Browser, node: Node
) -> None:
    async with browser.page(await address(node, "steered-chat")) as page:
        await say(page, "look")
        await page.sees("p.assistant", "Looking.")
        await page.click("Steer")
        await page.sees("p.assistant", "You said: hurry")
        await page.sees("output", "ready")

        assert await page.texts("mark") == ["hurry"]
        assert await page.texts("li") == []
        assert await page.texts("p.user") == ["look"]
        assert await page.problems() == []


async def test_an_action_from_a_page_is_carried_out_before_what_is_said_next(
    browser: Browser, node: Node
) -> None:
    async with browser.page(await address(node, "my-chat")) as page:
        for text in ("first", "second"):
            await say(page, text)
            await page.sees("p.assistant", f"You said: {text}")
            await page.sees("output", "ready")
        await page.click("Undo")
        await page.sees("output", "ready")
        await say(page, "recall")
        await page.sees("p.assistant", "first | You said: first")
        await page.sees("output", "ready")

        assert "second" not in (await page.texts("p.assistant"))[-1]
        assert await page.problems() == []
