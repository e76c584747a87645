"""A task's own storage: it is told of every change, and its word counts when a run begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import ChatTask, Turn, chat
from chatrun.engine.storage import (
    Change,
    MemoryTranscripts,
    Put,
    Save,
    Truncate,
    apply_changes,
)
from chatrun.messages.types import message_text, user_message
from chatrun.testing import harness
from chatrun.testing.storage import conforms

if TYPE_CHECKING:
    from chatrun.messages.types import UIMessage


class Recorded(MemoryTranscripts):
    """Remembers what it was told; fails as often as it should."""

    def __init__(self) -> None:
        super().__init__()
        self.saves: list[Save] = []
        self.failures = 0

    async def save(self, save: Save) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("the database is away")
        self.saves.append(save)
        await super().save(save)

    async def texts(self) -> list[str]:
        return [message_text(m) for m in (await self.load("test-chat")).messages]


def echo(storage: Recorded, **options: Any) -> ChatTask[Any]:
    @chat.task("my-chat", storage=storage, **options)
    async def my_chat(turn: Turn[Any]) -> str:
        return "+".join(message_text(m) for m in turn.history if m["role"] == "user")

    return my_chat


def shape(save: Save) -> tuple[str, list[str]]:
    return save.reason, [type(change).__name__ for change in save.changes]


async def test_the_storage_in_memory_keeps_the_contract() -> None:
    storage = MemoryTranscripts()
    await conforms(lambda: storage)


async def test_the_suite_tells_which_sentence_does_not_hold() -> None:
    class Forgetful(MemoryTranscripts):
        async def save(self, save: Save) -> None:
            await super().save(replace(save, state={}))

    storage = Forgetful()
    with pytest.raises(AssertionError, match="the state is replaced whole"):
        await conforms(lambda: storage)


async def test_a_turn_is_stored_when_it_begins_and_when_it_is_complete() -> None:
    storage = Recorded()
    async with harness(echo(storage), client_data={"plan": "free"}) as h:
        turn = await h.send("one")
        await turn.settled

    assert [shape(save) for save in storage.saves] == [
        ("turn-start", ["Put"]),
        ("turn-complete", ["Put"]),
    ]
    assert storage.saves[0].client_data == {"plan": "free"}
    assert await storage.texts() == ["one", "one"]


async def test_a_run_begins_with_what_the_storage_has() -> None:
    storage = Recorded()
    async with harness(echo(storage, max_turns=1)) as h:
        await (await h.send("one")).settled
        messages: list[UIMessage] = [user_message("edited elsewhere", message_id="e")]
        changes: list[Change] = [Truncate(None), *(Put(message) for message in messages)]
        await storage.save(Save("test-chat", "edit", changes, {}))
        second = await h.send("two")
        kept = [message_text(m) for m in await h.messages()]

    assert second.text == "edited elsewhere+two"
    assert kept == ["edited elsewhere", "two", "edited elsewhere+two"]


async def test_a_save_that_fails_is_made_up_for_and_stops_nobody() -> None:
    storage = Recorded()
    storage.failures = 2
    async with harness(echo(storage, max_turns=1)) as h:
        one = await h.send("one")
        await one.settled
        before = await storage.texts()
        two = await h.send("two")
        await two.settled

    assert (one.outcome, before, two.text) == ("finished", [], "one+two")
    assert await storage.texts() == ["one", "one", "two", "one+two"]


async def test_a_storage_that_cannot_be_read_fails_the_turn_and_loses_nothing() -> None:
    storage = Recorded()

    async def broken(*args: object, **options: object) -> Any:
        raise OSError("the database is away")

    task = echo(storage)
    load, storage.load = storage.load, broken  # type: ignore[method-assign]
    async with harness(task) as h:
        failed = await h.send("one")
        storage.load = load  # type: ignore[method-assign]
        fine = await h.send("two")

    assert (failed.outcome, fine.text) == ("failed", "one+two")


async def test_regenerating_and_editing_are_stored_as_changes() -> None:
    storage = Recorded()
    async with harness(echo(storage)) as h:
        await (await h.send("one")).settled
        await (await h.regenerate()).settled

    assert [shape(save) for save in storage.saves[2:]] == [
        ("turn-start", ["Truncate"]),
        ("turn-complete", ["Put"]),
    ]


def test_changes_do_what_they_say() -> None:
    one, two = (user_message(text, message_id=text) for text in ("one", "two"))
    changed = user_message("ONE", message_id="one")

    assert apply_changes([], [Put(one), Put(two), Put(changed)]) == [changed, two]
    assert apply_changes([one, two], [Truncate("one")]) == [one]
    assert apply_changes([one, two], [Truncate("unknown")]) == [one, two]
