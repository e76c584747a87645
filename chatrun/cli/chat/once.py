"""One question, one answer: `chatrun chat my-chat "hello"`, or a message piped in."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING

from chatrun.cli.chat.desk import open_desk, several_tasks
from chatrun.cli.chat.interrupts import Interrupts
from chatrun.cli.chat.plain import call_text
from chatrun.cli.chat.reading import read_answer
from chatrun.cli.chat.safe import SafeText, safe_line
from chatrun.errors import ChatrunError
from chatrun.messages.types import tool_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.cli.chat.opening import Opening
    from chatrun.client.agent_chat import AgentChat
    from chatrun.client.chat_stream import ChatStream

INTERRUPTED = 130


async def ask_once(opening: Opening, text: str, *, jsonl: bool) -> int:
    """Say `text` and print the answer as it comes; return the exit code."""
    async with open_desk(opening) as desk:
        task = await desk.task_of(opening)
        if task is None:
            raise several_tasks(await desk.known())
        chat_id = await desk.session_of(opening, task)
        async with desk.chat(task, chat_id) as chat:
            if chat_id is not None:
                with contextlib.suppress(ChatrunError):
                    await chat.history()  # where the session stands; the answer comes without
            return await _answer(chat, text, jsonl=jsonl)


async def _answer(chat: AgentChat, text: str, *, jsonl: bool) -> int:
    stream = await chat.send(text)
    printer = JsonPrinter() if jsonl else TextPrinter()
    try:
        was_interrupted = await read_answer(chat, stream, printer.show, interrupts=Interrupts())
        printer.end()
    except BrokenPipeError:
        await stream.aclose()  # nobody reads on: what more would come is for nobody
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return INTERRUPTED if was_interrupted else _exit_code(chat, stream)


class TextPrinter:
    """Prints the text of an answer, and nothing else of it."""

    def __init__(self) -> None:
        self._safe = SafeText()
        self._part_is_over = False
        self._line_is_open = False

    def show(self, chunk: Mapping[str, object]) -> None:
        """Print a chunk. An empty line goes between two parts."""
        if chunk["type"] == "text-end":
            self._part_is_over = True
        elif chunk["type"] == "text-delta":
            if self._part_is_over:
                self.end()
                self._write("\n")
                self._part_is_over = False
            self._write(self._safe.feed(str(chunk["delta"])))

    def end(self) -> None:
        """End the last line."""
        if self._line_is_open:
            self._write("\n")

    def _write(self, text: str) -> None:
        if text:
            self._line_is_open = not text.endswith("\n")
            sys.stdout.write(text)
            sys.stdout.flush()


class JsonPrinter:
    """Prints every chunk as a line of JSON."""

    def show(self, chunk: Mapping[str, object]) -> None:
        """Print a chunk. It is ASCII: no terminal acts on it, whatever the text says."""
        sys.stdout.write(json.dumps(chunk) + "\n")
        sys.stdout.flush()

    def end(self) -> None:
        """Print nothing: the last chunk was the last line."""


def _exit_code(chat: AgentChat, stream: ChatStream) -> int:
    answer = stream.answer
    if answer.error is not None:
        print(f"chatrun: {safe_line(answer.error)}", file=sys.stderr)
        return 1
    for part in chat.waiting_tools:
        call = call_text(tool_name(part), part.get("input"))
        command = f"chatrun chat {chat.task} --session {chat.id}"
        print(f"chatrun: {call} waits for your yes or no: `{command}`", file=sys.stderr)
    if answer.outcome in {None, "finished"}:
        return 0
    print(f"chatrun: the answer was {answer.outcome}", file=sys.stderr)
    return 1
