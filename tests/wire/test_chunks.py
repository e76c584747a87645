from __future__ import annotations

from typing import Any, Literal, NotRequired, get_args, get_origin, get_type_hints

import pytest

from chatrun.errors import ChunkInvalid
from chatrun.wire.chunks import CHUNK_TYPES, Chunk, Profile, check_chunk, floor_chunk, is_data_chunk

Form = dict[str, Any]
EXAMPLES: dict[object, object] = {str: "text", bool: True, object: {"any": 1}}


def forms() -> list[tuple[str, Form, Form]]:
    """Return, for each chunk type, its required keys and its optional ones with a value each."""
    result = []
    for form in get_args(Chunk):
        required, optional = {}, {}
        kinds: tuple[str, ...] = ("data-x",)
        for key, hint in get_type_hints(form, include_extras=True).items():
            if key == "type":
                kinds = get_args(hint) or kinds
            elif get_origin(hint) is NotRequired:
                optional[key] = example(get_args(hint)[0])
            else:
                required[key] = example(hint)
        result += [(kind, required, optional) for kind in kinds]
    return result


def example(hint: object) -> object:
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if get_origin(hint) is dict:
        return {"provider": {"key": 1}}
    return [] if get_origin(hint) is list else EXAMPLES[hint]


each_type = pytest.mark.parametrize(
    ("kind", "required", "optional"), forms(), ids=[form[0] for form in forms()]
)


@each_type
def test_a_chunk_of_each_type_passes_with_and_without_its_optional_keys(
    kind: str, required: Form, optional: Form
) -> None:
    least, most = {"type": kind, **required}, {"type": kind, **required, **optional}

    assert check_chunk(least, profile="v7") is least
    assert check_chunk(most, profile="v7") is most
    assert floor_chunk(least, profile="v7") is least
    assert floor_chunk(most, profile="v7") is most


@each_type
def test_a_missing_required_key_is_named(kind: str, required: Form, optional: Form) -> None:
    for key in required:
        chunk = {"type": kind, **required, **optional}
        del chunk[key]

        with pytest.raises(
            ChunkInvalid, match=f'a "{kind}" chunk needs "{key}", .*; it is missing'
        ):
            check_chunk(chunk, profile="v7")


@each_type
def test_an_optional_key_without_a_value_is_not_sent(
    kind: str, required: Form, optional: Form
) -> None:
    least = {"type": kind, **required}
    chunk = least | dict.fromkeys(optional) | {"newer": 1}

    assert floor_chunk(check_chunk(chunk, profile="v7"), profile="v7") == least


@each_type
def test_a_key_of_the_wrong_form_is_named(kind: str, required: Form, optional: Form) -> None:
    free = {"input", "output", "data", "approvalDescriptor", "inputSchemaInput"}
    for key in (required.keys() | optional.keys()) - free:
        with pytest.raises(ChunkInvalid, match=f'"{key}"'):
            check_chunk({"type": kind, **required, **optional, key: 1.5}, profile="v7")


def test_the_types_of_each_profile_are_those_of_the_chunks() -> None:
    new = {"reset-step", "reasoning-file", "custom", "steering-message", "tool-approval-response"}
    kinds = {kind for kind, _, _ in forms() if kind != "data-x"}

    assert kinds == CHUNK_TYPES["v7"]
    assert kinds - new == CHUNK_TYPES["v6"]


@pytest.mark.parametrize("key", ["input", "output", "data"])
def test_what_a_tool_or_an_application_says_may_be_null_but_not_missing(key: str) -> None:
    chunks: dict[str, Form] = {
        "input": {
            "type": "tool-input-available",
            "toolCallId": "c",
            "toolName": "t",
            "input": None,
        },
        "output": {"type": "tool-output-available", "toolCallId": "c", "output": None},
        "data": {"type": "data-x", "data": None},
    }
    without = {name: value for name, value in chunks[key].items() if name != key}

    assert floor_chunk(check_chunk(chunks[key])) == chunks[key]
    with pytest.raises(ChunkInvalid, match=f'"{key}", which may be null but must be there'):
        check_chunk(without)


