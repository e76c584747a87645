"""What the terminal chat prints: through rich, and nothing that a terminal would act on."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from chatrun.cli.chat.safe import safe_text
from chatrun.cli.chat.safely import Safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import ConsoleOptions, RenderableType, RenderResult

REFRESH_S: Final = 0.05
"""How often what is growing is drawn anew, at most."""
_MARGIN: Final = 2


class Screen:
    """The terminal below the prompt: lines that stay, and below them a part that is redrawn."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._live: Live | None = None
        self._drawn_at = 0.0
        self._drawing_s = 0.0

    @property
    def redraws(self) -> bool:
        """Whether something can be redrawn; a dumb terminal only adds lines."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    @property
    def height(self) -> int:
        """How many lines a part that is redrawn may have."""
        return max(3, self.console.height - _MARGIN)

    def print(self, *parts: RenderableType, style: str = "") -> None:
        """Print something that stays."""
        for part in parts:
            text = Text(part, style) if isinstance(part, str) else part
            self.console.print(Safe(text), soft_wrap=False)

    def note(self, text: str) -> None:
        """Print a remark of ours."""
        self.print(text, style="dim")

    def fault(self, text: str) -> None:
        """Print what went wrong."""
        self.print(text, style="red")

    def write(self, text: str) -> None:
        """Add plain text to the last line at once, for terminals that cannot redraw."""
        self.console.out(safe_text(text), end="", highlight=False)
        self.console.file.flush()

    @contextlib.contextmanager
    def growing(self) -> Iterator[None]:
        """Within the block, `draw` shows something below the lines that stay; then it is gone."""
        if not self.redraws:
            yield
            return
        self._live = Live(
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with self._live:
            try:
                yield
            finally:
                self._live = None

    def draw(self, make: Callable[[], Iterable[RenderableType]], *, now: bool = False) -> None:
        """Show what `make` makes in place of what was drawn before.

        Without `now`, what comes too soon behind the last one is left out.
        """
        began = time.monotonic()
        # What takes long to draw is drawn less often: a stream must not wait for its picture.
        too_soon = began - self._drawn_at < max(REFRESH_S, 4 * self._drawing_s)
        if self._live is None or (too_soon and not now):
            return
        self._live.update(_Cropped(list(make()), self.height), refresh=True)
        self._drawn_at = time.monotonic()
        self._drawing_s = self._drawn_at - began


class _Cropped:
    """Parts below one another, of which only the last lines are shown."""

    def __init__(self, parts: list[RenderableType], height: int) -> None:
        self._parts = parts
        self._height = height

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the last lines."""
        lines: list[list[Segment]] = []
        for part in self._parts:
            lines += console.render_lines(Safe(part), options.update(height=None), pad=False)
        shown = lines[-self._height :]
        for at, line in enumerate(shown):
            yield from line
            if at < len(shown) - 1:
                yield Segment.line()
