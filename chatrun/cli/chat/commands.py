"""The commands of the terminal chat."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatrun.cli.chat.opening import ref_of
from chatrun.cli.chat.safe import safe_line
from chatrun.errors import InvalidInput, SessionNotFound
from chatrun.messages.types import message_text

if TYPE_CHECKING:
    from chatrun.cli.chat.repl import Repl

Run = Callable[["Repl", str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    """What a command does, in words and in deed."""

    does: str
    run: Run


async def run_command(repl: Repl, line: str) -> bool:
    """Do what `line`, which begins with a slash, asks for.

    Returns False when it is no command of ours: then the task may know it.

    Raises:
        InvalidInput: It is almost one of ours.
        ChatrunError: It cannot be done.
    """
    name, _, argument = line.partition(" ")
    command = COMMANDS.get(name)
    if command is not None:
        await command.run(repl, argument.strip())
        return True
    near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.75)
    if near:
        raise InvalidInput(f"did you mean {near[0]}? /{name} says it to the task as it is")
    return False


async def _help(repl: Repl, _argument: str) -> None:
    for name, command in COMMANDS.items():
        repl.screen.print(f"  {name:<10} {command.does}")
    repl.screen.note("  Alt-Enter or a \\ at the end begins another line.")
    repl.screen.note("  Ctrl-C stops an answer, Ctrl-D leaves.")
    repl.screen.note("  Other commands go to the task; // in front sends it one of these.")


async def _new(repl: Repl, _argument: str) -> None:
    await repl.place.open_chat(repl.place.chat.task)
    repl.show_place()


async def _stop(repl: Repl, _argument: str) -> None:
    await repl.place.chat.stop()
    stream = await repl.place.chat.resume()
    if stream is None:
        repl.screen.note("no answer is running")
    else:
        await repl.show_answer(stream)


async def _regen(repl: Repl, _argument: str) -> None:
    if not any(message["role"] == "user" for message in repl.place.chat.messages):
        raise InvalidInput("nothing was said yet")
    await repl.answer(repl.place.chat.regenerate())


async def _edit(repl: Repl, _argument: str) -> None:
    said = [message for message in repl.place.chat.messages if message["role"] == "user"]
    if not said:
        raise InvalidInput("nothing was said yet")
    text = await repl.ask_line(message_text(said[-1]))
    if text:
        await repl.answer(repl.place.chat.edit(said[-1]["id"], text))


async def _sessions(repl: Repl, _argument: str) -> None:
    here = repl.place.chat.id
    for session in await repl.place.list_sessions():
        mark = "›" if ref_of(session) == here else " "
        when = session["updatedAt"][:16].replace("T", " ")
        repl.screen.print(f"{mark} {safe_line(ref_of(session))}  {when}")


async def _switch(repl: Repl, argument: str) -> None:
    if not argument:
        raise InvalidInput("say where to: /switch and a session's id; /sessions lists them")
    session = await repl.place.desk.transport.session(argument)
    if session["taskIdentifier"] not in {repl.place.chat.task, *repl.place.known.tasks}:
        raise SessionNotFound(f"session {argument!r} is of a task that is not served here")
    await repl.place.open_chat(session["taskIdentifier"], ref_of(session))
    await repl.enter_chat()


async def _history(repl: Repl, _argument: str) -> None:
    messages = repl.place.chat.messages or await repl.place.chat.history()
    for message in messages:
        repl.show_message(message)


async def _info(repl: Repl, _argument: str) -> None:
    chat, server = repl.place.chat, repl.place.server
    own = ", started for this chat" if server.is_own else ""
    repl.screen.print(f"  task      {chat.task}")
    repl.screen.print(f"  session   {chat.id}, {len(chat.messages)} messages here")
    repl.screen.print(f"  server    {chat.transport.url}{own}")
    repl.screen.print(
        f"  tasks     {', '.join(repl.place.known.tasks) or 'not told to this token'}"
    )


async def _exit(repl: Repl, _argument: str) -> None:
    repl.is_leaving = True


COMMANDS: Final[dict[str, Command]] = {
    "/help": Command("this list", _help),
    "/new": Command("a new session", _new),
    "/stop": Command("stop an answer that is running elsewhere", _stop),
    "/regen": Command("have the last answer given again", _regen),
    "/edit": Command("say your last message differently", _edit),
    "/sessions": Command("list the task's sessions", _sessions),
    "/switch": Command("go to another session", _switch),
    "/history": Command("show what was said", _history),
    "/info": Command("show where this chat is", _info),
    "/exit": Command("leave", _exit),
}
