"""Values that each run has of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from chatrun import Turn, chat
from chatrun.errors import InvalidInput
from chatrun.testing import harness


@dataclass
class User:
    name: str
    visits: int = 0


user = chat.local("user", User)


def visiting(**options: Any) -> Any:
    @chat.task("my-chat", **options)
    async def my_chat(turn: Turn[Any]) -> str:
        user.visits += 1
        return f"{user.name} {user.visits} {user.has_changed()} {user.has_changed()}"

    @my_chat.on_boot
    async def boot(event: Any) -> None:
        user.init(name=event.run.chat_id)

    return my_chat


async def test_a_value_lives_for_its_run_and_begins_anew_with_the_next() -> None:
    async with harness(visiting(max_turns=2)) as h:
        answers = [(await h.send("hi")).text for _ in range(3)]

    assert answers == [
        "test-chat 1 True False",
        "test-chat 2 True False",
        "test-chat 1 True False",
    ]


async def test_runs_beside_each_other_do_not_see_each_others_values() -> None:
    task = visiting()
    async with harness(task, chat_id="a") as a, harness(task, chat_id="b") as b:
        await asyncio.gather(a.send("hi"), b.send("hi"))
        answers = await asyncio.gather(a.send("hi"), b.send("hi"))

    assert [answer.text[:3] for answer in answers] == ["a 2", "b 2"]


async def test_without_a_value_or_a_run_the_error_says_where_to_give_it_one() -> None:
    @chat.task("my-chat")
    async def my_chat(turn: Turn[Any]) -> str:
        return str(user.name)

    async with harness(my_chat) as h:
        turn = await h.send("hi")

    assert "call its init() in on_boot" in (turn.error or "")
    with pytest.raises(InvalidInput, match="no current run"):
        user.set(User("x"))
