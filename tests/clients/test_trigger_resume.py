"""Answers that go on after a cut connection, a reloaded page and a killed server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.node import delta_text

if TYPE_CHECKING:
    from tests.support.node import Node
    from tests.support.server import DevServer

pytestmark = pytest.mark.npm

COUNTED = "".join(f"{number} " for number in range(1, 31))


def without_ids(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return chunks without what differs from one answer to the next."""
    return [{k: v for k, v in c.items() if k not in {"id", "messageId"}} for c in chunks]


async def test_a_stream_cut_after_any_frame_goes_on_without_gap_or_duplicate(node: Node) -> None:
    whole = await (await node.chat(task="my-chat", access="task")).send("count to 6")
    frames = range(len(whole.chunks) + 1)
    chats = [await node.chat(task="my-chat", access="task", cutAfter=after) for after in frames]

    said = await asyncio.gather(*(chat.send("count to 6") for chat in chats))

    assert sum(state.cuts for state in said) >= 6  # what is written at once may share a frame
    for state in said:
        assert without_ids(state.chunks) == without_ids(whole.chunks)
        assert (state.answer, state.status) == ("1 2 3 4 5 6 ", "ready")


async def test_a_page_reloaded_in_mid_answer_sees_the_whole_answer(node: Node) -> None:
    page = await node.chat(task="my-chat", access="session")

    async with asyncio.TaskGroup() as group:
        group.create_task(page.send("count to 30"))
        before = await page.sees("10 ")
        reloaded = await node.chat(
            id=before.id,
            task="my-chat",
            access="session",
            messages=before.messages[:1],
            sessions={before.id: before.session},
        )
        said = await reloaded.resume()

    assert said.dialogue == [("user", "count to 30"), ("assistant", COUNTED)]
    assert delta_text(said.chunks) == COUNTED


async def test_a_page_reloaded_after_the_answer_resumes_nothing(node: Node) -> None:
    page = await node.chat(task="my-chat", access="session")
    before = await page.send("hello")

    reloaded = await node.chat(
        id=before.id,
        task="my-chat",
        access="session",
        messages=before.messages,
        sessions={before.id: before.session},
    )
    resumed = await reloaded.resume()
    said = await reloaded.send("recall")

    assert resumed.chunks == []
    assert said.answer == "hello | You said: hello "


async def test_a_page_that_lost_its_cursor_and_missed_the_end_is_told_at_once(node: Node) -> None:
    page = await node.chat(task="my-chat", access="session")
    before = await page.send("hello")
    session = {"publicAccessToken": before.session["publicAccessToken"]}  # type: ignore[index]

    reloaded = await node.chat(
        id=before.id,
        task="my-chat",
        access="session",
        messages=before.messages[:1],
        sessions={before.id: session},
    )
    async with asyncio.timeout(5):
        resumed = await reloaded.resume()

    assert resumed.dialogue == before.dialogue


async def test_the_transcript_is_what_was_said_and_where_the_stream_stands(node: Node) -> None:
    page = await node.chat(task="my-chat", access="session")
    said = await page.send("hello")

    transcript = await node.call("sdk.loadTranscript", chatId=said.id, limit=50)

    assert transcript["messages"] == said.messages
    assert transcript["cursors"]["lastOutEventId"] == said.session["lastEventId"]  # type: ignore[index]


async def test_a_killed_server_forgets_nothing_that_was_said(node: Node, server: DevServer) -> None:
    page = await node.chat(task="my-chat", access="session")
    await page.send("hello")

    async with asyncio.TaskGroup() as group:
        broken = group.create_task(page.send("count to 30"))
        await page.sees("10 ")
        await server.kill9()
        await server.start_again()
    said = await page.send("recall")

    assert broken.result().status in {"ready", "error"}
    assert said.answer.startswith("hello | You said: hello  | count to 30 | 1 2 3 ")
