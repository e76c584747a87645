"""Markdown as the terminal chat shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from markdown_it import MarkdownIt
from rich.markdown import CodeBlock, Heading, Markdown
from rich.syntax import Syntax

from chatrun.cli.chat.safely import Line, Safe

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
    from rich.markdown import MarkdownElement

_PARSER: Final = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
"""Without HTML: rich shows nothing of it, and `<model>` is more often meant as it stands."""


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
