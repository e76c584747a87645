"""What LangGraph and LangChain wrap around messages: stream modes, events, states.

Understood are the items of `graph.astream` in all its forms, of `astream_events`, and what
`ainvoke` returns; messages themselves are told by `agents_langchain`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.models.agents import family_of, plain
from chatrun.models.agents_langchain import Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chatrun.models.agents import Telling
    from chatrun.wire.chunks import Chunk

MODES: Final = frozenset(
    ("messages", "updates", "custom", "values", "checkpoints", "tasks", "debug")
)
_INTERRUPT: Final = "__interrupt__"
_PASSED: Final = ("data-", "source-")
"""What the types of chunks begin with that a graph may send through its stream writer."""


def is_graph_tuple(value: object) -> bool:
    """Tell whether a tuple is an item of a graph's stream rather than a sequence of items."""
    if (
        not isinstance(value, tuple)
        or len(value) not in (2, 3)
        or "langchain_core" not in sys.modules
    ):
        return False
    if len(value) == 3:
        return isinstance(value[0], tuple) and value[1] in MODES
    head, data = value
    if isinstance(head, str):
        return head in MODES
    if isinstance(head, tuple):  # a namespace and the data of the one mode asked for
        return all(isinstance(name, str) for name in head) and _is_graph_data(data)
    return _is_message(head) and isinstance(data, Mapping)


def is_graph_dict(value: Mapping[str, Any]) -> bool:
    """Tell whether a dict is an item of a graph's stream, an event, or a graph's state."""
    if "ns" in value and value.get("type") in MODES:
        return True
    if "type" in value:
        return False
    return ("event" in value and "run_id" in value) or _is_graph_data(value)


def _is_graph_data(value: object) -> bool:
    if is_graph_tuple(value):
        return True
    if not isinstance(value, Mapping) or not value or "langchain_core" not in sys.modules:
        return False
    if _INTERRUPT in value or _has_messages(value):
        return True
    return all(update is None or _has_messages(update) for update in value.values())


def _may_be_state(value: Mapping[str, Any]) -> bool:
    """Tell whether what a graph gave is a state or the updates of its nodes, messages or not."""
    return _is_graph_data(value) or all(
        update is None or isinstance(update, Mapping) for update in value.values()
    )


