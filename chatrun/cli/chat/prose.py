"""Markdown and other text as rich prints it, without anything that a terminal would act on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from markdown_it import MarkdownIt
from rich.markdown import CodeBlock, Heading, Markdown
from rich.segment import Segment
from rich.syntax import Syntax

from chatrun.cli.chat.safe import safe_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
    from rich.markdown import MarkdownElement

Line = list[Segment]

_PARSER: Final = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
"""Without HTML: rich shows nothing of it, and `<model>` is more often meant as it stands."""


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


class _Block(Safe):
    """Text without empty lines around it."""

    def chosen(self, lines: list[Line]) -> list[Line]:
        full = [at for at, line in enumerate(lines) if any(part.text.strip() for part in line)]
        return lines[full[0] : full[-1] + 1] if full else []


class _Code(CodeBlock):
    """Code as it can be copied: no frame, no ground."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Syntax(
            code, self.lexer_name, theme="ansi_dark", word_wrap=True, background_color="default"
        )


class _Heading(Heading):
    """A heading that stands where text begins."""

    LEVEL_ALIGN: ClassVar[dict[str, JustifyMethod]] = {}


class _Prose(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Heading,
    }


def markdown(text: str) -> RenderableType:
    """Return Markdown that may be printed. Links show where they lead to."""
    prose = _Prose("", hyperlinks=False)
    prose.parsed = _PARSER.parse(text)
    return _Block(prose)


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
