"""Random streams of chunks, most of them in an order that clients accept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chatrun.errors import ChunkInvalid
from chatrun.messages.fold import MessageFold

if TYPE_CHECKING:
    from random import Random

    from chatrun.wire.chunks import Profile

IDS = ("a", "b", "c")
NAMES = ("x", "get-weather")
WORDS = ("", "Hi", " there", "é", "😀", "👩‍👩‍👧", "\n", '"', "\\", "\u2028", "{", "x" * 40)
# How often a kind of chunk is tried, by its maker.
WEIGHTS = {
    "start": 2,
    "border": 3,
    "end": 2,
    "text": 24,
    "whole": 2,
    "data": 3,
    "input_start": 3,
    "input_delta": 14,
    "input_end": 4,
    "approval_request": 3,
    "output": 8,
}
WEIGHTS_V7 = {"reset": 1, "whole_of_v7": 2, "approval_response": 6}
SOURCE = {"type": "source", "sourceType": "url", "id": "s", "url": "https://x.test/"}
METADATA: tuple[dict[str, Any], ...] = (
    {"anthropic": {"signature": "s"}},
    {"openai": {"itemId": "i", "n": None}},
    {"p": {}},
)


def random_json(rng: Random, depth: int = 2) -> Any:
    """Return any JSON value, nested up to `depth`."""
    kinds = ["word", "int", "float", "bool", "null"] + ["list", "dict"] * (depth > 0)
    match rng.choice(kinds):
        case "word":
            return rng.choice(WORDS)
        case "int":
            return rng.choice((0, -1, 7, 10**9))
        case "float":
            return rng.choice((0.5, -2.25, 1e21, 3e-7))
        case "bool":
            return rng.random() < 0.5
        case "null":
            return None
        case "list":
            return [random_json(rng, depth - 1) for _ in range(rng.randrange(3))]
        case _:
            return {rng.choice(WORDS): random_json(rng, depth - 1) for _ in range(rng.randrange(3))}


def maybe(rng: Random, **values: Any) -> dict[str, Any]:
    """Return each of `values` or leave it out; a tuple offers several."""
    return {
        key: rng.choice(value) if isinstance(value, tuple) else value
        for key, value in values.items()
        if rng.random() < 0.25
    }


class ChunkSource:
    """Chunks with ids from a small pool; tool inputs come in pieces of JSON text."""

    def __init__(self, rng: Random, profile: Profile) -> None:
        self.rng = rng
        self.inputs: dict[str, str] = {}
        self.weights = WEIGHTS | (WEIGHTS_V7 if profile == "v7" else {})
        self.profile = profile

    def chunk(self) -> dict[str, Any]:
        """Return a chunk of any type, at home here or not."""
        (name,) = self.rng.choices(list(self.weights), list(self.weights.values()))
        chunk: dict[str, Any] = getattr(self, name)()
        return chunk

    def start(self) -> dict[str, Any]:
        ids = maybe(self.rng, messageId=("m1",) * 9 + ("m2",))
        return {"type": "start", **ids, **maybe(self.rng, messageMetadata=self.metadata())}

    def border(self) -> dict[str, Any]:
        return {"type": self.rng.choice(("start-step", "finish-step"))}

    def end(self) -> dict[str, Any]:
        kind = self.rng.choice(("finish", "finish", "error", "abort", "message-metadata"))
        match kind:
            case "finish":
                reasons = ("stop", "tool-calls", "other")
                metadata = maybe(self.rng, messageMetadata=self.metadata())
                return {"type": kind, **maybe(self.rng, finishReason=reasons), **metadata}
            case "error":
                return {"type": kind, "errorText": "no"}
            case "abort":
                return {"type": kind}
            case _:
                return {"type": kind, "messageMetadata": self.metadata()}

    def text(self) -> dict[str, Any]:
        kind = self.rng.choice(("text", "reasoning"))
        step = self.rng.choice(("start", "delta", "delta", "delta", "delta", "end"))
        chunk = {"type": f"{kind}-{step}", "id": self.rng.choice(IDS[:2])}
        if step == "delta":
            chunk["delta"] = self.rng.choice(WORDS)
        if chunk["type"] == "text-end" and self.profile == "v7":
            chunk |= maybe(self.rng, citations=[{"source": SOURCE, "citedText": "c"}])
        return chunk | maybe(self.rng, providerMetadata=METADATA)

    def whole(self) -> dict[str, Any]:
        metadata = maybe(self.rng, providerMetadata=METADATA)
        match self.rng.choice(("file", "url", "document")):
            case "file":
                file = {"type": "file", "url": "data:,", "mediaType": "text/plain"}
                return {**file, **maybe(self.rng, filename="f"), **metadata}
            case "url":
                url = {"type": "source-url", "sourceId": "s", "url": "https://x.test/"}
                return {**url, **maybe(self.rng, title="T"), **metadata}
            case _:
                named = {"sourceId": "s", "mediaType": "a/b", "title": "T"}
                named |= maybe(self.rng, filename="f")
                return {"type": "source-document", **named, **metadata}

    def data(self) -> dict[str, Any]:
        chunk = {"type": self.rng.choice(("data-x", "data-y")), "data": random_json(self.rng)}
        return chunk | maybe(self.rng, id=IDS, transient=(True, False), more="kept")

    def input_start(self) -> dict[str, Any]:
        call_id = self.rng.choice(IDS)
        texts = (json.dumps(random_json(self.rng, 3), ensure_ascii=self.rng.random() < 0.5), "[,")
        self.inputs[call_id] = self.rng.choice(texts)
        chunk = {"type": "tool-input-start", "toolCallId": call_id, **self.tool()}
        encoding = maybe(self.rng, inputEncoding=("json", "text"))
        return chunk | encoding | self.extras(title=True)

    def input_delta(self) -> dict[str, Any]:
        call_id = self.rng.choice(IDS)
        text = self.inputs.get(call_id, "")
        cut = self.rng.randrange(len(text) + 1)
        self.inputs[call_id] = text[cut:]
        return {"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": text[:cut]}

    def input_end(self) -> dict[str, Any]:
        kind = self.rng.choice(("tool-input-available", "tool-input-available", "tool-input-error"))
        chunk = {"type": kind, "toolCallId": self.rng.choice(IDS), **self.tool()}
        chunk["input"] = random_json(self.rng)
        if kind == "tool-input-error":
            chunk["errorText"] = "bad"
        return chunk | self.extras(title=True)

    def approval_request(self) -> dict[str, Any]:
        ids = {"approvalId": self.rng.choice(IDS), "toolCallId": self.rng.choice(IDS)}
        extras = maybe(self.rng, approvalDescriptor={"d": 1}, inputSchemaInput=(None, 1))
        newer = maybe(self.rng, signature="s", reason="why", isAutomatic=(True, False))
        return {"type": "tool-approval-request", **ids, **extras, **newer}

    def output(self) -> dict[str, Any]:
        call_id = self.rng.choice(IDS)
        match self.rng.choice(("available", "available", "error", "denied")):
            case "available":
                chunk = {"type": "tool-output-available", "output": random_json(self.rng)}
                chunk |= maybe(self.rng, preliminary=(True, False))
            case "error":
                chunk = {"type": "tool-output-error", "errorText": "failed"}
            case _:
                return {"type": "tool-output-denied", "toolCallId": call_id}
        return chunk | {"toolCallId": call_id} | self.extras(title=False)

    def reset(self) -> dict[str, Any]:
        return {"type": "reset-step"}

    def whole_of_v7(self) -> dict[str, Any]:
        metadata = maybe(self.rng, providerMetadata=METADATA)
        match self.rng.choice(("file", "custom", "steering")):
            case "file":
                return {"type": "reasoning-file", "url": "data:,", "mediaType": "a/b", **metadata}
            case "custom":
                return {"type": "custom", "kind": "p.k", **metadata}
            case _:
                file = {"type": "file", "mediaType": "a/b", "url": "x:"}
                parts = [{"type": "text", "text": "and"}, file]
                return {"type": "steering-message", "id": "u", "parts": parts}

    def approval_response(self) -> dict[str, Any]:
        approved = self.rng.random() < 0.5
        chunk = {"approvalId": self.rng.choice(IDS), "approved": approved}
        extras = maybe(self.rng, reason="because", providerExecuted=(True, False))
        extras |= maybe(self.rng, providerMetadata=METADATA)
        return {"type": "tool-approval-response", **chunk, **extras}

    def metadata(self) -> dict[str, Any]:
        return {self.rng.choice("abcd"): random_json(self.rng) for _ in range(3)}

    def tool(self) -> dict[str, Any]:
        name = {"toolName": self.rng.choice(NAMES)}
        return name | maybe(self.rng, dynamic=(True, True, False), providerExecuted=(True, False))

    def extras(self, *, title: bool) -> dict[str, Any]:
        extras = maybe(self.rng, providerMetadata=METADATA, toolMetadata=({"t": 1}, {"t": 2}))
        return extras | (maybe(self.rng, title=("T", "U")) if title else {})


def random_stream(rng: Random, profile: Profile, message: Any = None) -> list[dict[str, Any]]:
    """Return a stream that goes on with `message`, or begins one.

    It may end in one chunk that has no business there, since readers stop behind it. Our own
    reducer picks what fits; where it is wrong about that, the comparison with the judge fails.
    """
    source = ChunkSource(rng, profile)
    fold = MessageFold(message, profile=profile)
    chunks: list[dict[str, Any]] = []
    for _ in range(rng.randrange(1, 60)):
        chunk = source.chunk()
        try:
            fold.apply(chunk)
        except ChunkInvalid:
            if rng.random() < 0.01:
                return [*chunks, chunk]
        else:
            chunks.append(chunk)
    return chunks
