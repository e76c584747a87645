"""The terminal chat: a prompt, answers that stream, commands."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from chatrun.cli.chat.answer_view import AnswerView
from chatrun.cli.chat.commands import COMMANDS, run_command
from chatrun.cli.chat.interrupts import Interrupts
from chatrun.cli.chat.place import Place
from chatrun.cli.chat.plain import call_text, tool_line
from chatrun.cli.chat.prompt import Prompt
from chatrun.cli.chat.reading import read_answer
from chatrun.cli.chat.safe import safe_line, safe_text
from chatrun.cli.chat.screen import Screen
from chatrun.cli.keyboard import Keyboard
from chatrun.errors import ChatrunError, LinkBroken, SecretMissing
from chatrun.messages.types import is_text_part, is_tool_part, tool_name
from chatrun.wire.secret import open_private_folder

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

    from chatrun.cli.chat.opening import Opening
    from chatrun.client.chat_stream import ChatStream
    from chatrun.messages.types import UIMessage

TICK_S: Final = 0.1
SHOWN_MESSAGES: Final = 4
"""How many messages of an earlier chat are shown when it goes on."""


async def run_repl(opening: Opening) -> int:
    """Chat until the user leaves; return the exit code.

    Raises:
        ChatrunError: There is no server to chat with, and none could be started.
    """
    async with Place(opening) as place:
        await Repl(place).run()
    return 0


class Repl:
    """One run of the terminal chat."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.screen = Screen()
        self.is_leaving = False
        self._draft = ""
        """What stands in the line when the user is asked next."""
        self._keyboard = Keyboard()
        self._interrupts = Interrupts()
        self._work: asyncio.Task[None] | None = None
        self._told: tuple[str, ...] = ()
        self._prompt = Prompt(
            history=_history_file(place.opening.folder),
            label=lambda: place.task or "chatrun",
            commands={name: command.does for name, command in COMMANDS.items()},
            arguments={"/switch": lambda: place.refs},
        )

    async def run(self) -> None:
        """Ask, answer, and ask again, until the user leaves."""
        # What is typed while nothing reads waits, Ctrl-D too, for the next prompt.
        with self._keyboard.hushed(), self._interrupts.taken(self._drop_work):
            async with asyncio.TaskGroup() as group:
                # The prompt is there at once; where it leads to is found out meanwhile.
                connecting = group.create_task(self._connect())
                await self._ask_and_answer(group, connecting)
                connecting.cancel()

    def _drop_work(self) -> None:
        if self._work is not None:
            self._work.cancel()

    async def _connect(self) -> None:
        await self.place.connect()
        if self.place.task is None or not self.place.opening.resumes:
            self._prompt.print_above(self.show_place)
        # What the first answer needs is loaded while nobody waits for it.
        import chatrun.cli.chat.prose  # noqa: F401

    async def _ask_and_answer(
        self, group: asyncio.TaskGroup, connecting: asyncio.Task[None]
    ) -> None:
        if self.place.opening.resumes:
            await self._do(group, self._resume(connecting))
        while not self.is_leaving:
            default, self._draft = self._draft, ""
            try:
                line = (await self._prompt.read(default)).strip()
            except KeyboardInterrupt:
                self.screen.note("Ctrl-D or /exit leaves")
                continue
            except EOFError:
                return
            if line:
                await self._do(group, self._take(line, connecting))

    async def _do(self, group: asyncio.TaskGroup, work: Coroutine[object, object, None]) -> None:
        """Do something that Ctrl-C may break off; show what goes wrong, and go on."""
        self._work = group.create_task(work)
        await asyncio.wait({self._work})
        if self._work.cancelled():
            self.screen.note("dropped")
        self._work = None

    async def _resume(self, connecting: asyncio.Task[None]) -> None:
        await connecting
        if self.place.task is not None:
            await self.enter_chat()

    async def _take(self, line: str, connecting: asyncio.Task[None]) -> None:
        """Do what a line asks for; show what goes wrong."""
        await asyncio.shield(connecting)
        try:
            if self.place.task is None:
                await self._choose_task(line)
            elif line.startswith("//"):
                await self._say(line[1:])
            elif not (line.startswith("/") and await run_command(self, line)):
                await self._say(line)
        except ChatrunError as exc:
            self.screen.fault(safe_text(str(exc)))

    async def ask_line(self, default: str) -> str:
        """Return what the user makes of a line; empty when the user drops it."""
        try:
            return (await self._prompt.read(default)).strip()
        except (KeyboardInterrupt, EOFError):
            return ""

    # --- where we are

    def show_place(self) -> None:
        """Say where the chat is, or which tasks there are to choose from."""
        place = self.place
        if place.task is None:
            self.screen.note(f"Which task? {', '.join(place.known.tasks)}")
            return
        own = ", started for this chat" if place.server.is_own else ""
        self.screen.note(f"{place.chat.transport.url}{own} · session {place.chat.id} · /help")
        self._tell_broken()

    def _tell_broken(self) -> None:
        """Say which files cannot be imported, whenever that changes."""
        broken = self.place.known.broken
        if broken != self._told:
            for sentence in broken:
                self.screen.fault(safe_line(sentence))
            if broken:
                self.screen.note("The last code that worked answers.")
        self._told = broken

    async def _choose_task(self, name: str) -> None:
        if name in self.place.known.tasks:
            await self.place.open_chat(name)
        else:
            self.screen.fault(f"There is no task {safe_line(name)}.")
        self.show_place()

    async def enter_chat(self) -> None:
        """Show where the chat is, what was said last, and the answer that is running."""
        self.show_place()
        stream = await self.place.chat.resume()
        for message in self.place.chat.messages[-SHOWN_MESSAGES:]:
            self.show_message(message)
        if stream is not None:
            await self.show_answer(stream)
            await self._answer_tools()

    def show_message(self, message: UIMessage) -> None:
        """Show a message that was said before."""
        from chatrun.cli.chat.prose import markdown

        is_user = message["role"] == "user"
        for part in message["parts"]:
            if is_tool_part(part):
                self.screen.note(f"· {tool_line(part)}")
            elif is_text_part(part) and is_user:
                self.screen.print(f"› {part['text']}", style="bold")
            elif is_text_part(part):
                self.screen.print(markdown(part["text"]))

    # --- answers

    async def _say(self, text: str) -> None:
        self._draft = text
        await self.place.look()
        self._tell_broken()
        await self.answer(self.place.chat.send(text))

    async def answer(self, stream: ChatStream) -> None:
        """Ask for an answer, show it, and ask the user what its tools need to know."""
        try:
            stream = await stream
        except LinkBroken:
            await self._follow()
            stream = await stream  # the same message: it is there once, whichever try brought it
        self._draft = ""
        await self.show_answer(stream)
        await self._answer_tools()

    async def show_answer(self, stream: ChatStream) -> None:
        """Show an answer while it comes. Ctrl-C stops it; a server that went away is followed."""
        view = AnswerView(self.screen)
        with self.screen.growing():
            reading: ChatStream | None = stream
            while reading is not None:
                stream = reading
                reading = await self._read(stream, view)
        view.end(stream.answer.outcome)

    async def _read(self, stream: ChatStream, view: AnswerView) -> ChatStream | None:
        """Show an answer to its end; return what is left of it when the server went away."""
        try:
            with _ticking(view):
                await read_answer(
                    self.place.chat,
                    stream,
                    view.take,
                    interrupts=self._interrupts,
                    on_stop=view.stopping,
                )
        except LinkBroken:
            await self._follow()
            return await self.place.chat.resume()
        return None

    async def _follow(self) -> None:
        self.screen.note("The server is away; waiting for it…")
        await self.place.follow()

    async def _answer_tools(self) -> None:
        """Ask the user about tools that wait for a yes or no, and show what follows."""
        chat = self.place.chat
        while waiting := chat.waiting_tools:
            answers = {}
            for part in waiting:
                call = call_text(tool_name(part), part.get("input"))
                try:
                    answers[part["toolCallId"]] = await self._prompt.ask(f"Run {call}?")
                except (KeyboardInterrupt, EOFError):
                    self.screen.note("It goes on waiting.")
                    return
            await self.show_answer(await chat.approve(answers))


@contextlib.contextmanager
def _ticking(view: AnswerView) -> Iterator[None]:
    """Within the block, draw anew what moves by itself."""
    loop = asyncio.get_running_loop()
    is_over = False

    def tick() -> None:
        if not is_over:
            view.tick()
            loop.call_later(TICK_S, tick)

    loop.call_later(TICK_S, tick)
    try:
        yield
    finally:
        is_over = True


def _history_file(folder: Path) -> Path | None:
    """Return where typed lines are kept; None where that would not be private."""
    try:
        return open_private_folder(folder) / "chat_history"
    except SecretMissing:
        return None
