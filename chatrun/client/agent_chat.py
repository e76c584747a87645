"""`AgentChat`: a chat with any task, from Python."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Self

from chatrun.client.at_hand import find_secret, find_url
from chatrun.client.chat_result import ChatResult
from chatrun.client.chat_stream import ChatStream
from chatrun.client.conversation import ChatState, Conversation
from chatrun.client.transport import Transport
from chatrun.errors import AccessError, InvalidInput, SessionNotFound
from chatrun.messages.types import UIMessage, user_message
from chatrun.wire.ids import START, check_external_id, check_task_id, new_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from chatrun.client.bearers import TokenSource
    from chatrun.client.follow import Follower
    from chatrun.client.timing import Timing
    from chatrun.messages.types import ToolUIPart

__all__ = ["AgentChat", "ChatResult", "ChatState", "ChatStream"]


class AgentChat:
    """One chat with one task: an async context manager.

        async with AgentChat("my-chat") as chat:
            print(await chat.send("Hello").text())

    It speaks to a server over HTTP, as the published JavaScript clients do. Leaving it stops
    nothing that runs. Methods that send raise what `ChatStream` and `Transport` raise.
    """

    def __init__(
        self,
        task: str,
        *,
        id: str | None = None,
        url: str | None = None,
        secret: str | None = None,
        token: str | TokenSource | None = None,
        client_data: object = None,
        session_state: ChatState | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Chat with `task` in the session `id`, or in a new one.

        The server is `url`, else `CHATRUN_URL`; else in a task the one that runs it, and elsewhere
        the one that answers for the working folder. It is opened with its `secret` or a `token` (a
        text, or a function that gives one and another when the first has expired), else with
        `CHATRUN_SECRET_KEY`; else in a task as that server's own, and elsewhere with
        `.chatrun/secret` of the working folder. `client_data` goes with every message, as JSON.
        `session_state` is the `state` of an earlier object, to go on with.

        Raises:
            InvalidInput: An id or the address cannot be one.
            SecretMissing: There is neither secret nor token.
        """
        state = session_state
        address = url or find_url()
        if secret is None and token is None and not (state and state.get("token")):
            secret = find_secret(address)
        found = id or (state["id"] if state is not None else None) or _new_chat_id()
        self._transport = Transport(address, secret=secret, token=token, timing=timing)
        self._conversation = Conversation(
            self._transport, check_task_id(task), _checked_ref(found), state=state
        )
        self.client_data = client_data

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    # --- what is known

    @property
    def id(self) -> str:
        """The chat's id: the session's external id."""
        return self._conversation.chat_id

    @property
    def task(self) -> str:
        """The id of the task that answers."""
        return self._conversation.task

    @property
    def client_data(self) -> object:
        """What goes with every message; the next one takes what it is then."""
        return self._conversation.client_data

    @client_data.setter
    def client_data(self, value: object) -> None:
        self._conversation.client_data = value

    @property
    def transport(self) -> Transport:
        """The connection to the server."""
        return self._transport

    @property
    def state(self) -> ChatState:
        """What to keep, as JSON, to go on with the chat later: `session_state`."""
        return self._conversation.state

    @property
    def messages(self) -> list[UIMessage]:
        """What was said, as far as this object sent or read it, oldest first."""
        return self._conversation.messages.all

    @property
    def waiting_tools(self) -> list[ToolUIPart]:
        """The tool calls that wait for a yes or no; answer them with `approve`."""
        return self._conversation.messages.waiting_tools()

    # --- what is said

    def send(self, message: str | UIMessage) -> ChatStream:
        """Say something; the stream is the answer."""
        return self._ask({"trigger": "submit-message", "message": _as_message(message)})

    def edit(self, message_id: str, text: str) -> ChatStream:
        """Put `text` in place of an earlier message of the user's; all behind it is dropped."""
        said = user_message(text, message_id=message_id)
        return self._ask({"trigger": "submit-message", "message": said, "messageId": message_id})

    def regenerate(self, message_id: str | None = None) -> ChatStream:
        """Have the last answer, or the one with this id, given again."""
        self._conversation.messages.cut_answer(message_id)
        named = {} if message_id is None else {"messageId": message_id}
        return self._ask({"trigger": "regenerate-message", **named})

    def action(self, action: object) -> ChatStream:
        """Have the task's `on_action` act on a payload; it may answer."""
        return self._ask({"trigger": "action", "action": action})

    def approve(self, answers: Mapping[str, bool], *, reason: str | None = None) -> ChatStream:
        """Answer the waiting tool calls with these ids, each with yes or no.

        Raises:
            InvalidInput: No such call waits.
        """
        waiting = {part["toolCallId"]: part for part in self.waiting_tools}
        unknown = sorted(answers.keys() - waiting.keys())
        if unknown or not answers:
            raise InvalidInput(f"no tool call waits for an answer: {', '.join(unknown) or 'none'}")
        return self._answer_tools(
            {
                call_id: {
                    "state": "approval-responded",
                    "approval": {
                        "id": waiting[call_id]["approval"]["id"],
                        "approved": approved,
                        **({} if reason is None else {"reason": reason}),
                    },
                }
                for call_id, approved in answers.items()
            }
        )

    def give_outputs(self, outputs: Mapping[str, object]) -> ChatStream:
        """Give the outputs, as JSON, of tool calls that are left to the client, by their ids.

        Raises:
            InvalidInput: No message has such a call.
        """
        return self._answer_tools(
            {
                call_id: {"state": "output-available", "output": output}
                for call_id, output in outputs.items()
            }
        )

    async def steer(self, message: str | UIMessage) -> None:
        """Say something into the running turn; returns when it is durable.

        A task without steering, or an idle one, answers it in a turn of its own, which `resume`
        reads.
        """
        payload = {"trigger": "submit-message", "message": _as_message(message)}
        await self._conversation.say(payload, part_id=new_id("part"))

    async def stop(self) -> None:
        """Stop the running turn; returns when the request is durable.

        Its stream ends with what was said so far. Nothing happens when no turn is running.
        """
        await self._conversation.stop()

    async def preload(self) -> None:
        """Start the session, so that the first answer comes sooner."""
        await self._conversation.start()

    async def close(self) -> None:
        """Have the task end its run. The session stays open: a later message starts another."""
        await self._conversation.deliver({"trigger": "close"}, part_id=new_id("part"))

    # --- what was said before

    async def resume(self) -> ChatStream | None:
        """Return the answer that is running, or that has not been read; None when there is none.

        A chat of which nothing has been read yet reads its history first. Leaving the stream
        does not stop the turn.
        """
        conversation = self._conversation
        try:
            if conversation.cursor == START and not self.messages:
                await self._try_to_load()
                # Of a stream without a turn, the server cannot tell that none is coming.
                if not self.messages and await self._transport.is_untouched(self.id):
                    return None
            follower = self._transport.follow(self.id, after=conversation.cursor, peek=True)
            await follower.open()
        except SessionNotFound:
            return None
        stream = ChatStream(conversation, None, follower=follower)
        try:
            conversation.begin_reading(stream)
            if await self._holds_answer(follower):
                return stream
        except BaseException:
            await stream.aclose()
            raise
        await stream.aclose()
        return None

    async def _holds_answer(self, follower: Follower) -> bool:
        """Tell whether a turn is running, or the rest of one is there to be read."""
        if not follower.settled:
            return True
        async for record in follower:
            if record.chunk is not None:
                follower.put_back(record)
                return True
            self._conversation.take(record)
        return False

    reconnect = resume

    async def history(self) -> list[UIMessage]:
        """Return what was said, as the server keeps it, oldest first.

        Raises:
            SessionNotFound: Nothing was said yet.
            ScopeMissing: The token may not read it.
        """
        return await self._conversation.load()

    async def _try_to_load(self) -> None:
        try:
            await self._conversation.load()
        except AccessError:
            return  # a session's token: what the stream still holds must do

    def _ask(self, payload: Mapping[str, object]) -> ChatStream:
        return ChatStream(self._conversation, payload)

    def _answer_tools(self, answers: Mapping[str, Mapping[str, object]]) -> ChatStream:
        message = self._conversation.messages.overlay(answers)
        if message is None:
            raise InvalidInput(f"no message has a tool call {', '.join(answers)}")
        return self._ask({"trigger": "submit-message", "message": message})


def _as_message(message: str | UIMessage) -> UIMessage:
    if isinstance(message, str):
        return user_message(message, message_id=new_id("msg"))
    return message


def _new_chat_id() -> str:
    return f"chat-{secrets.token_hex(8)}"


def _checked_ref(chat_id: str) -> str:
    # A session that was started without an external id is reached by its own.
    return chat_id if chat_id.startswith("session_") else check_external_id(chat_id)
