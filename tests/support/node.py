"""The published JavaScript clients, driven in a Node process (tests/npm/drive)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from tests.support.lines import CallFailed, program
from tests.support.npm import bundle, require_npm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.lines import Program
    from tests.support.npm import Major

__all__ = ["AgentChat", "CallFailed", "Chat", "ChatState", "Node", "node_client", "text_of"]

JSON = dict[str, Any]
Transport = Literal["trigger", "default", "text"]


def text_of(message: JSON) -> str:
    """Return the text of a UI message."""
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def delta_text(chunks: Sequence[JSON]) -> str:
    """Return the text that chunks carry."""
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


@dataclass(frozen=True, slots=True)
class ChatState:
    """What `useChat` would show, and what lies beneath."""

    id: str
    messages: list[JSON]
    status: Literal["submitted", "streaming", "ready", "error"]
    error: JSON | None
    session: JSON | None
    """What an app would persist of Trigger.dev's transport; None for the AI SDK's own."""
    chunks: list[JSON]
    """Every chunk that the transport yielded since the chat was opened."""
    events: list[JSON]
    """What Trigger.dev's transport told its `onEvent`."""
    data: list[JSON]
    """The data parts that `onData` was called with."""
    cuts: int
    """How often the connection was cut, which option `cutAfter` asks for."""

    @property
    def dialogue(self) -> list[tuple[str, str]]:
        """Who said what, oldest first; an error comes last."""
        said = [(message["role"], text_of(message)) for message in self.messages]
        return said if self.error is None else [*said, ("error", self.error["message"])]

    @property
    def answer(self) -> str:
        """The text of the last message, which must be the assistant's."""
        assert self.messages[-1]["role"] == "assistant", self.dialogue
        return text_of(self.messages[-1])


class Chat:
    """One chat: `Chat` of @ai-sdk/react, the state behind `useChat`, over a published transport.

    The methods return when the answer has ended, as the promises of the original do. A failed
    answer is a state, not an exception.
    """

    def __init__(self, program: Program, name: str) -> None:
        self._program = program
        self._name = name

    async def _do(self, method: str, **params: Any) -> ChatState:
        return ChatState(**await self.call(method, **params))

    async def call(self, method: str, **params: Any) -> Any:
        """Call a function of drive/chats.mjs on this chat."""
        given = {key: value for key, value in params.items() if value is not None}
        return await self._program.call(f"chat.{method}", name=self._name, **given)

    async def state(self) -> ChatState:
        """Return the chat as it is now."""
        return await self._do("state")

    async def send(
        self,
        text: str | None = None,
        *,
        message: JSON | None = None,
        options: JSON | None = None,
    ) -> ChatState:
        """`sendMessage`: a text or a message, `options` as `useChat` takes them."""
        return await self._do("send", text=text, message=message, options=options)

    async def regenerate(self, message_id: str | None = None) -> ChatState:
        """`regenerate`: the last answer, or the one named."""
        return await self._do("regenerate", messageId=message_id)

    async def resume(self) -> ChatState:
        """`resumeStream`: what `useChat({resume: true})` does when it mounts."""
        return await self._do("resume")

    async def resume_and_leave(self, text: str) -> str:
        """Resume through the transport and leave once `text` has come; return what has come."""
        seen: str = await self.call("resumeAndLeave", text=text)
        return seen

    async def stop(self) -> ChatState:
        """`stop`, the button."""
        return await self._do("stop")

    async def sees(self, text: str) -> ChatState:
        """Wait until the answer contains `text`."""
        return await self._do("sees", text=text)

    async def becomes(self, status: str) -> ChatState:
        """Wait until the chat has this status."""
        return await self._do("becomes", status=status)

    async def grows(self, *, parts: int) -> ChatState:
        """Wait until the chat is at rest and its last answer has more than `parts` parts."""
        return await self._do("grows", parts=parts)

    async def answer_tool(self, tool: str, tool_call_id: str, output: Any) -> ChatState:
        """`addToolOutput`: the answer of a tool that runs in the client."""
        return await self._do("answerTool", tool=tool, toolCallId=tool_call_id, output=output)

    async def answer_approval(self, approval_id: str, *, approved: bool) -> ChatState:
        """`addToolApprovalResponse` (since version 6)."""
        return await self._do("answerApproval", id=approval_id, approved=approved)

    async def told(self, event: str) -> JSON:
        """Wait until the transport has told its `onEvent` of such an event; return it."""
        told: JSON = await self.call("told", type=event)
        return told

    async def send_action(self, action: JSON) -> ChatState:
        """`sendMessage(undefined, {body: {action}})`: what `useChatActions` does."""
        return await self._do("sendAction", action=action)

    async def preload(self) -> ChatState:
        """`transport.preload`: start the session before anything is said."""
        return await self._do("preload")

    async def stop_generation(self) -> bool:
        """`transport.stopGeneration`, which also stops an answer nobody reads here."""
        stopped: bool = await self.call("stopGeneration")
        return stopped

    async def steer(self, message: JSON) -> bool:
        """`transport.sendPendingMessage`: a message while an answer is under way."""
        sent: bool = await self.call("steer", message=message)
        return sent

    async def act(self, action: JSON) -> JSON:
        """`transport.sendAction`; return its chunks and what `onSettled` was told."""
        result: JSON = await self.call("act", action=action)
        return result


class AgentChat:
    """Trigger.dev's `AgentChat`, with which a server talks to a task."""

    def __init__(self, program: Program, name: str) -> None:
        self._program = program
        self._name = name

    async def call(self, method: str, **params: Any) -> Any:
        """Call a function of drive/agents.mjs on this chat."""
        return await self._program.call(f"agent.{method}", name=self._name, **params)

    async def send(self, text: str) -> JSON:
        """`sendMessage`; return the answer's text and chunks and the session to persist."""
        result: JSON = await self.call("send", text=text)
        return result

    async def sees(self, text: str) -> str:
        """Wait until the answer under way contains `text`; return it so far."""
        seen: str = await self.call("sees", text=text)
        return seen


class Node:
    """A Node process with one major of the AI SDK, connected to one server at a time."""

    def __init__(self, program: Program, major: Major) -> None:
        self.major = major
        self._program = program
        self._names = (f"chat-{number}" for number in count())

    async def call(self, method: str, **params: Any) -> Any:
        """Call any function of tests/npm/drive, such as `site.open`."""
        return await self._program.call(method, **params)

    async def connect(self, url: str, secret: str) -> None:
        """Speak to this server from now on, as `configure({baseURL, accessToken})` does."""
        await self.call("sdk.connect", url=url, secret=secret)

    async def chat(self, transport: Transport = "trigger", **options: Any) -> Chat:
        """Open a chat; `options` are those of `open` in drive/chats.mjs and of the transport."""
        name = next(self._names)
        await self.call("chat.open", name=name, kind=transport, **options)
        return Chat(self._program, name)

    async def agent(self, task: str, **options: Any) -> AgentChat:
        """Open an `AgentChat` with `task`; `options` are its own."""
        name = next(self._names)
        await self.call("agent.open", name=name, agent=task, **options)
        return AgentChat(self._program, name)

    async def sdk(self, path: str, *args: Any) -> Any:
        """Call a function of Trigger.dev's SDK by its name, such as `sessions.retrieve`."""
        return await self.call("sdk.call", path=path, args=args)


@asynccontextmanager
async def node_client(version: Major = 6) -> AsyncIterator[Node]:
    """Start Node with the published clients of one major; skip or fail where they are missing."""
    require_npm()
    async with program("node", bundle(version) / "driver.cjs") as running:
        yield Node(running, version)
