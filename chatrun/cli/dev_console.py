"""How `dev` and `serve` tell what happens: a line each, for people or as JSON."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, assert_never

from chatrun.cli.chat.safe import safe_line, safe_text
from chatrun.cli.event_lines import event_line
from chatrun.dev.events import (
    Event,
    FileBroken,
    HookEnded,
    Ready,
    Reloaded,
    ReloadFailed,
    RunEnded,
    RunStarted,
    StepEnded,
    Stopping,
    ToolEnded,
    TurnEnded,
    TurnStarted,
    WorkerDied,
    event_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chatrun.worker.protocol import BrokenFile, TaskInfo

    Write = Callable[[str], object]


class JsonConsole:
    """Prints every event as a line of JSON."""

    def show(self, event: Event) -> None:
        """Print `event`."""
        import orjson

        sys.stdout.write(orjson.dumps(event_json(event)).decode() + "\n")
        sys.stdout.flush()


class LineConsole:
    """Prints events for people; in colour where the terminal shows it and NO_COLOR is not set."""

    def __init__(
        self,
        *,
        write: Write | None = None,
        colour: bool | None = None,
        keys: bool = False,
        verbose: bool = False,
        clock: Callable[[], time.struct_time] = time.localtime,
    ) -> None:
        self._write = write or _print
        self._paint = Paint(wants_colour() if colour is None else colour)
        self._keys = keys
        self._verbose = verbose
        self._clock = clock

    def show(self, event: Event) -> None:
        """Print `event`; of a turn only its end is told, and all of it when verbose."""
        for line in self._lines(event):
            self._write(line)

    def say(self, text: str) -> None:
        """Print a line of our own."""
        self._write(text)

    def _lines(self, event: Event) -> Iterable[str]:
        match event:
            case Ready():
                return self._ready(event)
            case FileBroken(fault):
                return self._broken(fault)
            case Reloaded():
                return [self._at(self._reloaded(event))]
            case ReloadFailed():
                return self._failed_reload(event)
            case TurnEnded():
                return self._turn(event)
            case (
                RunStarted() | RunEnded() | TurnStarted() | StepEnded() | ToolEnded() | HookEnded()
            ):
                return self._detail(event)
            case WorkerDied(why):
                said = f"a worker {safe_line(why)}; another takes over its chats"
                return [self._at(self._paint("red", said))]
            case Stopping(open_turns):
                rest = f"; {_counted(open_turns, 'turn')} may finish" if open_turns else ""
                return [self._at(f"stopping{rest}")]
            case _:
                assert_never(event)

    def _ready(self, event: Ready) -> Iterable[str]:
        paint = self._paint
        took = paint("dim", f"ready in {event.took_s:.2f} s")
        yield f"{paint('bold', 'chatrun')} at {paint('cyan', event.url)} · {took}"
        width = max((len(task.id) for task in event.tasks), default=0)
        for task in event.tasks:
            yield f"  {paint('bold', task.id.ljust(width))}  {paint('dim', _place(task))}"
        if not event.tasks:
            yield "  no task was found: `chatrun init` writes one"
        yield f"  page {paint('cyan', event.page)}"
        if self._keys:
            yield paint("dim", "  keys c chat · o open page · r reload · h help · q quit")

    def _reloaded(self, event: Reloaded) -> str:
        named = ", ".join(safe_line(name) for name in event.changed[:3])
        more = f" and {len(event.changed) - 3} more" if len(event.changed) > 3 else ""
        finishing = _counted(event.draining, "turn")
        rest = f" · {finishing} finishing on the code before" if event.draining else ""
        took = f"{event.took_s * 1000:.0f} ms"
        return f"{self._paint('green', 'reloaded')} {named}{more} ({took}){rest}"

    def _failed_reload(self, event: ReloadFailed) -> Iterable[str]:
        last = self._paint("red", "not reloaded, the last good code answers")
        yield self._at(f"{last}{f': {safe_line(event.reason)}' if event.reason else ''}")
        for fault in event.faults:
            yield from self._broken(fault)

    def _broken(self, fault: BrokenFile) -> Iterable[str]:
        yield self._at(self._paint("red", safe_line(fault.message)))
        if fault.code:
            yield self._paint("dim", f"         {safe_text(fault.code)}")

    def _turn(self, event: TurnEnded) -> Iterable[str]:
        colour = {"finished": "green", "stopped": "yellow"}.get(event.outcome, "red")
        said = f"{safe_line(event.task_id)} {self._paint('dim', safe_line(event.chat_id))}"
        ended = f"{self._paint(colour, event.outcome)} ({event.took_s:.1f} s)"
        why = f": {safe_line(event.error)}" if event.error else ""
        where = f" · {safe_line(event.where)}" if event.where else ""
        yield self._at(f"{said} turn {event.turn} {ended}{why}{where}")
        for line in (event.trace or "").rstrip().splitlines():
            yield self._paint("dim", f"         {safe_text(line)}")

    def _detail(self, event: Event) -> Iterable[str]:
        if self._verbose:
            yield self._at(self._paint("dim", event_line(event_json(event))))

    def _at(self, text: str) -> str:
        return f"{self._paint('dim', time.strftime('%H:%M:%S', self._clock()))} {text}"


class Paint:
    """Gives text a style, or leaves it as it is."""

    def __init__(self, colour: bool) -> None:
        self._style: Any = None
        if colour:
            from rich.style import Style

            self._style = Style

    def __call__(self, style: str, text: str) -> str:
        """Return `text` in a style of rich's, such as "bold red"."""
        if self._style is None:
            return text
        from rich.color import ColorSystem

        painted: str = self._style.parse(style).render(text, color_system=ColorSystem.STANDARD)
        return painted


def wants_colour() -> bool:
    """Tell whether standard output is a terminal that may be painted on."""
    return (
        sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") not in {"dumb", "unknown"}
    )


def _print(line: str) -> None:
    print(line, flush=True)


def _place(task: TaskInfo) -> str:
    return f"{safe_line(task.file)}:{task.line}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
