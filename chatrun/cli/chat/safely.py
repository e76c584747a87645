"""What rich prints, without anything that a terminal would act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment

from chatrun.cli.chat.safe import safe_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

Line = list[Segment]


class Safe:
    """Anything of rich's, without what its text would do to a terminal.

    It is filtered as it is printed, behind everything that reads markup: `&#x202e;` in Markdown
    is a control too. Blanks at the ends of lines go with it.
    """

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render with every text made safe."""
        segments = console.render(self._inner, options)
        for line in self.chosen(list(Segment.split_lines(map(_safe, segments)))):
            yield from _trimmed(line)
            yield Segment.line()

    def chosen(self, lines: list[Line]) -> list[Line]:
        """Return which lines are shown: all of them."""
        return lines


def _safe(segment: Segment) -> Segment:
    return segment if segment.control else Segment(safe_text(segment.text), segment.style)


def _trimmed(line: Line) -> Line:
    """Return a line without the blanks that only fill it up."""
    kept = list(line)
    while kept and not kept[-1].control:
        last = kept.pop()
        if rest := last.text.rstrip(" "):
            return [*kept, Segment(rest, last.style)]
    return kept
