"""What a client knows of one session: where it has read to, and what was said."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from chatrun.client.chat_messages import ChatMessages
from chatrun.client.turn_reader import taken_up
from chatrun.errors import ScopeMissing, SessionBusy, SessionNotFound
from chatrun.wire.ids import START, new_id
from chatrun.wire.records import IN_EVENT_ID, TURN_COMPLETE, TURN_START

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.client.transport import Transport
    from chatrun.client.wire_types import TranscriptJson
    from chatrun.messages.types import UIMessage
    from chatrun.wire.records import Control
    from chatrun.wire.sse_reader import ServedRecord

_PAGE = 200


class ChatState(TypedDict):
    """What is needed to go on with a chat later, or elsewhere; plain JSON."""

    id: str
    task: str
    lastEventId: NotRequired[int]
    """The last record that was read; in the middle of a turn, the last one before it."""
    token: NotRequired[str]
    """The session's token, where the chat is not opened with the secret."""


class Conversation:
    """One session: sends records, and keeps cursor and messages as records are read."""

    def __init__(
        self, transport: Transport, task: str, chat_id: str, *, state: ChatState | None = None
    ) -> None:
        self.transport = transport
        self.task = task
        self.chat_id = chat_id
        self.client_data: object = None
        self.messages = ChatMessages()
        self.cursor: int = START if state is None else state.get("lastEventId", START)
        self.is_inside = False
        """Whether the cursor is within a turn."""
        self._turn_cursor = self.cursor
        self._started = state is not None
        self._reader: weakref.ref[object] | None = None
        if state is not None:
            transport.bearers.adopt(chat_id, state.get("token"))

    @property
    def state(self) -> ChatState:
        """What to keep, so that the chat can go on from here."""
        state: ChatState = {"id": self.chat_id, "task": self.task}
        if self._turn_cursor > START:
            state["lastEventId"] = self._turn_cursor
        token = self.transport.bearers.fresh(self.chat_id)
        if token is not None:
            state["token"] = token
        return state

    # --- sending

    async def start(self) -> None:
        """Make sure that the session exists."""
        payload = {"trigger": "preload", "chatId": self.chat_id, **self._metadata()}
        await self.transport.start_session(self.task, self.chat_id, base_payload=payload)
        self._started = True

    async def deliver(self, payload: Mapping[str, object], *, part_id: str) -> int | None:
        """Append a message record and return its number; the session is started if need be."""
        body = {"chatId": self.chat_id, **payload, **self._metadata()}
        return await self._append({"kind": "message", "payload": body}, part_id)

    async def say(self, payload: Mapping[str, object], *, part_id: str) -> int | None:
        """Deliver a message record; what it says is among the messages at once."""
        message = cast("UIMessage | None", payload.get("message"))
        if message is None or message["role"] != "user":
            return await self.deliver(payload, part_id=part_id)
        self.messages.say(message)
        try:
            seq = await self.deliver(payload, part_id=part_id)
        except BaseException:
            self.messages.unsay(message["id"])
            raise
        self.messages.number(message["id"], seq)
        return seq

    async def stop(self, *, turn: int | None = None) -> None:
        """Ask for the end of the running turn; returns when the request is durable.

        With `turn`, only the turn that answers the record with this number is meant.
        """
        if self._started:
            meant = {} if turn is None else {"turn": turn}
            await self._append({"kind": "stop", **meant}, new_id("part"))

    async def _append(self, record: Mapping[str, object], part_id: str) -> int | None:
        if not self._started:
            await self._try_to_start()
        try:
            return await self.transport.append(self.chat_id, record, part_id=part_id)
        except SessionNotFound:
            # The server forgot it, or is another one: begin anew, with its numbers.
            self._started, self.is_inside = False, False
            self.cursor = self._turn_cursor = START
            await self.start()
        return await self.transport.append(self.chat_id, record, part_id=part_id)

    async def _try_to_start(self) -> None:
        try:
            await self.start()
        except ScopeMissing:
            self._started = True  # a session's own token: the append will tell

    def _metadata(self) -> dict[str, object]:
        return {} if self.client_data is None else {"metadata": self.client_data}

    # --- reading

    def begin_reading(self, reader: object) -> None:
        """Give `reader` the right to read.

        Raises:
            SessionBusy: Another one, which still exists, has it.
        """
        other = self._reader() if self._reader is not None else None
        if other is not None and other is not reader:
            raise SessionBusy(
                "an earlier answer of this chat is still being read: read it to its end or leave "
                "it with `await stream.aclose()`, then read the next"
            )
        self._reader = weakref.ref(reader)

    def end_reading(self, reader: object) -> None:
        """Take the right back from `reader`, if it has it."""
        if self._reader is not None and self._reader() is reader:
            self._reader = None

    def take(self, record: ServedRecord) -> None:
        """Note a record that was read."""
        self.cursor = record.seq
        if record.chunk is not None:
            self.is_inside = True
            self.messages.take_up(taken_up(record.chunk))
            self.messages.apply(record.chunk)
        elif record.control is not None:
            self._take_control(record.control)

    def _take_control(self, control: Control) -> None:
        self.transport.bearers.adopt(self.chat_id, control.headers.get("public-access-token"))
        if control.subtype == TURN_START:
            self.is_inside = True
            number = control.headers.get(IN_EVENT_ID, "")
            self.messages.begin_up_to(int(number) if number.isdecimal() else START)
        elif control.subtype == TURN_COMPLETE:
            self.is_inside = False
            self._turn_cursor = self.cursor
            self.messages.settle()

    async def load(self) -> list[UIMessage]:
        """Read the whole transcript and go on from where it stands.

        Raises:
            SessionNotFound: There is no such session.
            AccessError: The token may not read transcripts.
        """
        page = await self.transport.transcript(self.chat_id, limit=_PAGE)
        messages, last = list(page["messages"]), page
        while (before := last.get("nextCursor")) is not None:
            last = await self.transport.transcript(self.chat_id, limit=_PAGE, before=before)
            messages[:0] = last["messages"]
        self._started = True
        if self._reader is None or self._reader() is None:
            self._go_on_from(page, messages)
        return messages

    def _go_on_from(self, page: TranscriptJson, messages: list[UIMessage]) -> None:
        self.messages.replace(messages)
        last = page.get("cursors", {}).get("lastOutEventId")
        if last is not None:
            self.cursor = self._turn_cursor = int(last)
            self.is_inside = False
