"""Reading an answer that Ctrl-C can stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chatrun.cli.faults import only_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatrun.cli.chat.interrupts import Interrupts
    from chatrun.client.agent_chat import AgentChat
    from chatrun.client.chat_stream import ChatStream


async def read_answer(
    chat: AgentChat,
    stream: ChatStream,
    show: Callable[[Mapping[str, object]], None],
    *,
    interrupts: Interrupts,
    on_stop: Callable[[], None] = lambda: None,
) -> bool:
    """Show every chunk of an answer; tell whether it was interrupted.

    The first interrupt stops the turn, calls `on_stop`, and goes on to the turn's end, which has
    what was said so far. The second one leaves at once. What reading or showing raises comes out.
    """
    pressed = asyncio.Semaphore(0)
    was_interrupted = False

    async def stop() -> None:
        nonlocal was_interrupted
        await pressed.acquire()
        was_interrupted = True
        on_stop()
        await chat.stop()
        await pressed.acquire()
        reading.cancel()

    try:
        with interrupts.taken(pressed.release):
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(_show_all(stream, show))
                stopping = group.create_task(stop())
                reading.add_done_callback(lambda _: stopping.cancel())
    except BaseExceptionGroup as errors:
        raise only_error(errors) from None
    return was_interrupted


async def _show_all(stream: ChatStream, show: Callable[[Mapping[str, object]], None]) -> None:
    async for chunk in stream:
        show(chunk)
