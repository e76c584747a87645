"""Tools that wait for the user, answered with a mouse in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browser import Browser, chromium
from tests.support.node import node_client
from tests.support.npm import bundle, require_chromium
from tests.support.planned import MODEL, TASK, planned
from tests.support.provider import fake_provider
from tests.support.server import dev_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.browser import Page
    from tests.support.node import Node
    from tests.support.provider import FakeProvider
    from tests.support.server import DevServer

pytestmark = [
    pytest.mark.npm,
    pytest.mark.browser,
    pytest.mark.parametrize("transport", ["trigger", "default"]),
]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    require_chromium()
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    async with fake_provider() as provider:
        provider.on(MODEL, planned)
        yield provider


@pytest.fixture(scope="module")
async def server(provider: FakeProvider) -> AsyncIterator[DevServer]:
    env = {"PROVIDER_URL": provider.openai_url}
    async with dev_server({"tasks/chat.py": TASK}, env=env) as server:
        yield server


# The AI SDK has approvals since version 6.
@pytest.fixture(scope="module", params=[6, 7], ids=["ai6", "ai7"])
async def node(request: pytest.FixtureRequest, server: DevServer) -> AsyncIterator[Node]:
    async with node_client(request.param) as node:
        await node.connect(server.url, server.secret)
        yield node


@pytest.fixture(scope="module")
async def site(node: Node) -> str:
    url: str = await node.call("site.open", folder=str(bundle(node.major) / "page"), task="my-chat")
    return f"{url}/approvals"


async def ask_for(page: Page, tools: str) -> None:
    """Have the model call these tools."""
    await page.type(tools)
    await page.press("Enter")
    await page.sees("li", "")
    await page.sees("output", "ready")


async def test_a_tool_that_is_approved_runs_and_the_model_goes_on(
    browser: Browser, site: str, transport: str
) -> None:
    async with browser.page(f"{site}?transport={transport}") as page:
        await ask_for(page, "look; delete")
        await page.click("Approve delete-1")
        await page.sees("p.assistant", "Told: seen 0, deleted 1")
        await page.sees("output", "ready")

        assert await page.texts("li") == [
            "look-0 look: output-available seen 0",
            "delete-1 delete: output-available deleted 1",
        ]
        assert await page.problems() == []


async def test_a_tool_that_is_denied_does_not_run_and_the_model_is_told_why(
    browser: Browser, site: str, transport: str
) -> None:
    async with browser.page(f"{site}?transport={transport}") as page:
        await ask_for(page, "delete")
        await page.click("Deny delete-0")
        await page.sees("p.assistant", "Told: Not today.")
        await page.sees("output", "ready")

        assert await page.texts("li") == ["delete-0 delete: output-denied"]
        assert await page.problems() == []


async def test_a_tool_of_the_page_is_answered_there(
    browser: Browser, site: str, transport: str
) -> None:
    async with browser.page(f"{site}?transport={transport}") as page:
        await ask_for(page, "ask; look")
        await page.click("Answer ask-0")
        await page.sees("p.assistant", "Told: blue 0, seen 1")
        await page.sees("output", "ready")

        assert await page.texts("li") == [
            "ask-0 ask: output-available blue 0",
            "look-1 look: output-available seen 1",
        ]
        assert await page.problems() == []


# Call → the button that answers it.
ANSWERS = {"delete-0": "Approve delete-0", "delete-1": "Deny delete-1", "ask-2": "Answer ask-2"}
ORDERS = [("delete-0", "delete-1", "ask-2"), ("ask-2", "delete-1", "delete-0")]
SETTLED = [
    "delete-0 delete: output-available deleted 0",
    "delete-1 delete: output-denied",
    "ask-2 ask: output-available blue 2",
]


async def test_several_questions_are_answered_together(
    browser: Browser, site: str, provider: FakeProvider, transport: str
) -> None:
    async with browser.page(f"{site}?transport={transport}") as page:
        await ask_for(page, "delete delete ask")
        asked = len(provider.requests)
        for call in ("ask-2", "delete-1", "delete-0"):
            await page.click(ANSWERS[call])
        await page.sees("p.assistant", "Told: deleted 0, Not today., blue 2")
        await page.sees("output", "ready")

        assert await page.texts("li") == SETTLED
        assert len(provider.requests) == asked + 1
        assert await page.problems() == []


@pytest.mark.parametrize("order", ORDERS, ids=["in-order", "reversed"])
async def test_several_questions_are_answered_one_by_one(
    browser: Browser, site: str, provider: FakeProvider, transport: str, order: tuple[str, ...]
) -> None:
    async with browser.page(f"{site}?transport={transport}&each=1") as page:
        await ask_for(page, "delete delete ask")
        asked = len(provider.requests)
        for call in order[:-1]:
            await page.click(ANSWERS[call])
            await page.sees(f"li:has-text('{call}')", "output-")
            await page.sees("output", "ready")
        assert len(provider.requests) == asked

        await page.click(ANSWERS[order[-1]])
        # What was denied in an earlier turn the AI SDK tells as an error.
        await page.sees("p.assistant", 'Told: deleted 0, {"error":"Not today."}, blue 2')
        await page.sees("output", "ready")

        assert await page.texts("li") == SETTLED
        assert len(provider.requests) == asked + 1
        assert await page.problems() == []
