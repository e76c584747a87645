"""Our reducer, converter and JSON repair against the real `ai` package, on random input.

`CHATRUN_FUZZ` sets the number of cases, `CHATRUN_FUZZ_SEED` picks others.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from chatrun.errors import ChunkInvalid, InvalidInput
from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.fold import MessageFold
from chatrun.messages.heal import heal
from chatrun.messages.partial_json import parse_partial_json
from chatrun.wire.chunks import check_chunk, floor_chunk
from tests.support.oracle import CASES, PROFILES, SEED, Sdk, ask
from tests.support.random_chunks import NAMES, ChunkSource, random_json, random_stream
from tests.support.random_messages import random_messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatrun.messages.types import ToolResultOutput

pytestmark = pytest.mark.npm

Job = dict[str, Any]
Jobs = dict[str, Job]
"""Name of the case → what is asked of the judge."""


@pytest.fixture(params=[6, 7], ids=["ai6", "ai7"])
def sdk(request: pytest.FixtureRequest) -> Sdk:
    major: Sdk = request.param
    return major


def cases(kind: str, *, share: float = 1) -> Iterator[tuple[str, Random]]:
    """Yield the name of each case and what it is made from."""
    for number in range(round(CASES * share)):
        name = f"{kind} {SEED}:{number}"
        yield name, Random(name)


def test_a_page_shows_the_same_after_every_chunk(sdk: Sdk) -> None:
    jobs: Jobs = {}
    for name, rng in cases(f"read {sdk}"):
        message = begun_message(rng, sdk)
        chunks = random_stream(rng, PROFILES[sdk], message)
        jobs[name] = {"kind": "read", "sdk": sdk, "message": message, "chunks": chunks}

    for (name, job), theirs in zip(jobs.items(), ask([*jobs.values()]), strict=True):
        assert read(sdk, job["message"], job["chunks"]) == theirs, f"{name}: {job}"


def begun_message(rng: Random, sdk: Sdk) -> Any:
    """Return nothing, or a message that a stream may go on with."""
    if rng.random() < 0.6:
        return None
    if rng.random() < 0.1:
        return {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    fold = MessageFold(message_id="m1", profile=PROFILES[sdk])
    try:
        for chunk in random_stream(rng, PROFILES[sdk]):
            fold.apply(chunk)
    except ChunkInvalid:
        pass
    return fold.message


def read(sdk: Sdk, message: Any, chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what our reducer shows where `readUIMessageStream` of the original would."""
    first_id = message["id"] if message else ""
    fold = MessageFold(message, message_id=first_id, profile=PROFILES[sdk], reset_on_new_id=True)
    snapshots = []
    try:
        for chunk in chunks:
            if fold.apply(chunk):
                snapshots.append(fold.message)
    except ChunkInvalid:
        return {"snapshots": snapshots, "broke": True}
    return {"snapshots": snapshots, "broke": False}


def test_a_server_keeps_the_same_at_the_end(sdk: Sdk) -> None:
    jobs: Jobs = {}
    for name, rng in cases(f"respond {sdk}", share=0.5):
        message = begun_message(rng, sdk)
        # The original's server gives a `start` without an id the one it would have had.
        chunks = [{"type": "start", "messageId": "m1"}]
        chunks += random_stream(rng, PROFILES[sdk], message)
        messages = [message] if message else []
        jobs[name] = {"kind": "respond", "sdk": sdk, "messages": messages, "chunks": chunks}

    for (name, job), theirs in zip(jobs.items(), ask([*jobs.values()]), strict=True):
        assert respond(sdk, job["messages"], job["chunks"]) == theirs, f"{name}: {job}"


