"""The line where the user types: history, completion, more than one line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.utils import is_dumb_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.key_binding import KeyPressEvent


class Prompt:
    """Reads what the user types."""

    def __init__(
        self,
        *,
        history: Path | None,
        label: Callable[[], str],
        commands: Mapping[str, str],
        arguments: Mapping[str, Callable[[], Iterable[str]]],
    ) -> None:
        """Keep what was typed in the file `history`, if there is one.

        `label` says what stands in front of the line; `commands` are names and what they do;
        `arguments` give the words that may follow some of them.
        """
        self._label = label
        self._output = PlainTextOutput(sys.stdout) if is_dumb_terminal() else None
        self._session: PromptSession[str] = PromptSession(
            output=self._output,
            history=_open_history(history),
            completer=_Commands(commands, arguments),
            complete_while_typing=True,
            key_bindings=_keys(),
            multiline=True,
            prompt_continuation="… ",
            reserve_space_for_menu=4,
        )

    async def read(self, default: str = "") -> str:
        """Return what the user typed, `default` being there already.

        Raises:
            EOFError: The user has gone (Ctrl-D on an empty line).
            KeyboardInterrupt: The user dropped the line (Ctrl-C).
        """
        return await self._session.prompt_async(
            lambda: [("bold ansigreen", self._label()), ("", " › ")],
            default=default,
            handle_sigint=False,
        )

    async def ask(self, question: str) -> bool:
        """Return whether the answer to a question is yes; it is no unless it begins with a y."""
        session: PromptSession[str] = PromptSession(output=self._output)
        answer = await session.prompt_async(
            lambda: [("bold", f"{question} [y/N] ")], handle_sigint=False
        )
        return answer.strip().lower().startswith("y")

    def print_above(self, show: Callable[[], None]) -> None:
        """Have `show` print above the line that is being typed."""
        # Not through run_in_terminal, which gives the keyboard its line editing back for as
        # long: a Ctrl-D that comes then would be swallowed.
        app = self._session.app
        if app.is_running and self._output is None:
            app.renderer.erase()
        show()
        app.invalidate()


def _open_history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    try:
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            buffer.complete_state = None  # what was chosen stands in the line already
        elif buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


class _Commands(Completer):
    """Completes commands, and the words that follow them."""

    def __init__(
        self,
        commands: Mapping[str, str],
        arguments: Mapping[str, Callable[[], Iterable[str]]],
    ) -> None:
        self._commands = commands
        self._arguments = arguments

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield what may stand at the cursor."""
        command, has_space, typed = document.text_before_cursor.partition(" ")
        if not command.startswith("/") or "\n" in document.text:
            return
        if has_space:
            words = self._arguments.get(command, tuple)()
            yield from (Completion(word, -len(typed)) for word in words if word.startswith(typed))
            return
        for name, does in self._commands.items():
            if name.startswith(command):
                yield Completion(name, -len(command), display_meta=does)
