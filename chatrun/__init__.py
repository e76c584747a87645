"""chatrun: one async function becomes a durable chat backend.

Everything a task author needs is here; each name is imported when it is first used, so that
`import chatrun` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from chatrun import chat as chat
    from chatrun.ai.settings import StepChanges as StepChanges
    from chatrun.ai.settings import step_count as step_count
    from chatrun.ai.settings import tool_called as tool_called
    from chatrun.ai.stream_text import TextStream as TextStream
    from chatrun.ai.stream_text import stream_text as stream_text
    from chatrun.ai.tools import Tool as Tool
    from chatrun.ai.tools import ToolCall as ToolCall
    from chatrun.ai.tools import tool as tool
    from chatrun.client.agent_chat import AgentChat as AgentChat
    from chatrun.engine import prompts as prompts
    from chatrun.engine import storage as storage
    from chatrun.engine.hooks import TurnComplete as TurnComplete
    from chatrun.engine.hooks import TurnStart as TurnStart
    from chatrun.engine.raw import RawSession as RawSession
    from chatrun.engine.session import ChatSession as ChatSession
    from chatrun.engine.session import LoopTurn as LoopTurn
    from chatrun.engine.skills import Skills as Skills
    from chatrun.engine.task import ChatTask as ChatTask
    from chatrun.engine.turn import Turn as Turn
    from chatrun.errors import ChatError as ChatError
    from chatrun.errors import ChatrunError as ChatrunError
    from chatrun.models.anthropic import Anthropic as Anthropic
    from chatrun.models.demo import Demo as Demo
    from chatrun.models.openai import OpenAI as OpenAI

_HOMES = {
    "AgentChat": "chatrun.client.agent_chat",
    "Anthropic": "chatrun.models.anthropic",
    "ChatError": "chatrun.errors",
    "ChatSession": "chatrun.engine.session",
    "ChatTask": "chatrun.engine.task",
    "ChatrunError": "chatrun.errors",
    "Demo": "chatrun.models.demo",
    "LoopTurn": "chatrun.engine.session",
    "OpenAI": "chatrun.models.openai",
    "RawSession": "chatrun.engine.raw",
    "Skills": "chatrun.engine.skills",
    "StepChanges": "chatrun.ai.settings",
    "TextStream": "chatrun.ai.stream_text",
    "Tool": "chatrun.ai.tools",
    "ToolCall": "chatrun.ai.tools",
    "Turn": "chatrun.engine.turn",
    "TurnComplete": "chatrun.engine.hooks",
    "TurnStart": "chatrun.engine.hooks",
    "step_count": "chatrun.ai.settings",
    "stream_text": "chatrun.ai.stream_text",
    "tool": "chatrun.ai.tools",
    "tool_called": "chatrun.ai.settings",
}

_MODULES = {
    "chat": "chatrun.chat",
    "prompts": "chatrun.engine.prompts",
    "storage": "chatrun.engine.storage",
}

__all__ = ["__version__", *_MODULES, *_HOMES]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(_MODULES[name])
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'chatrun' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