def respond(sdk: Sdk, messages: list[Any], chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what our reducer has at the end, without a look in between."""
    last = messages[-1] if messages else None
    message_id = last["id"] if last and last["role"] == "assistant" else "new"
    fold = MessageFold(last, message_id=message_id, profile=PROFILES[sdk])
    try:
        for chunk in chunks:
            named = {"messageId": message_id} if chunk["type"] == "start" else {}
            fold.apply(named | chunk)
    except ChunkInvalid:
        return {"broke": True}
    reason = {} if fold.finish_reason is None else {"finishReason": fold.finish_reason}
    return {"responseMessage": fold.message, "broke": False, **reason}


def test_a_model_is_sent_the_same_messages(sdk: Sdk) -> None:
    jobs: Jobs = {}
    for name, rng in cases(f"convert {sdk}"):
        jobs[name] = {
            "kind": "convert",
            "sdk": sdk,
            "messages": random_messages(rng),
            "ignoreIncompleteToolCalls": rng.random() < 0.3,
            "toolOutputs": rng.choice(([], [], [NAMES[0]])),
        }

    for (name, job), theirs in zip(jobs.items(), ask([*jobs.values()]), strict=True):
        if "error" in theirs:
            with pytest.raises(InvalidInput):
                convert(job)
        else:
            assert convert(job) == theirs["messages"], f"{name}: {job}"


def convert(job: dict[str, Any]) -> Any:
    return convert_to_model_messages(
        job["messages"],
        profile=PROFILES[job["sdk"]],
        ignore_incomplete_tool_calls=job["ignoreIncompleteToolCalls"],
        tool_outputs=dict.fromkeys(job["toolOutputs"], shown),
    )


def shown(output: object, *, input: object, tool_call_id: str) -> ToolResultOutput:
    """Return what the judge's tools show of their output, too."""
    value = {"toolCallId": tool_call_id, "input": input, "output": output}
    return {"type": "json", "value": value}


def test_healed_messages_are_taken_where_the_original_would_throw(sdk: Sdk) -> None:
    jobs: Jobs = {}
    broken: list[Job] = []
    for name, rng in cases(f"heal {sdk}", share=0.25):
        # Only a later user message makes open calls a fault: before, they may yet be run.
        chat: Any = [*map(plain, random_messages(rng)), {"id": "u", "role": "user", "parts": []}]
        messages = convert_to_model_messages(chat, profile=PROFILES[sdk])
        broken.append({"kind": "generate", "sdk": sdk, "messages": messages})
        jobs[name] = {"kind": "generate", "sdk": sdk, "messages": heal(messages)}

    for (name, job), theirs in zip(jobs.items(), ask([*jobs.values()]), strict=True):
        assert theirs == {}, f"{name}: {job}"
    thrown = [answer for answer in ask(broken[:100]) if "MissingToolResults" in str(answer)]
    assert len(thrown) > 20


def plain(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message without files, which would be fetched, and with a call id for each call."""
    files = ("file", "reasoning-file", "steering-message")
    parts = [part for part in message["parts"] if part["type"] not in files]
    for number, part in enumerate(parts):
        if "toolCallId" in part:
            part |= {"toolCallId": f"{message['id']}-{number}", "input": {}}
    return {**message, "parts": parts}


def test_a_client_takes_every_chunk_that_passes_our_check(sdk: Sdk) -> None:
    pairs = {}
    for name, rng in cases(f"check {sdk}"):
        given = spoilt_chunk(rng, sdk)
        try:
            sent = floor_chunk(check_chunk(given, profile=PROFILES[sdk]), profile=PROFILES[sdk])
        except ChunkInvalid:
            sent = None
        pairs[name] = (given, sent)

    chunks = [chunk for pair in pairs.values() for chunk in pair]
    said = iter(ask([{"kind": "check", "sdk": sdk, "chunk": chunk} for chunk in chunks]))
    for name, (given, sent) in pairs.items():
        takes_given, takes_sent = next(said)["accepted"], next(said)["accepted"]
        assert takes_sent == (sent is not None), f"{name}: {given} became {sent}"
        assert takes_sent or not takes_given, f"{name}: {given}"


def spoilt_chunk(rng: Random, sdk: Sdk) -> dict[str, Any]:
    """Return a chunk in which something may be missing, of the wrong kind, or too much."""
    chunk = ChunkSource(rng, PROFILES[sdk]).chunk()
    if rng.random() < 0.7:
        key = rng.choice([*chunk, "providerMetadata", "inputEncoding", "id", "unknown"])
        chunk[key] = rng.choice((None, 1, "text", True, [], {}, {"p": {}}, {"p": 1}))
        if rng.random() < 0.3:
            del chunk[key]
    if "messageMetadata" in chunk:
        chunk["messageMetadata"] = {}  # clients take anything; we ask for an object
    return chunk


def test_half_a_tool_input_reads_the_same(sdk: Sdk) -> None:
    jobs: Jobs = {}
    for name, rng in cases(f"partial {sdk}"):
        jobs[name] = {"kind": "partial", "sdk": sdk, "text": broken_json(rng)}

    for (name, job), theirs in zip(jobs.items(), ask([*jobs.values()]), strict=True):
        ours = parse_partial_json(job["text"], profile=PROFILES[sdk])
        assert ours._asdict() == theirs, f"{name}: {job}"


def broken_json(rng: Random) -> str:
    """Return JSON that stops somewhere and may have been tampered with."""
    value = random_json(rng, 4) if rng.random() < 0.8 else rng.choice(ODD)
    indent = rng.choice((None, None, 1))
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=indent)
    text = text.replace("LONE", rng.choice(("\\ud800", "\\uDFFF")))
    text = text[: rng.randrange(len(text) + 1)] if rng.random() < 0.9 else text
    if rng.random() < 0.3:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice('[]{},:"\\ue-0tfnx. \n') + text[at + rng.randrange(2) :]
    return text


ODD = (
    {"__proto__": 1},
    {"constructor": {"prototype": 1}},
    {"constructor": 1, "a": "LONE"},
    ["😀LONE", "LONE😀", 10**30, 1e300, True, None],
    {'a\\b"c': [[], {}, "\\u12"]},
)
