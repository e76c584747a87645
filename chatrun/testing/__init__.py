"""Drives a task through real turns without a server: for your tests, and for ours.

    async with harness(my_chat) as chat:
        turn = await chat.send("hi")
        assert turn.text == "hello"

Everything is the real thing but for HTTP and the disk: the engine, a worker on the running loop,
the store in memory. Each name is imported when it is first used, because pytest loads the plugin
in this package in every project that has chatrun installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatrun.testing.chat_harness import Harness as Harness
    from chatrun.testing.chat_harness import harness as harness
    from chatrun.testing.continuation import Continuation as Continuation
    from chatrun.testing.scripted import ScriptedModel as ScriptedModel
    from chatrun.testing.scripted import call as call
    from chatrun.testing.serving import serve_tasks as serve_tasks
    from chatrun.testing.turns import PendingTurn as PendingTurn
    from chatrun.testing.turns import TurnResult as TurnResult

_HOMES = {
    "Continuation": "chatrun.testing.continuation",
    "Harness": "chatrun.testing.chat_harness",
    "PendingTurn": "chatrun.testing.turns",
    "ScriptedModel": "chatrun.testing.scripted",
    "TurnResult": "chatrun.testing.turns",
    "call": "chatrun.testing.scripted",
    "harness": "chatrun.testing.chat_harness",
    "serve_tasks": "chatrun.testing.serving",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'chatrun.testing' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
