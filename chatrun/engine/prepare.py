"""What comes before the task is called: the message is taken in, hooks have their say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from chatrun.engine.history import receive
from chatrun.engine.hooks import (
    CHAT_START,
    HYDRATE,
    TURN_START,
    VALIDATE_MESSAGES,
    ChatStart,
    Hydrate,
    TurnStart,
    ValidateMessages,
)
from chatrun.engine.steering import was_steered
from chatrun.engine.turn_history import TurnHistory
from chatrun.errors import ChatError, InvalidInput
from chatrun.messages.check import check_message
from chatrun.messages.types import is_tool_part

if TYPE_CHECKING:
    from chatrun.engine.answer import Answer
    from chatrun.engine.run import Run
    from chatrun.engine.turn import Turn
    from chatrun.messages.types import ToolUIPart, UIMessage
    from chatrun.wire.inputs import Message


class Intake:
    """Takes one message into the history of `run`."""

    def __init__(self, run: Run, message: Message, *, fallback_id: str) -> None:
        self._run = run
        self._message = message
        self._fallback_id = fallback_id
        self._settled = False

    async def prepare(self, turn: Turn[Any], answer: Answer) -> None:
        """Do all that comes before the task, in the order of features.md §1.2.

        Raises:
            Exception: What a hook raised, or why there is nothing to answer.
        """
        await self._open(turn)
        if VALIDATE_MESSAGES in self._run.task.hooks:
            await self._validate(turn)
        await self._hydrate(turn)
        self.take_in(turn)
        await self._begin(turn, answer)

    def is_repeat(self) -> bool:
        """Tell whether an earlier answer was steered with this very message: it was sent again.

        It is in the history and was answered there, so there is nothing more to do.
        """
        message, history = self._message, self._run.history
        if message.message is None or message.message_id is not None:
            return False
        index = history.index(cast("str | None", message.message.get("id")))
        if index is None or message.standing is not None:
            return False
        known = history.messages[index]
        self._settled = known == message.message and was_steered(known, history.messages[index:])
        return self._settled

    async def prepare_action(self, turn: Turn[Any]) -> None:
        """Do all that comes before an action's handler. Raises what `prepare` raises."""
        self._settled = True  # an action brings no message
        await self._open(turn)
        await self._hydrate(turn)

    async def prepare_turn_of_action(
        self, turn: Turn[Any], answer: Answer, message: UIMessage | None
    ) -> None:
        """Do all that comes before the task when an action's handler has asked for a turn."""
        if message is not None:
            self._run.history.put(check_message(message, what="the action's message"))
        self._run.save_history()
        await self._begin(turn, answer)

    async def _open(self, turn: Turn[Any]) -> None:
        task = self._run.task
        turn.client_data = task.client_data.parse(turn.client_data)
        turn.tools = await task.tools_of(turn)
        if task.skills is not None:
            loaded = await task.skills.load()
            turn.skill_tools, turn.preamble = loaded.tools, loaded.preamble

    async def _begin(self, turn: Turn[Any], answer: Answer) -> None:
        """Settle into which message is answered, and let the turn's hooks have their say."""
        task = self._run.task
        base = self._run.history.last_assistant()
        if base is not None:
            answer.go_on_with(base)
        if not self._run.chat_started:
            self._run.chat_started = True
            await task.hooks.run(CHAT_START, ChatStart(turn))
        await task.hooks.run(TURN_START, TurnStart(turn))
        own = await task.system_of(turn)
        turn.system = "\n\n".join(text for text in (own, turn.preamble) if text) or None
        await turn.prepare_messages()

    async def _validate(self, turn: Turn[Any]) -> None:
        """Have hooks look at what was sent; what they refuse never enters the history."""
        sent = self._sent()
        if not sent:
            return
        hooks = self._run.task.hooks
        self._settled = True  # should a hook raise
        checked = await hooks.ask(
            VALIDATE_MESSAGES, sent, lambda messages: ValidateMessages(turn, tuple(messages))
        )
        self._settled = False
        self._message = replace(self._message, message=cast("dict[str, object]", checked[-1]))

    async def _hydrate(self, turn: Turn[Any]) -> None:
        if HYDRATE not in self._run.task.hooks:
            return
        stored = tuple(self._run.history.messages)
        messages = await self._run.task.hooks.ask(
            HYDRATE,
            list(stored),
            lambda found: Hydrate(turn, incoming=self._sent(), stored=tuple(found)),
        )
        self._run.history.messages = list(messages)

    def take_in(self, turn: Turn[Any] | None = None) -> None:
        """Put the message into the history, once; it is on its way to the transcript then.

        Raises:
            ChatError: There is nothing to answer, in words for the client.
        """
        if self._settled:
            return
        self._settled = True
        before = {call["toolCallId"] for call in _results(self._run.history.messages)}
        try:
            receive(self._run.history, self._message, fallback_id=self._fallback_id)
        except InvalidInput as exc:
            raise ChatError(str(exc)) from exc
        finally:
            self._run.save_history()
        if turn is not None:
            results = _results(self._run.history.messages)
            fresh = [call for call in results if call["toolCallId"] not in before]
            turn.history = TurnHistory(self._run.history, self._run.save_history, new_results=fresh)

    def _sent(self) -> tuple[UIMessage, ...]:
        message = self._message.message
        return (cast("UIMessage", message),) if message is not None else ()


def _results(messages: list[UIMessage]) -> list[ToolUIPart]:
    """Return the resolved tool calls of the last message."""
    parts = messages[-1]["parts"] if messages else []
    return [part for part in parts if is_tool_part(part) and part["state"].startswith("output-")]
