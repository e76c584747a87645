"""Items of any kind → chunks in good order: text gets its part, provider events their converter.

What is a chunk already passes as it is. Around text and raw events steps are opened and closed,
unless whoever sends has opened one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.errors import ChunkInvalid, ProviderTruncated
from chatrun.models.agents import Telling, family_of, plain
from chatrun.models.agents_langgraph import LangGraphReader, is_graph_dict
from chatrun.models.agents_openai import OpenAIAgentsReader
from chatrun.models.agents_pydantic import PydanticAIReader, RunEnded
from chatrun.models.agents_sources import GraphItem
from chatrun.models.anthropic_events import AnthropicEvents
from chatrun.models.openai_chat_events import ChatEvents
from chatrun.models.openai_responses_events import ResponsesEvents
from chatrun.models.whole import chunks_of_message, events_of_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatrun.models.agents import EarlierCall, Reader
    from chatrun.models.base import ModelFinish
    from chatrun.models.reading import Converter
    from chatrun.models.sources import StreamEnded
    from chatrun.wire.chunks import Chunk

Event = Mapping[str, Any]

_CONVERTERS: Final[Mapping[str, Callable[..., Converter]]] = {
    "anthropic": AnthropicEvents,
    "chat": ChatEvents,
    "openai": ResponsesEvents,
}

_READERS: Final[Mapping[str, Callable[[Telling], Reader]]] = {
    "pydantic-ai": PydanticAIReader,
    "openai-agents": OpenAIAgentsReader,
    "langchain": LangGraphReader,
}

# What `MessageStream` of the anthropic package adds to the wire's own events.
_ECHOES: Final = frozenset(("text", "thinking", "input_json", "citation", "signature", "ping"))


class Gathering:
    """The answer of one task in the making."""

    def __init__(self, earlier: EarlierCall | None = None) -> None:
        """Gather an answer; `earlier` knows the calls of the message that it goes on with."""
        self.finish: ModelFinish | None = None
        """How the last provider's answer ended."""
        self._finishes: list[ModelFinish] = []
        self._earlier = earlier
        self._agents: dict[str, tuple[Telling, Reader]] = {}
        """What reads the runs of brought agents, by their family."""
        self.finish_reason: str | None = None
        self._token = secrets.token_hex(3)
        self._count = 0
        self._text_id: str | None = None
        self._step: str | None = None
        """Who opened the step that is open: "we", "they"; None when none is."""
        self._finished = False
        self._converter: Converter | None = None
        self._kind = ""
        self._reply: object = None
        """The id of the reply whose events are being converted."""

    def feed(self, item: object) -> list[Chunk]:
        """Return the chunks of one item.

        Raises:
            ChunkInvalid: It is nothing that can be sent.
            ProviderError: It is a provider's word that it failed.
        """
        if isinstance(item, str):
            return self._say(item) if item else []
        if (agent := _agent_of(item)) is not None:
            return self._tell(agent, item.value if isinstance(item, GraphItem) else item)
        event = item if isinstance(item, Mapping) else _as_dict(item)
        kind = kind_of(event)
        match kind:
            case "chunk":
                return self._pass(event)
            case "echo":
                return []
            case "message":
                return [c for chunk in chunks_of_message(event) for c in self._pass(chunk)]
            case "reply":
                return [c for part in events_of_reply(event) for c in self.feed(part)]
            case "wrapped":
                return self.feed(event["chunk"])
            case None:
                raise ChunkInvalid(f"{_described(item)} is nothing that can be sent as a chunk")
            case _:
                return self._convert(kind, event)

    def take_finishes(self) -> list[ModelFinish]:
        """Return how each model call ended that has ended since this was last asked."""
        taken, self._finishes = self._finishes, []
        return taken

    def stream_ended(self, ended: StreamEnded) -> list[Chunk]:
        """Return the end of a stream's answer.

        Raises:
            ProviderTruncated: It was a provider's own stream, and broke off.
        """
        self.finish_reason = ended.finish_reason or self.finish_reason
        open_converter = self._converter
        chunks = self._end_reply()
        if ended.package and open_converter is not None and open_converter.finish is None:
            raise ProviderTruncated(f"the answer of {ended.package} broke off", model=ended.package)
        return chunks

    def close(self) -> list[Chunk]:
        """Return what is left to send: the ends of text and step, and why the answer ended."""
        chunks = [*self._end_text(), *self._end_reply(), *self._end_step()]
        for telling, reader in self._agents.values():
            chunks += self._taken(telling, reader.close())
        reason = self.finish.reason if self.finish is not None else self.finish_reason
        if reason is not None and not self._finished:
            chunks.append(cast("Chunk", {"type": "finish", "finishReason": reason}))
        return chunks

    def _tell(self, agent: str, item: object) -> list[Chunk]:
        """Return the chunks of what a brought agent tells."""
        if agent not in self._agents:
            telling = Telling(self._earlier)
            self._agents[agent] = (telling, _READERS[agent](telling))
        telling, reader = self._agents[agent]
        return self._taken(telling, reader.feed(item))

    def _taken(self, telling: Telling, chunks: list[Chunk]) -> list[Chunk]:
        """Return an agent's chunks in their place, and take over how its model calls ended."""
        self._note(telling.finishes)
        telling.finishes = []
        return [told for chunk in chunks for told in self._pass(chunk)]

    def _note(self, finishes: list[ModelFinish]) -> None:
        self._finishes += finishes
        self.finish = finishes[-1] if finishes else self.finish

    def _say(self, text: str) -> list[Chunk]:
        start: list[Chunk] = []
        if self._text_id is None:
            start = [*self._end_reply(), *self._begin_step()]
            self._text_id = self._new_id()
            start.append({"type": "text-start", "id": self._text_id})
        return [*start, {"type": "text-delta", "id": self._text_id, "delta": text}]

    def _pass(self, chunk: Event) -> list[Chunk]:
        """Return a chunk as it is, behind the end of what it follows."""
        kind = chunk["type"]
        before: list[Chunk] = []
        if self._text_id is not None or self._converter is not None:
            before = [*self._end_text(), *self._end_reply()]
        if kind == "start-step":
            before += self._end_step()
            self._step = "they"
        elif kind == "finish-step":
            self._step = None
        elif kind == "finish":
            before += self._end_step()
            self._finished = True
        return [*before, cast("Chunk", chunk)]

    def _convert(self, kind: str, event: Event) -> list[Chunk]:
        begin = self._begin_reply(kind, event)
        assert self._converter is not None
        chunks = [*begin, *self._converter.feed(event)]
        if self._converter.ended:
            chunks += self._end_reply()
        return chunks

    def _begin_reply(self, kind: str, event: Event) -> list[Chunk]:
        """Make sure that the converter of the reply that `event` belongs to is there."""
        reply = event.get("id") if kind == "chat" else None
        if self._converter is not None and (kind, reply) == (self._kind, self._reply):
            return []
        before = [*self._end_text(), *self._end_reply(), *self._begin_step()]
        prefix = f"{self._new_id()}:"
        self._converter = _CONVERTERS[kind](model=kind, id_prefix=prefix)
        self._kind, self._reply = kind, reply
        return before

    def _end_reply(self) -> list[Chunk]:
        converter, self._converter = self._converter, None
        if converter is None:
            return []
        chunks = converter.close()
        if converter.finish is not None:
            self._note([converter.finish])
        return [*chunks, *self._end_step()]

    def _begin_step(self) -> list[Chunk]:
        if self._step is not None:
            return []
        self._step = "we"
        return [{"type": "start-step"}]

    def _end_step(self) -> list[Chunk]:
        """Close the step that is open if it was opened here; others close their own."""
        if self._step != "we":
            return []
        self._step = None
        return [{"type": "finish-step"}]

    def _end_text(self) -> list[Chunk]:
        text_id, self._text_id = self._text_id, None
        return [] if text_id is None else [{"type": "text-end", "id": text_id}]

    def _new_id(self) -> str:
        self._count += 1
        return f"{self._token}{self._count}"


