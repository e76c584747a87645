"""What the real packages receive from a faithful server, as chunks: alike on every wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chatrun.models.base import ModelFinish, ToolSpec, Usage
from tests.support.models import WIRES, answer_of, brief, model_on, named_alike

if TYPE_CHECKING:
    from tests.support.provider import FakeProvider
    from tests.support.provider_wires import WireName

HELLO = "Hello, wörld 👋🏽!"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "name", ["ok", "crlf", "bytewise", "slow-headers", "retry-429", "retry-529"]
)
async def test_text_comes_out_whole_however_it_arrives(
    provider: FakeProvider, wire: WireName, name: str
) -> None:
    chunks, finish = await answer_of(model_on(provider, wire, name))

    assert brief(chunks) == [["text", HELLO]]
    assert [chunk["type"] for chunk in chunks] == ["text-start", *["text-delta"] * 5, "text-end"]
    assert finish.reason == "stop"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("name", "told", "reason"),
    [
        ("noise", [["text", "Hello"]], "stop"),
        ("huge", [["text", "x" * 1_000_000]], "stop"),
        ("thinking", [["reasoning", "Let me think."], ["text", "Done."]], "stop"),
        ("length", [["text", "It was a dark and"]], "length"),
    ],
)
async def test_answers_are_alike_on_every_wire(
    provider: FakeProvider, wire: WireName, name: str, told: list[Any], reason: str
) -> None:
    chunks, finish = await answer_of(model_on(provider, wire, name))

    assert brief(chunks) == told
    assert finish.reason == reason


@pytest.mark.parametrize("wire", WIRES)
async def test_a_refusal_ends_for_its_content(provider: FakeProvider, wire: WireName) -> None:
    chunks, finish = await answer_of(model_on(provider, wire, "refusal"))

    assert not [chunk for chunk in chunks if chunk["type"].endswith("-delta")]
    assert finish.reason == "content-filter"


@pytest.mark.parametrize("wire", WIRES)
async def test_parallel_tool_calls_stream_their_input(
    provider: FakeProvider, wire: WireName
) -> None:
    tools = (ToolSpec("weather"), ToolSpec("clock"))

    chunks, finish = await answer_of(model_on(provider, wire, "tools"), tools=tools)

    assert finish.reason == "tool-calls"
    for call_id, name in (("call_0", "weather"), ("call_1", "clock")):
        own = [chunk for chunk in chunks if chunk["toolCallId"] == call_id]
        available = own.pop()
        assert {key: available[key] for key in ("type", "toolName", "input")} == {
            "type": "tool-input-available",
            "toolName": name,
            "input": {"city": "Paris"},
        }
        assert own == [
            {"type": "tool-input-start", "toolCallId": call_id, "toolName": name},
            *(
                {"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": piece}
                for piece in ('{"city"', ': "Pa', 'ris"}')
            ),
        ]


@pytest.mark.parametrize("wire", WIRES)
async def test_input_that_is_no_json_is_told_as_an_error(
    provider: FakeProvider, wire: WireName
) -> None:
    model = model_on(provider, wire, "bad-input")

    chunks, _ = await answer_of(model, tools=(ToolSpec("weather"),))

    last = chunks[-1]
    assert (last["type"], last["input"]) == ("tool-input-error", '{"city": Par')
    assert last["errorText"].startswith("Invalid input for tool weather: it is not JSON")


@pytest.mark.parametrize("wire", WIRES)
async def test_the_ids_of_parts_begin_with_the_prefix_of_the_request(
    provider: FakeProvider, wire: WireName
) -> None:
    chunks, _ = await answer_of(model_on(provider, wire, "thinking"), id_prefix="s1:")

    ids = {chunk["id"] for chunk in chunks}
    assert len(ids) == 2
    assert all(part_id.startswith("s1:") for part_id in ids)


async def test_usage_of_anthropic_counts_what_was_cached_as_input(provider: FakeProvider) -> None:
    _, finish = await answer_of(model_on(provider, "anthropic", "ok"))

    assert finish == ModelFinish(
        reason="stop",
        usage=Usage(
            input_tokens=19,
            no_cache_tokens=12,
            cache_read_tokens=4,
            cache_write_tokens=3,
            output_tokens=7,
        ),
        response_id="msg_1",
        model="ok",
        raw_reason="end_turn",
    )


@pytest.mark.parametrize(
    ("wire", "response_id", "raw"),
    [("chat", "chatcmpl-1", "stop"), ("responses", "resp_1", "completed")],
)
async def test_usage_of_openai_is_split_alike(
    provider: FakeProvider, wire: WireName, response_id: str, raw: str
) -> None:
    _, finish = await answer_of(model_on(provider, wire, "ok"))

    assert finish == ModelFinish(
        reason="stop",
        usage=Usage(
            input_tokens=19,
            no_cache_tokens=15,
            cache_read_tokens=4,
            output_tokens=7,
            text_tokens=5,
            reasoning_tokens=2,
        ),
        response_id=response_id,
        model="ok",
        raw_reason=raw,
    )


async def test_the_signature_of_anthropics_reasoning_is_kept(provider: FakeProvider) -> None:
    chunks, _ = await answer_of(model_on(provider, "anthropic", "thinking"))

    assert named_alike(chunks)[3:5] == [
        {
            "type": "reasoning-delta",
            "id": "0",
            "delta": "",
            "providerMetadata": {"anthropic": {"signature": "c2lnbmF0dXJl"}},
        },
        {"type": "reasoning-end", "id": "0"},
    ]


async def test_the_encrypted_reasoning_of_openai_is_kept(provider: FakeProvider) -> None:
    chunks, _ = await answer_of(model_on(provider, "responses", "thinking"))

    ends = [chunk for chunk in chunks if chunk["type"] == "reasoning-end"]
    assert [end["providerMetadata"] for end in ends] == [
        {"openai": {"itemId": "rs_1", "reasoningEncryptedContent": "ZW5jcnlwdGVk"}}
    ]


@pytest.mark.parametrize("wire", WIRES)
async def test_one_connection_serves_one_request_after_the_other(
    provider: FakeProvider, wire: WireName
) -> None:
    model = model_on(provider, wire, "ok")

    for _ in range(3):
        await answer_of(model)

    assert provider.connections == 1


async def test_the_key_is_sent_as_each_provider_wants_it(provider: FakeProvider) -> None:
    for wire in WIRES:
        await answer_of(model_on(provider, wire, "ok"))

    assert [seen.headers["authorization"] for seen in provider.requests] == ["Bearer k"] * 3
    assert [seen.path for seen in provider.requests] == [
        "/v1/messages",
        "/v1/chat/completions",
        "/v1/responses",
    ]