@pytest.mark.parametrize(
    ("chunk", "floor"),
    [
        (
            {"type": "tool-input-start", "toolCallId": "c", "toolName": "t", "title": "T"}
            | {"providerMetadata": {"p": {}}, "toolMetadata": {}, "inputEncoding": "json"},
            {"type": "tool-input-start", "toolCallId": "c", "toolName": "t", "title": "T"},
        ),
        (
            {"type": "tool-output-available", "toolCallId": "c", "output": 1, "preliminary": True}
            | {"providerMetadata": {"p": {}}, "toolMetadata": {}},
            {"type": "tool-output-available", "toolCallId": "c", "output": 1, "preliminary": True},
        ),
        (
            {"type": "tool-approval-request", "approvalId": "a", "toolCallId": "c"}
            | {"signature": "s", "reason": "r", "isAutomatic": True, "inputSchemaInput": None},
            {"type": "tool-approval-request", "approvalId": "a", "toolCallId": "c"},
        ),
        (
            {"type": "tool-output-error", "toolCallId": "c", "errorText": "e", "dynamic": True}
            | {"providerMetadata": {"p": {}}, "toolMetadata": {}},
            {"type": "tool-output-error", "toolCallId": "c", "errorText": "e", "dynamic": True},
        ),
        (
            {"type": "tool-input-available", "toolCallId": "c", "toolName": "t", "input": 1}
            | {"providerMetadata": {"p": {}}, "toolMetadata": {}},
            {"type": "tool-input-available", "toolCallId": "c", "toolName": "t", "input": 1}
            | {"providerMetadata": {"p": {}}},
        ),
        ({"type": "abort", "reason": "stopped"}, {"type": "abort"}),
        (
            {"type": "finish", "finishReason": "unknown"},
            {"type": "finish", "finishReason": "other"},
        ),
        (
            {"type": "finish", "finishReason": "interrupted"},
            {"type": "finish", "finishReason": "other"},
        ),
        ({"type": "finish", "finishReason": None}, {"type": "finish"}),
        (
            {"type": "data-x", "data": {"a": None}, "id": None, "other": 1},
            {"type": "data-x", "data": {"a": None}},
        ),
        (
            {"type": "text-delta", "id": "0", "delta": "", "providerMetadata": None},
            {"type": "text-delta", "id": "0", "delta": ""},
        ),
    ],
)
def test_only_what_every_client_of_ai_sdk_6_and_7_knows_is_sent(chunk: Form, floor: Form) -> None:
    before = dict(chunk)

    assert floor_chunk(check_chunk(chunk)) == floor
    assert chunk == before


def test_a_reason_that_only_new_clients_know_is_sent_to_them() -> None:
    chunk = {"type": "finish", "finishReason": "interrupted"}

    assert floor_chunk(chunk, profile="v7") is chunk


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("text", 'a chunk is an object with a "type", not a string'),
        (None, 'a chunk is an object with a "type", not null'),
        ([], 'a chunk is an object with a "type", not an array'),
        (1, 'a chunk is an object with a "type", not a number'),
        (b"x", 'a chunk is an object with a "type", not a Python bytes'),
        ({}, 'a chunk needs "type", a string; this one has null'),
        ({"type": []}, 'a chunk needs "type", a string; this one has an array'),
        ({"type": "text_delta"}, '"text_delta" is not a chunk type; did you mean "text-delta"?'),
        (
            {"type": "weather"},
            '"weather" is not a chunk type; data of your own goes in a "data-..." chunk',
        ),
        (
            {"type": "custom", "kind": "a.b"},
            'only clients of AI SDK 7 understand "custom" chunks; '
            'send it as a "data-..." chunk, or set ui_protocol to "v7"',
        ),
        (
            {"type": "text-delta", "id": 0, "delta": "x"},
            'a "text-delta" chunk needs "id", a string; this one has a number',
        ),
        (
            {"type": "tool-output-available", "toolCallId": "c", "output": 1, "preliminary": "yes"},
            'a "tool-output-available" chunk needs "preliminary", true or false; '
            "this one has a string",
        ),
        (
            {"type": "text-start", "id": "0", "providerMetadata": {"anthropic": "x"}},
            '"providerMetadata" of a "text-start" chunk must be an object of objects, '
            "one for each provider",
        ),
    ],
)
def test_a_complaint_says_what_is_wrong_and_what_it_must_be(value: object, complaint: str) -> None:
    with pytest.raises(ChunkInvalid) as caught:
        check_chunk(value)

    assert str(caught.value) == complaint


def test_an_encoding_is_one_of_two() -> None:
    chunk = {"type": "tool-input-start", "toolCallId": "c", "toolName": "t", "inputEncoding": "xml"}

    with pytest.raises(ChunkInvalid, match='"inputEncoding" .* must be "json" or "text"'):
        check_chunk(chunk, profile="v7")


@pytest.mark.parametrize(("profile", "kind"), [("v6", "custom"), ("v7", "nonsense")])
def test_a_type_the_clients_do_not_know_is_never_sent(profile: Profile, kind: str) -> None:
    with pytest.raises(ChunkInvalid, match=kind):
        floor_chunk({"type": kind}, profile=profile)


def test_data_chunks_are_told_by_their_type() -> None:
    assert is_data_chunk({"type": "data-weather", "data": 1})
    assert not is_data_chunk({"type": "text-start", "id": "0"})