def _agent_of(item: object) -> str | None:
    """Return which family of agents an item comes from."""
    if isinstance(item, GraphItem | tuple):
        return "langchain"
    if isinstance(item, Mapping):
        return "langchain" if is_graph_dict(item) else None
    return family_of(item) or ("pydantic-ai" if isinstance(item, RunEnded) else None)


def kind_of(event: Event) -> str | None:
    """Return what an item is: the wire of an event, "chunk", "echo", "message", "reply" or so.

    The type of an event is told by its `type`, never by its class: the packages label events they
    do not know with the class of another one.
    """
    kind = event.get("type")
    if not isinstance(kind, str):
        return _kind_of_untyped(event)
    if kind.startswith(("message_", "content_block_")):
        return "anthropic"
    if kind.startswith("response."):
        return "openai"
    if kind == "error" and "errorText" not in event:
        return "anthropic" if isinstance(event.get("error"), Mapping) else "openai"
    if kind == "chunk" and "chunk" in event:
        return "wrapped"
    if kind == "message" and "content" in event:
        return "reply"
    if kind in _ECHOES or kind.startswith(("content.", "refusal.", "logprobs.", "tool_calls.")):
        return "echo"
    return "chunk"


def _kind_of_untyped(event: Event) -> str | None:
    form = event.get("object")
    if form == "chat.completion.chunk" or (form is None and "choices" in event):
        return "chat"
    if form in ("chat.completion", "response"):
        return "reply"
    return "message" if "role" in event and "parts" in event else None


def _as_dict(item: Any) -> dict[str, Any]:
    """Return an event object of a package as the JSON it came from."""
    if not hasattr(item, "model_dump"):
        if hasattr(item, "choices"):  # of a package that copies the shape of OpenAI's chunks
            return cast("dict[str, Any]", plain(item, fallback=vars))
        raise ChunkInvalid(
            f"a task cannot send {_described(item)}: send text, chunks, a UI message, a stream of "
            "the anthropic or openai packages, a run of an agent, or an iterator of these"
        )
    dumped = item.model_dump(mode="json", exclude_unset=True, warnings=False)
    return cast("dict[str, Any]", dumped)


def _described(item: object) -> str:
    kind = type(item)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"a value of the type {name}"
