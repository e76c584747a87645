"""The AI SDK's own providers as judges: same bytes in, same chunks out.

And the same messages in, the same request out.

`DIFFERENCES` is the whole list of what we do otherwise on purpose; in nothing else may an answer
differ.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import even_out
from tests.support.js_providers import Case, ToolPair, ask_both, ask_them, ask_us, stream_of
from tests.support.models import WIRES, named_alike
from tests.support.oracle import CASES, SEED
from tests.support.provider import fake_provider
from tests.support.provider_scenarios import NAMED
from tests.support.random_answers import anthropic_answer
from tests.support.random_openai import chat_answer, responses_answer
from tests.support.random_prompts import Conversation
from tests.support.real_answers import ANTHROPIC, CHAT, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.provider_wires import WireName

pytestmark = pytest.mark.npm

JSON = dict[str, Any]


# --- what differs on purpose ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as in the AI SDK, on purpose."""

    wires: tuple[WireName, ...]
    why: str
    answer: Callable[[list[JSON]], list[JSON]] | None = None
    """What takes the difference out of the chunks of either side."""
    request: Callable[[JSON], JSON] | None = None
    """What takes it out of the request of either side."""
    scenario: str | None = None
    """An answer of the fake provider that only we make sense of."""


# In the order in which they are taken out.
DIFFERENCES = [
    Difference(
        WIRES,
        "No usage is made up: what the provider has not told is absent, not 0; none of it is raw",
        even_out.usage_as_told,
    ),
    Difference(
        WIRES,
        "An answer that fails or breaks off is an error, told in our words",
        even_out.ended_in_error,
    ),
    Difference(
        ("anthropic",),
        "An event of a type that is unknown is passed over, not taken for a failure",
        scenario="noise",
    ),
    Difference(
        ("anthropic",),
        "A chunk of the kind `custom` is unknown to clients of version 6 and ends their stream",
        even_out.without_kinds("custom"),
    ),
    Difference(
        WIRES, "Pieces that bring nothing are not worth a record", even_out.without_empty_pieces
    ),
    Difference(
        ("chat",),
        "The reasoning that other servers send on this wire is shown",
        even_out.without_kinds("reasoning-start", "reasoning-delta", "reasoning-end"),
    ),
    Difference(
        ("chat",), "No text is opened that nothing is written into", even_out.without_empty_texts
    ),
    Difference(
        ("chat",),
        "A text ends when a call begins, so that a page does not show it as unfinished",
        even_out.texts_ended_at_once,
    ),
    Difference(
        ("anthropic",),
        "A document is named as its citation names it: the file may not be in the request",
        even_out.without_kinds("source-document"),
    ),
    Difference(("responses",), "What is cited twice is one source", even_out.each_source_once),
    Difference(
        WIRES, "A source is shown when it is cited, not at the very end", even_out.sources_last
    ),
    Difference(
        ("responses",),
        "Reasoning is opened when there is some; its proof stands where it is complete",
        even_out.proven_reasoning,
    ),
    Difference(
        ("responses", "anthropic"),
        "Clients of version 6 refuse `citations`; the provider's own are in the metadata",
        even_out.without_keys("text-end", "citations"),
    ),
    Difference(
        WIRES,
        "Early clients of version 6 refuse metadata of a tool's output; the call has the same",
        even_out.without_keys("tool-output", "providerMetadata"),
    ),
    Difference(
        ("anthropic",),
        "Anthropic's tools keep their names, by which they are told to the model again",
        even_out.one_code_tool,
    ),
    Difference(
        ("responses",),
        "An image that is still being drawn is not final",
        even_out.without_keys("tool-output", "preliminary"),
    ),
    Difference(
        WIRES,
        "What is wrong with a call is told in our words",
        even_out.without_keys("tool-input-error", "errorText"),
    ),
    Difference(WIRES, "Ids are short, and differ between all steps of a message", named_alike),
    Difference(
        WIRES,
        "That the model may choose its tools goes without saying",
        request=even_out.without_auto,
    ),
    Difference(
        ("responses",),
        "The order of what is to be included means nothing",
        request=even_out.include_in_order,
    ),
    Difference(
        ("chat",),
        "Texts that a tool has brought are told as text, not as the JSON of their parts",
        request=even_out.texts_joined,
    ),
    Difference(
        WIRES,
        "Small numbers inside JSON texts are written as Python writes them",
        request=even_out.numbers_as_python_writes_them,
    ),
    Difference(
        ("chat",),
        "An answer of which nothing is left to be told is left out",
        request=even_out.without_empty_answers,
    ),
    Difference(
        ("anthropic",),
        "Of a text that is to be gone on from, only the end must have no white space",
        request=even_out.last_text_trimmed,
    ),
]


def evened_out(chunks: list[JSON], wire: WireName) -> list[JSON]:
    """Return chunks without what differs on purpose."""
    for difference in DIFFERENCES:
        if wire in difference.wires and difference.answer is not None:
            chunks = difference.answer(chunks)
    return chunks


def evened_out_request(body: JSON | None, wire: WireName) -> JSON | None:
    """Return a request without what differs on purpose."""
    for difference in DIFFERENCES:
        if wire in difference.wires and difference.request is not None and body is not None:
            body = difference.request(body)
    return body


# --- the tools of all cases -----------------------------------------------------------------


def native(name: str, maker: str, args: JSON | None = None, **definition: Any) -> ToolPair:
    """Return a tool that the provider runs: how the AI SDK makes it, and what it comes to."""
    return ToolPair(name, maker, args or {}, definition)


