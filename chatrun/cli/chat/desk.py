"""The server at which chats are chosen and opened."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatrun.cli.chat.opening import Known, Opening, new_chat_id, ref_of
from chatrun.cli.servers import Server, reach_server
from chatrun.client.agent_chat import AgentChat
from chatrun.errors import AccessError, InvalidInput, SessionNotFound, TaskNotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chatrun.client.timing import Timing
    from chatrun.client.transport import Transport
    from chatrun.client.wire_types import SessionJson


@asynccontextmanager
async def open_desk(opening: Opening, *, timing: Timing | None = None) -> AsyncIterator[Desk]:
    """Yield a desk at the server that `opening` names, or at one that ends with the block."""
    async with (
        reach_server(opening.folder, url=opening.url, token=opening.token) as server,
        server.transport(timing) as transport,
    ):
        yield Desk(server, transport)


@dataclass(frozen=True, slots=True)
class Desk:
    """A server at which chats are chosen and opened."""

    server: Server
    transport: Transport

    async def known(self) -> Known:
        """Return the tasks there are. A token that may not ask sees none."""
        try:
            told: dict[str, Any] = await self.transport.tasks()
        except AccessError:
            return Known((), ())
        broken = tuple(str(fault["message"]) for fault in told.get("broken", ()))
        return Known(tuple(str(task["id"]) for task in told["tasks"]), broken)

    async def task_of(self, opening: Opening) -> str | None:
        """Return the task to chat with; None when there are several to choose from.

        Raises:
            TaskNotFound: There is none.
        """
        if opening.task is not None:
            return opening.task
        if opening.session is not None:
            with contextlib.suppress(SessionNotFound):  # it will be begun
                return (await self.transport.session(opening.session))["taskIdentifier"]
        known = await self.known()
        if not known.tasks:
            raise TaskNotFound(_none_found(opening, known))
        return known.tasks[0] if len(known.tasks) == 1 else None

    async def sessions(self, task: str) -> Sequence[SessionJson]:
        """Return the task's sessions that are open, the one used last first."""
        found = await self.transport.sessions(task=task, status="ACTIVE", limit=100)
        return sorted(found, key=lambda session: session["updatedAt"], reverse=True)

    async def session_of(self, opening: Opening, task: str) -> str | None:
        """Return the session to go on with; None for a new one."""
        if opening.session is not None or not opening.last:
            return opening.session
        found = await self.sessions(task)
        return ref_of(found[0]) if found else None

    def chat(self, task: str, chat_id: str | None = None) -> AgentChat:
        """Return a chat with a task, not open yet; without an id a new one."""
        return AgentChat(
            task,
            id=chat_id or new_chat_id(),
            url=self.server.url,
            secret=self.server.secret,
            token=self.server.token,
            timing=self.transport.timing,
        )


def several_tasks(known: Known) -> InvalidInput:
    """Return the error for a command that has to be told which task it means."""
    return InvalidInput(f"there are several tasks, name one: {', '.join(known.tasks)}")


def _none_found(opening: Opening, known: Known) -> str:
    if opening.token is not None and not known.broken:
        return "the token does not tell which task it is for: name the task"
    if known.broken:
        return f"no task can be served: {known.broken[0]}"
    return f"no task was found in {opening.folder}: `chatrun init` writes one"
