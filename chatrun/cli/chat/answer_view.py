"""Shows an answer while it comes: text as Markdown, reasoning and tools as a line each."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.text import Text

from chatrun.cli.chat.markdown_blocks import MarkdownBlocks
from chatrun.cli.chat.plain import call_text, short
from chatrun.cli.chat.safe import SafeText, safe_line
from chatrun.cli.chat.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import RenderableType

_SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_THOUGHT: Final = 60
"""How much of a running thought is shown."""


@dataclass(slots=True)
class _Prose:
    """Text that streams in."""

    safe: SafeText = field(default_factory=SafeText)
    blocks: MarkdownBlocks = field(default_factory=MarkdownBlocks)


@dataclass(slots=True)
class _Thought:
    """Reasoning that streams in; only its end is kept."""

    began: float
    safe: SafeText = field(default_factory=SafeText)
    end: str = ""


@dataclass(slots=True)
class _Call:
    """A tool call that is not over."""

    name: str
    began: float
    value: object = None
    typed: str = ""

    @property
    def text(self) -> str:
        if self.value is None and self.typed:
            return f"{safe_line(self.name)}({short(self.typed)})"
        return call_text(self.name, self.value)


class AnswerView:
    """One answer on the screen."""

    def __init__(self, screen: Screen, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._clock = clock
        self._prose: dict[object, _Prose] = {}
        self._thoughts: dict[object, _Thought] = {}
        self._calls: dict[object, _Call] = {}
        self._is_stopping = False
        self._said_anything = False
        self._line_is_open = False
        self._takers: Mapping[str, Callable[[Mapping[str, object]], None]] = {
            "text-start": self._text_start,
            "text-delta": self._text_delta,
            "text-end": self._text_end,
            "reasoning-start": self._reasoning_start,
            "reasoning-delta": self._reasoning_delta,
            "reasoning-end": self._reasoning_end,
            "tool-input-start": self._tool_start,
            "tool-input-delta": self._tool_delta,
            "tool-input-available": self._tool_input,
            "tool-input-error": self._tool_error,
            "tool-output-available": self._tool_output,
            "tool-output-error": self._tool_error,
            "tool-output-denied": self._tool_denied,
            "source-url": self._source,
            "source-document": self._source,
            "file": self._file,
            "error": self._error,
        }

    def take(self, chunk: Mapping[str, object]) -> None:
        """Show a chunk; of kinds that are not for people, nothing is shown."""
        taker = self._takers.get(str(chunk["type"]))
        if taker is not None:
            taker(chunk)
        self._draw()

    def stopping(self) -> None:
        """Show that the answer is being stopped."""
        self._is_stopping = True
        self._draw(now=True)

    def tick(self) -> None:
        """Draw anew what moves by itself."""
        self._draw()

    def end(self, outcome: str | None) -> None:
        """Show what is left, and how the turn ended if that is worth a word."""
        for part_id in list(self._thoughts):
            self._reasoning_end({"id": part_id})
        for part_id in list(self._prose):
            self._text_end({"id": part_id})
        self._close_line()
        for call in self._calls.values():
            self._step("·", call.text, "dim")
        self._calls.clear()
        if outcome == "stopped":
            self._screen.note("stopped")
        elif outcome == "timed-out":
            self._screen.fault("the turn took too long and was ended")
        self._screen.print("")

    # --- text

    def _text_start(self, chunk: Mapping[str, object]) -> None:
        self._prose[chunk["id"]] = _Prose()

    def _text_delta(self, chunk: Mapping[str, object]) -> None:
        prose = self._prose.setdefault(chunk["id"], _Prose())
        text = prose.safe.feed(str(chunk["delta"]))
        if not self._screen.redraws:
            self._write(text)
            return
        for block in prose.blocks.feed(text):
            self._print_block(block)

    def _text_end(self, chunk: Mapping[str, object]) -> None:
        prose = self._prose.pop(chunk["id"], None)
        if prose is None:
            return
        if not self._screen.redraws:
            self._close_line()
        elif rest := prose.blocks.finish():
            self._print_block(rest)

    def _print_block(self, block: str) -> None:
        from chatrun.cli.chat.prose import markdown

        if self._said_anything:
            self._screen.print("")
        self._said_anything = True
        self._screen.print(markdown(block))

    def _write(self, text: str) -> None:
        if text:
            self._screen.write(text)
            self._line_is_open = not text.endswith("\n")

    def _close_line(self) -> None:
        if self._line_is_open:
            self._write("\n")

    # --- reasoning

    def _reasoning_start(self, chunk: Mapping[str, object]) -> None:
        self._thoughts[chunk["id"]] = _Thought(self._clock())

    def _reasoning_delta(self, chunk: Mapping[str, object]) -> None:
        thought = self._thoughts.setdefault(chunk["id"], _Thought(self._clock()))
        thought.end = (thought.end + thought.safe.feed(str(chunk["delta"])))[-4 * _THOUGHT :]

    def _reasoning_end(self, chunk: Mapping[str, object]) -> None:
        thought = self._thoughts.pop(chunk["id"], None)
        if thought is not None:
            self._step("✻", f"thought for {self._clock() - thought.began:.1f} s", "dim italic")

    # --- tools

    def _tool_start(self, chunk: Mapping[str, object]) -> None:
        self._calls[chunk["toolCallId"]] = _Call(str(chunk["toolName"]), self._clock())

    def _tool_delta(self, chunk: Mapping[str, object]) -> None:
        call = self._calls.get(chunk["toolCallId"])
        if call is not None:
            call.typed += str(chunk["inputTextDelta"])

    def _tool_input(self, chunk: Mapping[str, object]) -> None:
        fresh = _Call(str(chunk["toolName"]), self._clock())
        self._calls.setdefault(chunk["toolCallId"], fresh).value = chunk["input"]

    def _tool_output(self, chunk: Mapping[str, object]) -> None:
        if chunk.get("preliminary"):
            return
        self._end_call(chunk, "✓", f"→ {_as_text(chunk['output'])}", "green")

    def _tool_error(self, chunk: Mapping[str, object]) -> None:
        why = short(chunk["errorText"])
        if "toolName" in chunk:
            self._tool_input(chunk)
        self._end_call(chunk, "✗", f"failed: {why}", "red")

    def _tool_denied(self, chunk: Mapping[str, object]) -> None:
        self._end_call(chunk, "✗", "was not allowed", "yellow")

    def _end_call(self, chunk: Mapping[str, object], mark: str, ended: str, style: str) -> None:
        call = self._calls.pop(chunk["toolCallId"], None)
        if call is None:  # one of an earlier answer, which waited for the user
            self._step(mark, ended, style)
            return
        took = self._clock() - call.began
        seconds = f" ({took:.1f} s)" if took >= 0.1 else ""
        self._step(mark, f"{call.text} {ended}{seconds}", style)

    # --- the rest

    def _source(self, chunk: Mapping[str, object]) -> None:
        named = chunk.get("title") or chunk.get("filename") or ""
        self._step("↗", f"{safe_line(str(named))} {safe_line(str(chunk.get('url', '')))}", "dim")

    def _file(self, chunk: Mapping[str, object]) -> None:
        url = str(chunk["url"])
        where = "" if url.startswith("data:") else f" {short(url)}"
        self._step("▪", f"file, {safe_line(str(chunk['mediaType']))}{where}", "dim")

    def _error(self, chunk: Mapping[str, object]) -> None:
        self._close_line()
        self._screen.fault(safe_line(str(chunk["errorText"])))

    def _step(self, mark: str, text: str, style: str) -> None:
        """Print a line that stays: no more than one, however narrow the terminal."""
        self._close_line()
        if self._said_anything:
            self._screen.print("")
            self._said_anything = False
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{mark} ", style)
        line.append(text.strip(), "dim")
        self._screen.print(line)

    # --- what is redrawn

    def _draw(self, *, now: bool = False) -> None:
        self._screen.draw(self._growing, now=now)

    def _growing(self) -> list[RenderableType]:
        from chatrun.cli.chat.prose import markdown

        parts: list[RenderableType] = []
        for prose in self._prose.values():
            rest = prose.blocks.tail(self._screen.height)
            if rest:
                parts += [Text(""), markdown(rest)] if self._said_anything else [markdown(rest)]
        moving = [f"thinking {thought.end}" for thought in self._thoughts.values()]
        moving += [call.text for call in self._calls.values()]
        if self._is_stopping:
            moving = ["stopping; Ctrl-C again leaves"]
        elif not moving and not parts:
            moving = [""]
        return parts + [self._moving(text) for text in moving]

    def _moving(self, text: str) -> RenderableType:
        frame = _SPINNER[int(self._clock() * 10) % len(_SPINNER)]
        width = max(1, self._screen.console.width - 3)
        line = safe_line(text)
        shown = line if len(line) <= width else f"…{line[-width + 1 :]}"
        return Text(f"{frame} {shown}", "dim", no_wrap=True, overflow="crop")


def _as_text(value: object) -> str:
    return short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
