"""Runs of brought agents as streams of items: which values are runs, and how they are read.

Closing a stream ends the run behind it, and with it the model's connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from chatrun.models.agents import family_of, home_of
from chatrun.models.agents_pydantic import RunEnded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_END_S: Final = 2.0
"""How long a run may take to end once it is cancelled."""


@dataclass(frozen=True, slots=True)
class GraphItem:
    """What a stream of a graph gave, whose form alone does not tell."""

    value: object


def agent_of(source: object) -> str | None:
    """Return the family of agents that a source belongs to.

    Generators and the context managers made of them belong to the package of their code.
    """
    generator = getattr(source, "gen", source)
    frame = None
    if isinstance(generator, AsyncGeneratorType):
        frame = generator.ag_frame
    elif isinstance(generator, GeneratorType):
        frame = generator.gi_frame
    if frame is not None:
        return home_of(str(frame.f_globals.get("__name__")))
    return family_of(source)


def marked(item: object, agent: str) -> object:
    """Return an item of an agent's stream so that it is known for what it is."""
    known = isinstance(item, str) or (isinstance(item, Mapping) and "type" in item)
    return item if agent != "langchain" or known else GraphItem(item)


def open_run(value: Any) -> AsyncGenerator[object] | None:
    """Return the items of a run that cannot be iterated as it is; None for all else."""
    match family_of(value):
        case "openai-agents" if hasattr(value, "stream_events"):
            return _openai_run(value)
        case "pydantic-ai" if hasattr(value, "stream_response"):
            return _pydantic_stream(value)
        case "pydantic-ai" if hasattr(value, "next_node"):
            return _pydantic_nodes(value)
    return None


async def _openai_run(result: Any) -> AsyncGenerator[object]:
    """Yield the events of `Runner.run_streamed`, then the approvals that it waits for."""
    completed = False
    async with aclosing(result.stream_events()) as events:
        try:
            async for event in events:
                yield event
            completed = True
        finally:
            if not completed:
                # Before the stream is closed: left to itself that waits for the run's own end.
                await _end_openai_run(result)
    for interruption in result.interruptions:
        yield interruption


async def _end_openai_run(result: Any) -> None:
    result.cancel()
    if result.run_loop_task is not None:
        await asyncio.wait({result.run_loop_task}, timeout=_END_S)


async def _pydantic_stream(result: Any) -> AsyncGenerator[object]:
    """Yield the growing response of `agent.run_stream`, then the run's end."""
    async with aclosing(result.stream_response(debounce_by=None)) as responses:
        async for response in responses:
            yield response
    yield RunEnded(result.new_messages(), await result.get_output())


async def _pydantic_nodes(run: Any) -> AsyncGenerator[object]:
    """Yield the events of each node of `agent.iter`, then the run's result."""
    async for node in run:
        if hasattr(node, "stream"):
            async with node.stream(run.ctx) as events:
                async for event in events:
                    yield event
    if run.result is not None:
        yield run.result
