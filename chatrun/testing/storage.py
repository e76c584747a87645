"""Holds a transcript storage to its contract: for users who bring their own.

async def test_my_storage_keeps_the_contract(database):
    await conforms(lambda: MyStorage(database))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from chatrun.engine.storage import Put, Remove, Save, TranscriptStorage, Truncate
from chatrun.messages.types import user_message

if TYPE_CHECKING:
    from chatrun.engine.storage import Change

Make = Callable[[], TranscriptStorage]
_CHAT = "chat/with: odd id \N{SNOWMAN}"


async def conforms(make: Make) -> None:
    """Hold the storages that `make` returns to every sentence of `TranscriptStorage`.

    All of them must look at the same database, and chats of this suite's own must be new to it.

    Raises:
        AssertionError: A sentence does not hold; the message is the sentence.
    """
    for check in _CHECKS:
        await check(make)


async def _a_new_chat_is_empty(make: Make) -> None:
    found = await make().load("never-saved")
    assert not found.messages, "a chat that was never saved has no messages"
    assert dict(found.state) == {}, "a chat that was never saved has an empty state"
    assert found.next_before is None, "a chat without messages has no older ones"


async def _changes_are_applied_in_order(make: Make) -> None:
    one, two, three = (user_message(f"text {n}", message_id=f"m{n}") for n in range(3))
    changed = user_message("other text", message_id="m0")
    await _save(make, "ordered", Put(one), Put(two), Put(three), Put(changed))
    assert await _ids(make, "ordered") == ["m0", "m1", "m2"], "messages keep their order"
    found = await make().load("ordered")
    assert found.messages[0] == changed, "a message with a known id takes its place"
    await _save(make, "ordered", Remove("m1"), Remove("not there"))
    assert await _ids(make, "ordered") == ["m0", "m2"], "a removed message is gone"
    await _save(make, "ordered", Truncate("unknown"))
    assert await _ids(make, "ordered") == ["m0", "m2"], "an unknown id truncates nothing"
    await _save(make, "ordered", Truncate("m0"), Put(two))
    assert await _ids(make, "ordered") == ["m0", "m1"], "what follows a truncation is kept"
    await _save(make, "ordered", Truncate(None))
    assert await _ids(make, "ordered") == [], "truncating at None takes out all"


async def _saving_again_changes_nothing(make: Make) -> None:
    message = user_message("once", message_id="m")
    for _ in range(2):
        await _save(make, "again", Put(message), state={"n": 1})
    assert await _ids(make, "again") == ["m"], "the same save may come again"


async def _state_is_replaced(make: Make) -> None:
    await _save(make, "state", state={"a": 1, "b": {"c": [None, "ü"]}})
    await _save(make, "state", state={"d": 2})
    assert dict((await make().load("state")).state) == {"d": 2}, "the state is replaced whole"


async def _pages_go_back_to_the_first(make: Make) -> None:
    messages = [user_message(str(n), message_id=f"m{n}") for n in range(7)]
    await _save(make, "paged", *map(Put, messages))
    seen: list[str] = []
    before: str | None = None
    while True:
        page = await make().load("paged", limit=3, before=before)
        seen = [message["id"] for message in page.messages] + seen
        before = page.next_before
        if before is None:
            break
    assert seen == [f"m{n}" for n in range(7)], "pages lead back to the first message, each once"


async def _chats_are_apart(make: Make) -> None:
    await _save(make, _CHAT, Put(user_message("here", message_id="m")))
    await _save(make, "elsewhere", Put(user_message("there", message_id="m")))
    (message,) = (await make().load(_CHAT)).messages
    assert message == user_message("here", message_id="m"), "chats may share ids of messages"


_CHECKS: tuple[Callable[[Make], Awaitable[None]], ...] = (
    _a_new_chat_is_empty,
    _changes_are_applied_in_order,
    _saving_again_changes_nothing,
    _state_is_replaced,
    _pages_go_back_to_the_first,
    _chats_are_apart,
)


async def _save(
    make: Make, chat_id: str, *changes: Change, state: dict[str, object] | None = None
) -> None:
    await make().save(Save(chat_id, "edit", changes, state or {}))


async def _ids(make: Make, chat_id: str) -> list[str]:
    return [message["id"] for message in (await make().load(chat_id)).messages]
