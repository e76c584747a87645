"""What agents of OpenAI's Agents SDK tell of a run → chunks.

The model's own words come as events of the Responses API, whichever model answers, and go
through their converter; tools and approvals come as items of the run. Source:
`agents.stream_events` and `agents.items`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from chatrun.models.openai_responses_events import ResponsesEvents
from chatrun.models.whole import events_of_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.models.agents import Telling
    from chatrun.wire.chunks import Chunk

NAME: Final = "openai-agents"
_NO_ID: Final = "__fake_id__"
"""The id that the package gives to what comes from another wire than the Responses API."""


class OpenAIAgentsReader:
    """The reader of one run; see `agents.Reader`."""

    def __init__(self, telling: Telling) -> None:
        self._tell = telling
        self._converter: ResponsesEvents | None = None

    def feed(self, item: Any) -> list[Chunk]:
        """Return the chunks of a stream event, of a pending approval, or of a whole run."""
        match getattr(item, "type", None):
            case "raw_response_event":
                return self._raw(_as_dict(item.data))
            case "run_item_stream_event":
                return self._item(item.item)
            case "tool_approval_item":
                raw = _as_dict(item.raw_item)
                call_id = raw.get("call_id") or raw.get("id")
                name = item.tool_name or raw.get("name")
                return self._tell.approval(call_id, name, raw.get("arguments")) if call_id else []
            case _:
                return self._whole(item) if hasattr(item, "raw_responses") else []

    def close(self) -> list[Chunk]:
        """Return the ends of open parts and of the step."""
        return [*self._end_reply(), *self._tell.end_step()]

    def _raw(self, event: Mapping[str, Any]) -> list[Chunk]:
        before: list[Chunk] = []
        if self._converter is None or event.get("type") == "response.created":
            before = [*self._end_reply(), *self._tell.end_step(), *self._tell.begin_step()]
            prefix = f"{self._tell.new_id()}:"
            self._converter = ResponsesEvents(model=NAME, id_prefix=prefix)
        chunks = before
        for chunk in cast("list[Mapping[str, Any]]", self._converter.feed(event)):
            if chunk["type"] == "tool-input-start":
                self._tell.call_start(chunk["toolCallId"], chunk["toolName"])
            chunks.append(_without_fake_id(chunk))
        return [*chunks, *self._end_reply()] if self._converter.ended else chunks

    def _end_reply(self) -> list[Chunk]:
        converter, self._converter = self._converter, None
        if converter is None:
            return []
        if converter.finish is not None:
            self._tell.finishes.append(converter.finish)
        return [_without_fake_id(cast("Mapping[str, Any]", chunk)) for chunk in converter.close()]

    def _item(self, item: Any) -> list[Chunk]:
        """Return what an item adds to the model's own words: results, and calls unheard of."""
        raw = _as_dict(item.raw_item)
        call_id, kind = raw.get("call_id"), str(raw.get("type"))
        if not call_id:
            return []
        if kind.endswith("_output"):
            output = getattr(item, "output", None)
            return self._tell.result(call_id, raw.get("output") if output is None else output)
        if kind.endswith("_call") and not self._tell.knows(call_id):
            given = raw.get("arguments") or raw.get("action") or raw.get("operation")
            name = raw.get("name") or kind.removesuffix("_call")
            return [*self._tell.begin_step(), *self._tell.call_input(call_id, name, given)]
        return []

    def _whole(self, result: Any) -> list[Chunk]:
        """Return a run that nothing was streamed of, and the questions that it ended with."""
        chunks: list[Chunk] = []
        results = [item for item in result.new_items if _is_result(item)]
        for response in result.raw_responses:
            output = [_as_dict(item) for item in response.output]
            reply = {"object": "response", "output": output, "usage": _counts(response.usage)}
            chunks += [c for event in events_of_reply(reply) for c in self._raw(event)]
            called = {item.get("call_id") for item in output}
            for item in results:
                if _as_dict(item.raw_item)["call_id"] in called:
                    chunks += self._item(item)
        return chunks + [c for asked in result.interruptions for c in self.feed(asked)]


def _is_result(item: Any) -> bool:
    raw = _as_dict(item.raw_item)
    return bool(raw.get("call_id")) and str(raw.get("type")).endswith("_output")


def _counts(usage: Any) -> dict[str, object]:
    """Return the usage of a response as its wire has it."""
    details = {f"{way}_tokens_details" for way in ("input", "output")}
    counts = {f"{way}_tokens": getattr(usage, f"{way}_tokens") for way in ("input", "output")}
    return counts | {key: _as_dict(getattr(usage, key, None)) for key in details}


def _as_dict(value: Any) -> Mapping[str, Any]:
    """Return an object of the openai package as the JSON it stands for; dicts as they are."""
    if hasattr(value, "model_dump"):
        dumped = value.model_dump(mode="json", exclude_unset=True, warnings=False)
        return cast("Mapping[str, Any]", {"type": getattr(value, "type", None), **dumped})
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _without_fake_id(chunk: Mapping[str, Any]) -> Chunk:
    """Return `chunk` without the id that stands for none: no provider would know it."""
    metadata = chunk.get("providerMetadata")
    if metadata is None or metadata.get("openai", {}).get("itemId") != _NO_ID:
        return cast("Chunk", chunk)
    return cast("Chunk", {key: chunk[key] for key in chunk if key != "providerMetadata"})
