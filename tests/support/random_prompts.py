"""Random conversations in model messages, whole ones: each call of a tool has its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.prompts import PDF, PNG, assistant, call, file, reasoning, result, text, tools
from tests.support.random_answers import TEXTS, TOOLS, URLS, some
from tests.support.random_chunks import maybe, random_json

if TYPE_CHECKING:
    from random import Random

    from tests.support.provider_wires import WireName

JSON = dict[str, Any]

_CACHED = {"anthropic": {"cacheControl": {"type": "ephemeral"}}}
_IMAGE_URL = {"type": "url", "url": "https://e.test/a.png"}


class Conversation:
    """The messages of one request, for one wire."""

    def __init__(self, rng: Random, wire: WireName) -> None:
        self.rng = rng
        self.wire = wire
        self.calls = 0

    def messages(self) -> list[JSON]:
        """Return the messages, the last of which is for the model to answer."""
        rng = self.rng
        turns = [self.turn() for _ in range(rng.randrange(4))]
        before = [message for turn in turns for message in turn]
        last = self.turn() if rng.random() < 0.3 else [self.user()]
        return [*self.instructions(), *before, *last]

    def instructions(self) -> list[JSON]:
        return [
            {"role": "system", "content": self.word(), **self.cached()}
            for _ in range(self.rng.choice((0, 0, 1, 2)))
        ]

    def word(self) -> str:
        """Return a text that is not empty, and not blank, which some wires refuse."""
        return self.rng.choice(TEXTS) + "x"

    def cached(self) -> JSON:
        """Return the wish to have something cached, at times; more than four are too many."""
        return {"providerOptions": _CACHED} if self.rng.random() < 0.03 else {}

    def turn(self) -> list[JSON]:
        """Return a question and its answer, in some steps."""
        steps = [message for _ in range(self.rng.randrange(1, 3)) for message in self.step()]
        return [self.user(), *steps]

    def user(self) -> JSON:
        rng = self.rng
        if rng.random() < 0.3:
            return {"role": "user", "content": self.word()}
        parts = [self.said(), *some(rng, 2, lambda _: self.asked())]
        return {"role": "user", "content": parts, **self.cached()}

    def said(self) -> JSON:
        return {**text(self.word()), **self.cached()}

    def asked(self) -> JSON:
        rng = self.rng
        kinds = [self.said, self.image, self.pdf]
        kinds += [self.plain] * (self.wire == "anthropic")
        return rng.choice(kinds)()

    def image(self) -> JSON:
        options = maybe(self.rng, providerOptions={"openai": {"imageDetail": "low"}})
        return file("image/png", self.rng.choice((_base64(PNG), PNG, _IMAGE_URL)), **options)

    def pdf(self) -> JSON:
        named = {"filename": "a.pdf"} if self.wire != "anthropic" or self.rng.random() < 0.5 else {}
        options = {"anthropic": {"title": "T", "context": "C", "citations": {"enabled": True}}}
        fields = maybe(self.rng, providerOptions=options)
        return file("application/pdf", self.rng.choice((_base64(PDF), PDF)), **named, **fields)

    def plain(self) -> JSON:
        return file("text/plain", "SGVsbG8=", **maybe(self.rng, filename="a.txt"))

    # --- answers ----------------------------------------------------------------------------

    def step(self) -> list[JSON]:
        """Return what one call of a model has said, and the results of the tools it called."""
        rng = self.rng
        makers = [self.told, self.told, self.thought]
        makers += [self.ran] * (self.wire != "chat")
        parts = [part for _ in range(rng.randrange(1, 4)) for part in rng.choice(makers)()]
        calls = [self.called() for _ in range(rng.choice((0, 0, 1, 2)))]
        place = rng.randrange(len(parts) + 1) if self.wire == "anthropic" else len(parts)
        said = assistant(*parts[:place], *calls, *parts[place:])
        if not said["content"]:
            said = assistant(self.word())
        results = [self.result_of(each) for each in calls]
        return [said, tools(*results)] if results else [said]

    def told(self) -> list[JSON]:
        options: JSON = {}
        if self.wire == "responses":
            options = maybe(self.rng, openai=({"itemId": "msg_1", "phase": "final_answer"},))
        cited = {"type": "char_location", "cited_text": "c", "document_index": 0}
        if self.wire == "anthropic":
            options = maybe(self.rng, anthropic={"citations": [cited]})
        return [text(self.word(), **options)]

    def thought(self) -> list[JSON]:
        """Return reasoning of this provider, of another one, or of nobody."""
        rng = self.rng
        proofs: list[JSON] = [{"anthropic": {"signature": "U2ln"}}]
        proofs += [{"anthropic": {"redactedData": "UmVk"}}, {}]
        item = f"rs_{rng.randrange(3)}"
        proofs += [{"openai": {"itemId": item, "reasoningEncryptedContent": "RW5j"}}] * 2
        proofs += [{"openai": {"itemId": item}}]
        if self.wire == "chat":
            return [reasoning(self.word(), **rng.choice(proofs))]
        parts = some(rng, 2, lambda _: reasoning(rng.choice(("", "Hm.")), **rng.choice(proofs)))
        return [
            part for part in parts if part["text"] or "openai" in str(part) or "red" in str(part)
        ]

    def called(self) -> JSON:
        self.calls += 1
        given = {f"k{n}": random_json(self.rng) for n in range(self.rng.randrange(3))}
        options = {"openai": {"itemId": f"fc_{self.calls}"}}
        fields = maybe(self.rng, providerOptions=options) if self.wire == "responses" else {}
        return call(f"call_{self.calls}", given, name=self.rng.choice(TOOLS), **fields)

    def result_of(self, called: JSON) -> JSON:
        rng = self.rng
        outputs: list[JSON] = [
            {"type": "text", "value": self.word()},
            {"type": "json", "value": random_json(rng)},
            {"type": "error-text", "value": self.word()},
            {"type": "error-json", "value": {"code": 1}},
            {"type": "execution-denied", **maybe(rng, reason="No.")},
            {"type": "content", "value": [{"type": "text", "text": self.word()}, *self.drawn()]},
        ]
        named = {"name": called["toolName"]}
        return result(called["toolCallId"], rng.choice(outputs), **named, **self.cached())

    def drawn(self) -> list[JSON]:
        """Return a picture that a tool has made, where the wire takes one from a tool."""
        if self.wire == "chat" or self.rng.random() < 0.5:
            return []
        data = {"type": "data", "data": _base64(PNG)}
        return [{"type": "file", "mediaType": "image/png", "data": data}]

    def ran(self) -> list[JSON]:
        """Return a call of a tool that the provider ran, and its result."""
        self.calls += 1
        if self.wire == "anthropic":
            name, given, output = self.rng.choice(_RAN_BY_ANTHROPIC)
        else:
            name, given, output = self.rng.choice(_RAN_BY_OPENAI)
        call_id = f"srv_{self.calls}"
        value = {"type": "json", "value": output}
        if isinstance(output, str):
            value = {"type": "error-json", "value": output}
        mcp = {"anthropic": {"type": "mcp-tool-use", "serverName": "s"}}
        options = {"providerOptions": mcp} if name == "echo" else {}
        made = call(call_id, given, name=name, providerExecuted=True, **options)
        return [made, result(call_id, value, name=name, **options)]


def _base64(url: str) -> str:
    return url.partition(",")[2]


_PAGE = {"type": "web_search_result", "url": URLS[0], "title": "A", "pageAge": None}
_SOURCE = {"type": "text", "mediaType": "text/plain", "data": "D"}
_FETCHED: JSON = {"type": "web_fetch_result", "url": URLS[0], "retrievedAt": "2026-01-01T00:00:00Z"}
_FETCHED |= {"content": {"type": "document", "title": "T", "source": _SOURCE}}
_CODE = {"stdout": "1", "stderr": "", "return_code": 0, "content": []}
_RAN_BY_ANTHROPIC: list[tuple[str, JSON, Any]] = [
    ("web_search", {"query": "q"}, [{**_PAGE, "encryptedContent": "Enc"}]),
    (
        "web_search",
        {"query": "q"},
        '{"type":"web_search_tool_result_error","errorCode":"max_uses_exceeded"}',
    ),
    ("web_fetch", {"url": URLS[0]}, _FETCHED),
    ("code_execution", {"code": "1"}, {"type": "code_execution_result", **_CODE}),
    (
        "tool_search_tool_regex",
        {"pattern": "w"},
        [{"type": "tool_reference", "toolName": "weather"}],
    ),
    ("echo", {"a": 1}, [{"type": "text", "text": "hey"}]),
]
_RAN_BY_OPENAI: list[tuple[str, JSON, Any]] = [
    ("web_search", {}, {"action": {"type": "search", "query": "q"}, "sources": []}),
    ("web_search", {}, {"action": {"type": "openPage", "url": URLS[0]}}),
    ("image_generation", {}, {"result": "SW1n"}),
]
