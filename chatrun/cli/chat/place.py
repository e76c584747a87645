"""Where the terminal chat is: its server, its task, its session."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, Self

from chatrun.cli.chat.opening import Known, Opening, ref_of
from chatrun.client.timing import Timing
from chatrun.errors import AccessError, ChatrunError, LinkBroken

if TYPE_CHECKING:
    from types import TracebackType

    from chatrun.cli.chat.desk import Desk
    from chatrun.cli.servers import Server
    from chatrun.client.agent_chat import AgentChat
    from chatrun.client.wire_types import SessionJson

MOVING_S: Final = 60.0
"""How long a server that has gone is waited for."""
_LOOK_S: Final = 0.3
_TIMING: Final = Timing(away_s=0.5)
"""A server that is away for longer is waited for by `Place.follow`: its address may change."""


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
        desk = await self._open_desk()
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
        with contextlib.suppress(AccessError, LinkBroken):
            self.known = await self.desk.known()

    async def _open_desk(self) -> Desk:
        # Imported only here: the prompt is not to wait for aiohttp.
        from chatrun.cli.chat.desk import open_desk

        opened = open_desk(self.opening, timing=_TIMING)
        self._desk = await self._stack.enter_async_context(opened)
        return self._desk

    async def follow(self) -> None:
        """Wait until the server, which has gone, answers again, here or at a new address.

        One that was started for this chat is started again.

        Raises:
            LinkBroken: It did not come back in time.
        """
        url = await self._restarted() if self.server.is_own else await self._found_again()
        self.chat.transport.move(url)
        self.desk.transport.move(url)

    async def _restarted(self) -> str:
        await self._stack.aclose()
        return (await self._open_desk()).server.url

    async def _found_again(self) -> str:
        from chatrun.cli.servers import answers, find_address

        before = self.server.url
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MOVING_S):
                while True:
                    found = await find_address(self.opening.folder, url=self.opening.url)
                    for url in filter(None, (before, found)):
                        if await answers(url):
                            return url
                    await asyncio.sleep(_LOOK_S)
        raise LinkBroken(f"no server answers at {before} any more: start it with `chatrun dev`")
