from __future__ import annotations

import json
import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.errors import InvalidInput
from chatrun.wire.json import MAX_DEPTH, parse_json, parse_json_object

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc\x00\u2028é"), inner),
    max_leaves=20,
)

REFUSED = {
    "": "not valid JSON",
    "{": "not valid JSON",
    "NaN": "not valid JSON",
    "[-Infinity]": "not valid JSON",
    "1e999": "not valid JSON",
    "\ufeff{}": "not valid JSON",
    '"\\ud800"': "not valid JSON",
    '{"a\\udfff":1}': "not valid JSON",
    '"\ud800"': "lone surrogate",
    '{"a":1,"a":1}': "names a key twice",
    '[{"b":{"a":1, "\\u0061":2}}]': "names a key twice",
    str(2**64): "beyond 64 bits",
    str(-(2**63) - 1): "beyond 64 bits",
    "9" * 5000: "",
}


@given(VALUES)
def test_what_a_compact_writer_wrote_is_read_back(value: object) -> None:
    assert parse_json(orjson.dumps(value), what="it") == value


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_what_the_standard_library_wrote_is_read_back_however_it_was_laid_out(
    value: object, indent: int | None, ensure_ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)

    assert parse_json(text, what="it") == value


@given(st.text(st.sampled_from('{}[]":,01\\u"ab \n-.eE')))
def test_what_is_accepted_is_what_the_standard_library_reads(text: str) -> None:
    try:
        value = parse_json(text, what="it")
    except InvalidInput:
        return

    assert value == json.loads(text)


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_what_would_poison_a_store_or_a_client_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=f"the body .*{reason}"):
        parse_json(text, what="the body")


def test_bytes_that_are_not_utf8_are_refused() -> None:
    for raw in (b'"\xff"', '{"a":1}'.encode("utf-16"), b'"\xed\xa0\x80"'):
        with pytest.raises(InvalidInput, match="not valid JSON"):
            parse_json(raw, what="the body")


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_bounded(opening: str) -> None:
    closing = "]" if opening == "[" else "}"

    def nested(depth: int) -> str:
        return opening * depth + "1" + closing * depth

    assert parse_json(nested(MAX_DEPTH), what="it") is not None
    for depth in (MAX_DEPTH + 1, 500, 100_000):
        with pytest.raises(InvalidInput):
            parse_json(nested(depth), what="it")


def test_numbers_keep_their_kind_and_value() -> None:
    text = f"[1, 1.0, -0.0, 1e21, {2**64 - 1}, {-(2**63)}, 123456789012345680000.0]"

    value = parse_json(text, what="it")

    assert value == [1, 1.0, -0.0, 1e21, 2**64 - 1, -(2**63), 123456789012345680000.0]
    assert isinstance(value, list)
    assert [type(item) for item in value] == [int, float, float, float, int, int, float]
    assert math.copysign(1, value[2]) == -1


def test_a_whole_body_must_be_an_object_where_one_is_asked_for() -> None:
    assert parse_json_object('{"a": [1]}', what="the body") == {"a": [1]}
    with pytest.raises(InvalidInput, match="the body must be a JSON object"):
        parse_json_object("[1]", what="the body")
