"""The keys of `chatrun dev`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import webbrowser
from collections import deque
from typing import TYPE_CHECKING

from chatrun.cli.keyboard import Keyboard, give_terminal_to
from chatrun.dev.events import Event, Ready, Reloaded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chatrun.cli.dev_console import LineConsole

HELP = """\
  c  chat with a task in this terminal; what happens meanwhile is told afterwards
  o  open the page in a browser
  r  load the code anew
  h  this help
  q  quit (so does Ctrl-C)"""


class Keys:
    """Shows events, and does what single keys ask for."""

    def __init__(self, console: LineConsole, folder: Path, *, open_page: bool) -> None:
        self.quit_asked = False
        self._console = console
        self._folder = folder
        self._open_page = open_page
        self._keyboard = Keyboard()
        self._ready: Ready | None = None
        self._task_file: str | None = None
        self._chat: subprocess.Popen[bytes] | None = None
        self._held: deque[Event] = deque()
        """What happened while the terminal belonged to a chat."""

    def show(self, event: Event) -> None:
        """Show `event`, now or when the chat is over."""
        if isinstance(event, Ready | Reloaded):
            self._task_file = event.tasks[0].file if event.tasks else None
        if self._chat is None:
            self._console.show(event)
        else:
            self._held.append(event)
        if isinstance(event, Ready):
            self._ready = event
            if self._open_page:
                webbrowser.open(event.page)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Within the block, keys are read, if there is a keyboard."""
        if not self._keyboard.is_there:
            yield
            return
        self._listen()
        try:
            yield
        finally:
            self._look_away()
            if self._chat is not None:
                self._chat.terminate()

    def _listen(self) -> None:
        self._keyboard.hush()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read)

    def _look_away(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        self._keyboard.restore()

    def _read(self) -> None:
        typed = os.read(sys.stdin.fileno(), 64)
        if not typed:
            self._look_away()
        for key in typed.decode(errors="ignore").lower():
            self._press(key)

    def _press(self, key: str) -> None:
        if key == "q":
            self.quit_asked = True
            os.kill(os.getpid(), signal.SIGINT)
        elif key == "h":
            self._console.say(HELP)
        elif key == "r":
            self._reload()
        elif self._ready is not None and key == "o":
            webbrowser.open(self._ready.page)
        elif self._ready is not None and key == "c" and self._chat is None:
            self._start_chat(self._ready.url)

    def _reload(self) -> None:
        """Touch a file of the project: the watcher takes it for a save."""
        if self._task_file is None:
            self._console.say("  no task was found: save one")
            return
        with contextlib.suppress(OSError):
            os.utime(self._folder / self._task_file)

    def _start_chat(self, url: str) -> None:
        """Give the terminal to a chat, which is interrupted alone while it has it."""
        self._look_away()
        options = ("--url", url, "--dir", str(self._folder))
        command = [sys.executable, "-m", "chatrun", "chat", *options]
        self._chat = subprocess.Popen(command, process_group=0)
        give_terminal_to(self._chat.pid)
        over = asyncio.get_running_loop().run_in_executor(None, self._chat.wait)
        over.add_done_callback(lambda _: self._end_chat())

    def _end_chat(self) -> None:
        self._chat = None
        give_terminal_to(os.getpgrp())
        self._listen()
        while self._held:
            self._console.show(self._held.popleft())
