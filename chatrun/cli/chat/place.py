"""Where the terminal chat is: its server, its task, its session."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Self

from chatrun.cli.chat.opening import Desk, Known, Opening, open_desk, ref_of
from chatrun.cli.servers import answers, find_server
from chatrun.errors import AccessError, ChatrunError, LinkBroken

if TYPE_CHECKING:
    from types import TracebackType

    from chatrun.cli.servers import Server
    from chatrun.client.agent_chat import AgentChat
    from chatrun.client.wire_types import SessionJson

MOVING_S: Final = 60.0
"""How long a server that has gone is waited for."""
_LOOK_S: Final = 0.3


class Place:
    """The server and the chat that the terminal is connected to; an async context manager."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.known = Known((), ())
        self.refs: tuple[str, ...] = ()
        """The task's sessions, as far as they were listed, for completion."""
        self._desk: Desk | None = None
        self._chat: AgentChat | None = None
        self._stack = AsyncExitStack()
        self._chat_stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._chat_stack.aclose()
        await self._stack.aclose()

    @property
    def task(self) -> str | None:
        """The task that answers; None while it is not chosen."""
        return None if self._chat is None else self._chat.task

    @property
    def server(self) -> Server:
        """The server that was found, once connected."""
        return self.desk.server

    @property
    def is_connected(self) -> bool:
        """Whether a server was found."""
        return self._desk is not None

    @property
    def desk(self) -> Desk:
        """Where chats are opened, once connected."""
        assert self._desk is not None
        return self._desk

    @property
    def chat(self) -> AgentChat:
        """The chat that is open, once a task is chosen."""
        assert self._chat is not None
        return self._chat

    async def connect(self) -> None:
        """Find or start the server, and open the chat if it is clear which.

        Raises:
            ChatrunError: There is no server, or it has no task to chat with.
        """
        desk = self._desk = await self._stack.enter_async_context(open_desk(self.opening))
        task = await desk.task_of(self.opening)
        self.known = await desk.known()
        if task is not None:
            await self.open_chat(task, await desk.session_of(self.opening, task))

    async def open_chat(self, task: str, chat_id: str | None = None) -> None:
        """Go to a session of `task`, a new one where no id is given."""
        await self._chat_stack.aclose()
        chat = self.desk.chat(task, chat_id)
        self._chat = await self._chat_stack.enter_async_context(chat)
        with contextlib.suppress(ChatrunError):  # it is only for completion
            await self.list_sessions()

    async def list_sessions(self) -> list[SessionJson]:
        """Return the task's open sessions, the one used last first."""
        found = list(await self.desk.sessions(self.chat.task))
        self.refs = tuple(ref_of(session) for session in found)
        return found

    async def look(self) -> None:
        """Ask anew which tasks there are and what is broken; what cannot be asked stays."""
        with contextlib.suppress(AccessError):
            self.known = await self.desk.known()

    async def follow(self) -> None:
        """Wait until the server, which has gone, answers again, here or at a new address.

        Raises:
            LinkBroken: It did not come back in time.
        """
        named = self.opening.url
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MOVING_S):
                while not await answers(self.chat.transport.url):
                    found = await find_server(self.opening.folder, url=named, token="-")
                    if found is not None and await answers(found.url):
                        self.chat.transport.move(found.url)
                        self.desk.transport.move(found.url)
                        return
                    await asyncio.sleep(_LOOK_S)
                return
        raise LinkBroken(f"no server answers at {self.chat.transport.url} any more")
