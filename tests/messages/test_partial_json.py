from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatrun.messages.partial_json import fix_json, parse_partial_json

# The repair, like the original, takes a quote in a key for the key's end, and refuses `__proto__`
# and `constructor`, which are longer than these.
keys = st.text(st.characters(codec="utf-8", exclude_characters='"\\'), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"city": "Pa', {"city": "Pa"}),
        ('{"city": "Paris", "da', {"city": "Paris"}),
        ('{"a": [1, 2.', {"a": [1, 2]}),
        ('{"a": tr', {"a": True}),
        ('{"a": "x\\', {"a": "x"}),
        ('{"a": "x\\u00e', {"a": "x"}),
        ('{"a": {"b": [', {"a": {"b": []}}),
        ("[[1], [2", [[1], [2]]),
        ('"half', "half"),
        ("nul", None),
        ("-1", -1),
        (" [ ", []),
    ],
)
def test_what_has_arrived_can_be_read(text: str, value: object) -> None:
    assert parse_partial_json(text).value == value


@pytest.mark.parametrize("text", ["", "x", "-", "}", "[1 2", "NaN", "[Infinity]"])
def test_what_is_no_beginning_of_json_fails(text: str) -> None:
    assert parse_partial_json(text) == (None, "failed-parse")


def test_the_state_tells_whole_from_repaired() -> None:
    assert parse_partial_json("[1]") == ([1], "successful-parse")
    assert parse_partial_json("[1") == ([1], "repaired-parse")


def test_ai_sdk_6_keeps_what_begins_no_item_and_fails_over_it() -> None:
    assert (fix_json("[-"), fix_json("[-", profile="v7")) == ("[-]", "[]")
    assert parse_partial_json("[-", profile="v6").state == "failed-parse"
    assert parse_partial_json("[-", profile="v7").value == []


@pytest.mark.parametrize(
    "text", ['{"__proto__": 1}', '[{"\\u005f_proto__": {}}]', '{"constructor": {"prototype": 1}}']
)
def test_a_key_that_reaches_a_prototype_is_refused(text: str) -> None:
    assert parse_partial_json(text).state == "failed-parse"


@pytest.mark.parametrize("text", ['{"constructor": 1}', '["__proto__"]', '{"prototype": {}}'])
def test_a_word_that_only_looks_like_a_prototype_is_none(text: str) -> None:
    assert parse_partial_json(text).value == json.loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\ud83d', "\ufffd"),
        ('"\\ud83d\\ude00"', "😀"),
        ('{"\\udc00": ["\\ud800x"]}', {"\ufffd": ["\ufffdx"]}),
        ('["\\ud800", NaN]', ["\ufffd"]),
        ("[1e999, -1e999, 1e30]", [None, None, 1e30]),
        ("9" * 30, 1e30),
        ("9" * 400, None),
        (f'["\\ud800", {"9" * 30}, 1, 1.5]', ["\ufffd", 1e30, 1, 1.5]),
    ],
)
def test_whatever_javascript_reads_can_be_written_again(text: str, value: object) -> None:
    assert parse_partial_json(text).value == value
    orjson.dumps(parse_partial_json(text).value)


def test_endless_nesting_fails() -> None:
    assert parse_partial_json("[" * 100_000).state == "failed-parse"
    assert parse_partial_json('["\\ud800",' + "[" * 900).state == "failed-parse"


@settings(deadline=None)
@given(values)
def test_whole_json_is_read_as_it_is(value: object) -> None:
    assert parse_partial_json(json.dumps(value)) == (value, "successful-parse")


@settings(deadline=None)
@given(values, st.data())
def test_every_beginning_of_a_container_can_be_read(value: object, data: st.DataObject) -> None:
    text = json.dumps([value])
    cut = data.draw(st.integers(1, len(text)))

    assert parse_partial_json(text[:cut], profile="v7").state != "failed-parse"