def _has_messages(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    messages = value.get("messages")
    found = messages if isinstance(messages, list) else [messages]
    return bool(found) and all(_is_message(message) for message in found)


def _is_message(value: object) -> bool:
    return family_of(value) == "langchain" and hasattr(value, "content_blocks")


class LangGraphReader:
    """The reader of one run of a graph or a chat model; see `agents.Reader`."""

    def __init__(self, telling: Telling) -> None:
        self._tell = telling
        self._messages = Messages(telling)
        self._streams_messages = False
        """Whether messages are streamed; then states and updates only repeat them."""
        self._streamed: set[object] = set()
        """The runs of models whose messages came in pieces."""
        self._asked: set[object] = set()
        """The interrupts that were told."""

    def feed(self, item: Any) -> list[Chunk]:
        """Return the chunks of a message or of an item of a graph's stream."""
        if isinstance(item, tuple):
            return self._tuple(item)
        if not isinstance(item, Mapping):
            return self._messages.feed(item) if hasattr(item, "content_blocks") else []
        if "ns" in item and "type" in item:
            return self._mode(item["type"], item["data"])
        if "event" in item and "run_id" in item:
            return self._event(item)
        return self._state(item) if _may_be_state(item) else [self._custom(item)]

    def close(self) -> list[Chunk]:
        """Return the ends of open messages and of the step."""
        return [*self._messages.end(), *self._tell.end_step()]

    def _tuple(self, item: tuple[Any, ...]) -> list[Chunk]:
        if len(item) == 3:
            return self._mode(item[1], item[2])
        head, data = item
        if isinstance(head, str):
            return self._mode(head, data)
        return self.feed(data) if isinstance(head, tuple) else self._mode("messages", item)

    def _mode(self, mode: str, data: Any) -> list[Chunk]:
        match mode:
            case "messages":
                self._streams_messages = True
                return self._messages.feed(data[0])
            case "custom":
                return [self._custom(data)]
            case "updates" | "values":
                return self._state(data)
            case _:
                return []

    def _custom(self, data: Any) -> Chunk:
        kind = data.get("type") if isinstance(data, Mapping) else None
        if isinstance(kind, str) and kind.startswith(_PASSED):
            return cast("Chunk", data)
        return self._tell.data("custom", data)

    # --- states and updates -----------------------------------------------------------------

    def _state(self, state: Mapping[str, Any]) -> list[Chunk]:
        """Return the messages of a state, or of the updates of its nodes, and its questions."""
        chunks: list[Chunk] = []
        if not self._streams_messages:
            if "messages" in state:
                chunks += self._messages.whole(_since_the_question(state["messages"]))
            else:
                for update in state.values():
                    if _has_messages(update):
                        chunks += self._messages.whole(_listed(update["messages"]))
        return [*chunks, *self._interrupts(state.get(_INTERRUPT) or ())]

    def _interrupts(self, interrupts: Iterable[Any]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for interrupt in interrupts:
            if interrupt.id not in self._asked:
                self._asked.add(interrupt.id)
                chunks += [*self._messages.end(), *self._question(interrupt)]
        return chunks

    def _question(self, interrupt: Any) -> list[Chunk]:
        """Return the questions whether calls may run; of another kind they are a data part."""
        value = plain(interrupt.value)
        requests = value.get("action_requests") if isinstance(value, Mapping) else None
        asked: list[Chunk] = []
        for request in requests or ():
            given = request.get("args", request.get("arguments"))
            asked += self._messages.approval(request.get("name"), given) or ()
        return [*asked, self._tell.data("interrupt", value, id=str(interrupt.id))]

    # --- events -----------------------------------------------------------------------------

    def _event(self, event: Mapping[str, Any]) -> list[Chunk]:
        handler = _EVENTS.get(event["event"])
        return handler(self, event, event.get("data") or {}) if handler is not None else []

    def _piece(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> list[Chunk]:
        self._streamed.add(event["run_id"])
        return self._messages.feed(data["chunk"]) if _is_message(data.get("chunk")) else []

    def _output(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> list[Chunk]:
        """Return a whole message or a tool's result; other outputs are not for pages."""
        if event["run_id"] in self._streamed or not _is_message(data.get("output")):
            return []
        return self._messages.feed(data["output"])

    def _tool_error(self, _: Mapping[str, Any], data: Mapping[str, Any]) -> list[Chunk]:
        call_id, error = data.get("tool_call_id"), data.get("error")
        return self._messages.fail(call_id, error) if call_id else []

    def _chain_event(self, _: Mapping[str, Any], data: Mapping[str, Any]) -> list[Chunk]:
        chunk = data.get("chunk")
        found = chunk.get(_INTERRUPT) if isinstance(chunk, Mapping) else None
        return self._interrupts(found or ())

    def _custom_event(self, event: Mapping[str, Any], data: Any) -> list[Chunk]:
        return [self._tell.data(event["name"], data)]


_EVENTS: Final[
    dict[str, Callable[[LangGraphReader, Mapping[str, Any], Mapping[str, Any]], list[Chunk]]]
] = {
    "on_chat_model_stream": LangGraphReader._piece,
    "on_chat_model_end": LangGraphReader._output,
    "on_tool_end": LangGraphReader._output,
    "on_tool_error": LangGraphReader._tool_error,
    "on_chain_stream": LangGraphReader._chain_event,
    "on_custom_event": LangGraphReader._custom_event,
}


def _since_the_question(messages: Any) -> list[Any]:
    """Return what stands behind the last message of a person: the answer."""
    found = _listed(messages)
    people = [index for index, message in enumerate(found) if message.type == "human"]
    return found[people[-1] + 1 :] if people else found


def _listed(messages: Any) -> list[Any]:
    return messages if isinstance(messages, list) else [messages]
