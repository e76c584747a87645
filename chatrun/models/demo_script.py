"""What the demo model says: a script of events for each request.

The command at the beginning of the last user message chooses the script; without one, the demo
says what it is and how to get a real model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from chatrun.models import prompt
from chatrun.models.demo_input import example_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chatrun.models.base import ModelRequest, Runs, ToolSpec
    from chatrun.wire.chunks import Chunk


@dataclass(frozen=True, slots=True)
class Event:
    """An event as Anthropic would send it."""

    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Send:
    """A chunk that no event of Anthropic's stands for."""

    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence, as long as this many words take."""

    words: float = 1.0


Step = Event | Send | Pause
Script = Iterator[Step]

_FIRST_PAUSE: Final = Pause(2)
_KEYS: Final = (
    "To talk to a real model, put ANTHROPIC_API_KEY=... or OPENAI_API_KEY=... into .env and name "
    'the model in your task: stream_text("anthropic:<model>", ...) or "openai:<model>".'
)
_COMMANDS: Final = (
    "I also take commands: /reason, /long, /slow, /tool, /approve, /ask, /source, /file, /error."
)
_QUOTE_CHARS: Final = 200


@dataclass(slots=True)
class _Writer:
    """Builds the events of one answer and counts its words."""

    index: int = -1
    words: int = 0

    def block(self, block: dict[str, Any], deltas: Script) -> Script:
        """Yield one content block."""
        self.index += 1
        where = {"index": self.index}
        yield Event({"type": "content_block_start", **where, "content_block": block})
        for step in deltas:
            if isinstance(step, Event):
                event = {"type": "content_block_delta", **where, "delta": step.event}
                yield Event(event)
            else:
                yield step
        yield Event({"type": "content_block_stop", **where})

    def text(
        self, text: str, *, pace: float = 1.0, cites: Mapping[str, Any] | None = None
    ) -> Script:
        """Yield `text` word by word; `pace` above 1 is slower."""
        words = self._words("text_delta", "text", text, pace)
        yield from self.block({"type": "text", "text": ""}, _with_citation(words, cites))

    def reasoning(self, text: str) -> Script:
        """Yield `text` as reasoning. It is not signed, so no real model is ever shown it."""
        words = self._words("thinking_delta", "thinking", text, 1.0)
        yield from self.block({"type": "thinking", "thinking": "", "signature": ""}, words)

    def call(self, name: str, call_id: str, given: object) -> Script:
        """Yield a tool call, its input in small pieces."""
        text = json.dumps(given)
        pieces = [text[start : start + 8] for start in range(0, len(text), 8)]

        def deltas() -> Script:
            for piece in pieces:
                yield Pause()
                yield Event({"type": "input_json_delta", "partial_json": piece})

        block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        yield from self.block(block, deltas())

    def _words(self, kind: str, key: str, text: str, pace: float) -> Script:
        for word in re.findall(r"\s*\S+\s*$|\s*\S+", text):
            self.words += 1
            yield Pause(pace)
            yield Event({"type": kind, key: word})


def _with_citation(deltas: Script, cites: Mapping[str, Any] | None) -> Script:
    yield from deltas
    if cites is not None:
        yield Event({"type": "citations_delta", "citation": dict(cites)})


def script_for(request: ModelRequest) -> Script:
    """Yield the answer to `request`, from its first event to its last."""
    writer = _Writer()
    said = _last_user_text(request)
    results = _results(request)
    count = sum(message["role"] == "user" for message in request.messages)
    message = {"id": f"demo_{count}_{len(results)}", "model": "demo", "content": []}
    usage = {"input_tokens": _count_words(request), "output_tokens": 1}
    yield _FIRST_PAUSE
    yield Event({"type": "message_start", "message": {**message, "usage": usage}})
    command, _, rest = said.strip().partition(" ")
    stop = "end_turn"
    if results:
        yield from _told(writer, results)
    elif command in _TOOL_COMMANDS:
        called = yield from _call_tool(writer, command, rest.strip(), request, count)
        stop = "tool_use" if called else stop
    else:
        yield from _SCRIPTS.get(command, _plain)(writer, said, count)
    counted = {"output_tokens": max(writer.words, 1)}
    delta = {"stop_reason": stop, "stop_sequence": None}
    yield Event({"type": "message_delta", "delta": delta, "usage": counted})
    yield Event({"type": "message_stop"})


def _plain(writer: _Writer, said: str, count: int) -> Script:
    quoted = said if len(said) <= _QUOTE_CHARS else f"{said[:_QUOTE_CHARS].rstrip()}..."
    yield from writer.reasoning(
        f"This is message {count} of the chat. There is no model behind me, so all I can do "
        "truthfully is to show that I received it and to say what I am."
    )
    heard = f'You said: "{quoted}"' if quoted else "You sent a message without text."
    yield from writer.text(
        f"{heard}\n\nI am chatrun's demo model. I need no key and know nothing: I am here so that "
        f"you can see your chat work.\n\n{_KEYS}\n\n{_COMMANDS}"
    )


def _long(writer: _Writer, said: str, count: int) -> Script:
    lines = [
        f"Line {number} of 100 of a long answer, told word by word." for number in range(1, 101)
    ]
    yield from writer.text("\n".join(lines))


def _slow(writer: _Writer, said: str, count: int) -> Script:
    yield Pause(60)
    text = "I take my time, a second or so for every word, so that you can try to stop me."
    yield from writer.text(text, pace=45)


def _reason(writer: _Writer, said: str, count: int) -> Script:
    thoughts = [f"Thought {number}: there is still nothing to find out." for number in range(1, 21)]
    yield from writer.reasoning("\n".join(thoughts))
    yield from writer.text(
        "I have thought about it in twenty steps; they are in the reasoning above."
    )


def _error(writer: _Writer, said: str, count: int) -> Script:
    yield from writer.text("I am about to fail, as asked:")
    error = {"type": "overloaded_error", "message": "the demo model failed because you said /error"}
    yield Event({"type": "error", "error": error})


def _source(writer: _Writer, said: str, count: int) -> Script:
    page = {
        "type": "web_search_result_location",
        "url": "https://www.rfc-editor.org/rfc/rfc2606",
        "title": "RFC 2606: Reserved Top Level DNS Names",
        "cited_text": "example.com",
        "encrypted_index": "",
    }
    yield from writer.text("Some names are reserved for examples, says RFC 2606.", cites=page)


def _file(writer: _Writer, said: str, count: int) -> Script:
    image = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 60">'
        '<rect width="120" height="60" rx="8" fill="#3b6ea8"/>'
        '<text x="60" y="36" font-size="18" text-anchor="middle" fill="#fff">demo</text></svg>'
    )
    yield from writer.text("Here is a small picture:")
    url = f"data:image/svg+xml,{quote(image)}"
    yield Send({"type": "file", "mediaType": "image/svg+xml", "url": url})


_SCRIPTS: Final[dict[str, Callable[[_Writer, str, int], Script]]] = {
    "/long": _long,
    "/slow": _slow,
    "/reason": _reason,
    "/error": _error,
    "/source": _source,
    "/file": _file,
}

_TOOL_COMMANDS: Final[dict[str, tuple[Runs, str, str]]] = {
    "/tool": ("here", "a tool", "@tool"),
    "/approve": ("after-approval", "a tool that needs approval", "@tool(needs_approval=True)"),
    "/ask": ("in-client", "a tool that the client answers", "@tool(client=True)"),
}


def _call_tool(
    writer: _Writer, command: str, wanted: str, request: ModelRequest, count: int
) -> Generator[Step, None, bool]:
    """Yield a call of the tool that `command` asks for; return whether there was one.

    `wanted` may name the tool and give its input: `/tool weather {"city": "Paris"}`.
    """
    runs, kind, declared = _TOOL_COMMANDS[command]
    name, _, given = wanted.partition(" ")
    tools = [tool for tool in request.tools if tool.native is None]
    fitting = [t for t in tools if t.name == name] if name else [t for t in tools if t.runs == runs]
    if not fitting:
        offered = ", ".join(tool.name for tool in tools) or "none"
        which = f'the tool "{name}"' if name else kind
        yield from writer.text(
            f"For {command} I would need {which}, and the task offers none such (it offers: "
            f"{offered}). Declare one with {declared} and give it to the task."
        )
        return False
    tool = fitting[0]
    yield from writer.text(f"I am calling {tool.name}.")
    yield from writer.call(tool.name, f"demo_call_{count}", _input_for(tool, given))
    return True


def _told(writer: _Writer, results: Sequence[tuple[str, str]]) -> Script:
    lines = [f"{name} answered: {text[:_QUOTE_CHARS]}" for name, text in results]
    yield from writer.text("\n".join(lines))


def _last_user_text(request: ModelRequest) -> str:
    for message in reversed(request.messages):
        if message["role"] == "user":
            parts = prompt.parts_of(message)
            return "".join(part["text"] for part in parts if part["type"] == "text").strip()
    return ""


def _results(request: ModelRequest) -> list[tuple[str, str]]:
    """Return the name and text of each tool result that the request ends in."""
    results: list[tuple[str, str]] = []
    for message in reversed(request.messages):
        if message["role"] != "tool":
            break
        parts = [part for part in prompt.parts_of(message) if part["type"] == "tool-result"]
        results[:0] = [(part["toolName"], prompt.output_text(part["output"])) for part in parts]
    return results


def _count_words(request: ModelRequest) -> int:
    return sum(len(prompt.to_json(message["content"]).split()) for message in request.messages)


def _input_for(tool: ToolSpec, given: str) -> object:
    """Return the input that was given as JSON, else the simplest that fits the tool's schema."""
    if given:
        try:
            return json.loads(given)
        except ValueError:
            pass
    return example_of(tool.input_schema, root=tool.input_schema)