def native_of_anthropic(name: str, maker: str, date: str) -> ToolPair:
    """Return a tool of Anthropic's as it was on a day."""
    return ToolPair(name, f"{maker}_{date}", {}, {"type": f"{name}_{date}", "name": name})


CLIENT_TOOLS = (ToolPair("weather"), ToolPair("get-time"))
NATIVE_TOOLS: dict[WireName, tuple[ToolPair, ...]] = {
    "anthropic": (
        native_of_anthropic("web_search", "webSearch", "20250305"),
        native_of_anthropic("web_fetch", "webFetch", "20250910"),
        native_of_anthropic("code_execution", "codeExecution", "20250825"),
        native_of_anthropic("tool_search_tool_regex", "toolSearchRegex", "20251119"),
        native_of_anthropic("tool_search_tool_bm25", "toolSearchBm25", "20251119"),
    ),
    "chat": (),
    "responses": (
        native("web_search", "webSearch", type="web_search"),
        native(
            "file_search",
            "fileSearch",
            {"vectorStoreIds": ["v"]},
            type="file_search",
            vector_store_ids=["v"],
        ),
        native(
            "code_interpreter",
            "codeInterpreter",
            type="code_interpreter",
            container={"type": "auto"},
        ),
        native("image_generation", "imageGeneration", type="image_generation"),
    ),
}
REAL: dict[WireName, dict[str, list[JSON]]] = {
    "anthropic": ANTHROPIC,
    "chat": CHAT,
    "responses": RESPONSES,
}
ENDLESS = {"hang", "pings", "no-headers"}
"""Scenarios that end only when the client goes."""
ANSWERS: dict[WireName, Callable[[Random], list[JSON]]] = {
    "anthropic": anthropic_answer,
    "chat": chat_answer,
    "responses": responses_answer,
}


async def assert_same_chunks(cases: list[Case]) -> None:
    """Assert that both sides make the same chunks of every case, but for the differences."""
    for case, theirs, ours in await ask_both(cases):
        expected = evened_out(theirs.chunks, case.wire)
        assert evened_out(ours.chunks, case.wire) == expected, case.events.decode()


@pytest.mark.parametrize("wire", WIRES)
async def test_random_answers_become_the_same_chunks(wire: WireName) -> None:
    rng = Random(f"{SEED} {wire} answers")
    answers = [stream_of(ANSWERS[wire](rng), wire=wire) for _ in range(CASES // 5)]
    tools = (*CLIENT_TOOLS, *NATIVE_TOOLS[wire])

    await assert_same_chunks([Case(wire, events, tools=tools) for events in answers])


@pytest.mark.parametrize("wire", WIRES)
async def test_real_answers_become_the_same_chunks(wire: WireName) -> None:
    tools = (*CLIENT_TOOLS, *NATIVE_TOOLS[wire])
    answers = REAL[wire].values()

    await assert_same_chunks(
        [Case(wire, stream_of(events, wire=wire), tools=tools) for events in answers]
    )


@pytest.mark.parametrize("wire", WIRES)
async def test_every_answer_of_the_fake_provider_becomes_the_same_chunks(wire: WireName) -> None:
    ours_alone = {each.scenario for each in DIFFERENCES if wire in each.wires}
    scenarios = sorted(NAMED.keys() - ENDLESS - ours_alone)
    scenarios += ["status-401", "status-429", "status-529", "paced-3x0ms", "flat-60"]

    def cases(base_url: str) -> list[Case]:
        return [
            Case(wire, tools=CLIENT_TOOLS, model=scenario, base_url=base_url)
            for scenario in scenarios
        ]

    # One server for each side: some answers depend on how often they were asked for.
    async with fake_provider() as for_them, fake_provider() as for_us:
        theirs = await asyncio.to_thread(ask_them, cases(for_them.base_url))
        ours = [await ask_us(case) for case in cases(for_us.base_url)]

    for scenario, their, our in zip(scenarios, theirs, ours, strict=True):
        assert evened_out(our.chunks, wire) == evened_out(their.chunks, wire), scenario


@pytest.mark.parametrize("wire", WIRES)
async def test_random_conversations_become_the_same_requests(wire: WireName) -> None:
    rng = Random(f"{SEED} {wire} requests")
    tools = (*CLIENT_TOOLS, *NATIVE_TOOLS[wire])
    events = stream_of(REAL[wire]["nothing at all"], wire=wire)
    talks = [Conversation(rng, wire).messages() for _ in range(CASES // 8)]
    cases = [
        Case(wire, events, messages, tools, settings=theirs, our_settings=ours)
        for messages in talks
        for theirs, ours in [_settings(rng)]
    ]

    for case, theirs, ours in await ask_both(cases):
        expected = evened_out_request(theirs.body, wire)
        assert expected is not None, (case.messages, theirs.chunks[-1])
        assert evened_out_request(ours.body, wire) == expected, case.messages


def _settings(rng: Random) -> tuple[JSON, JSON]:
    """Return settings of a request as both sides spell them."""
    theirs: JSON = {}
    ours: JSON = {}
    if rng.random() < 0.3:
        theirs["maxOutputTokens"] = ours["max_output_tokens"] = rng.randrange(1, 2000)
    if rng.random() < 0.3:
        choice = rng.choice(("none", "required", "weather"))
        named = {"type": "tool", "toolName": choice}
        theirs["toolChoice"], ours["tool_choice"] = named if choice == "weather" else choice, choice
    return theirs, ours
