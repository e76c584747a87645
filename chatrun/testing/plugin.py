"""The pytest plugin: fixtures for those who test their tasks.

    async def test_it_greets(chat_harness, scripted_model, monkeypatch):
        monkeypatch.setattr("tasks.chat.MODEL", scripted_model(["Hello."]))
        async with chat_harness(my_chat) as chat:
            assert (await chat.send("hi")).text == "Hello."

The fixtures are plain ones that return what they are named after, so they work under any plugin
that runs async tests. Nothing else of chatrun is imported before a test asks for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from chatrun.testing.chat_harness import Harness
    from chatrun.testing.scripted import ScriptedModel


@pytest.fixture
def chat_harness() -> Callable[..., AbstractAsyncContextManager[Harness]]:
    """`chatrun.testing.chat_harness`: opens a chat with a task, as often as the test wants."""
    from chatrun.testing.chat_harness import harness

    return harness


@pytest.fixture
def scripted_model() -> type[ScriptedModel]:
    """`chatrun.testing.ScriptedModel`: makes a model that says what the test wrote down."""
    from chatrun.testing.scripted import ScriptedModel

    return ScriptedModel
