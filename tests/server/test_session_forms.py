from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from chatrun.errors import InvalidInput
from chatrun.server.session_forms import (
    Update,
    read_close_reason,
    read_limit,
    read_new,
    read_query,
    read_update,
)
from chatrun.store.base import NewSession, SessionChange, SessionQuery

NOW_MS = 1_800_000_000_000
LEAST: dict[str, Any] = {
    "type": "chat.agent",
    "taskIdentifier": "my-chat",
    "triggerConfig": {"basePayload": {}},
}
CONFIG = {
    "basePayload": {"chatId": "c", "trigger": "preload", "mine": 1},
    "machine": "large-2x",
    "queue": "q",
    "concurrency": ["a_b-1", "c"],
    "concurrencyKey": 7,
    "tags": ["chat:c"],
    "maxAttempts": 10,
    "maxDuration": 60,
    "lockToVersion": "2026.1",
    "externalDeploymentId": "d",
    "region": "eu",
    "idleTimeoutInSeconds": 3600,
    "ttl": "10m",
}


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def test_the_least_that_a_session_needs() -> None:
    assert read_new(encode(LEAST)) == NewSession(
        "my-chat", trigger_config={"basePayload": {}}, type="chat.agent"
    )


def test_all_that_a_session_can_have_is_kept_as_it_came() -> None:
    form = {
        **LEAST,
        "triggerConfig": CONFIG,
        "externalId": " c ",
        "tags": ["a", "b"],
        "metadata": {"user": {"id": 1}},
        "expiresAt": "2026-01-31T12:00:00.5Z",
    }

    assert read_new(encode(form)) == NewSession(
        "my-chat",
        external_id="c",
        trigger_config=CONFIG,
        tags=("a", "b"),
        metadata={"user": {"id": 1}},
        expires_at_ms=1_769_860_800_500,
    )


def test_null_is_the_same_as_nothing() -> None:
    nothing = dict.fromkeys(["externalId", "tags", "metadata", "expiresAt"])
    config: dict[str, object] = {
        "basePayload": {},
        **dict.fromkeys(["machine", "queue", "tags", "maxAttempts"]),
    }

    assert read_new(encode({**LEAST, **nothing, "triggerConfig": config})) == read_new(
        encode(LEAST)
    )


WRONG: dict[str, dict[str, object]] = {
    "type": {"type": None},
    "type ": {"type": "x" * 65},
    "taskIdentifier": {"taskIdentifier": ""},
    "taskIdentifier ": {"taskIdentifier": "x" * 129},
    "externalId": {"externalId": "session_x"},
    "externalId ": {"externalId": " "},
    "externalId  ": {"externalId": "x" * 257},
    "externalId   ": {"externalId": 7},
    "externalId    ": {"externalId": "a\x00b"},
    "tags": {"tags": ["x"] * 11},
    "tags ": {"tags": ["x" * 129]},
    "tags  ": {"tags": "x"},
    "metadata": {"metadata": []},
    "expiresAt": {"expiresAt": "tomorrow"},
    "expiresAt ": {"expiresAt": True},
    "expiresAt  ": {"expiresAt": -1},
    "expiresAt   ": {"expiresAt": 1e18},
    "expiresAt    ": {"expiresAt": "0001-01-01T00:00:00+23:59"},
    "triggerConfig": {"triggerConfig": None},
    "triggerConfig ": {"triggerConfig": []},
    "basePayload": {"triggerConfig": {}},
    "basePayload ": {"triggerConfig": {"basePayload": "x"}},
    "trigger": {"triggerConfig": {"basePayload": {"trigger": "explode"}}},
}
WRONG_CONFIG: dict[str, object] = {
    "machine": "enormous",
    "queue": "x" * 129,
    "concurrency": ["a b"],
    "concurrencyKey": [],
    "tags": ["x"] * 11,
    "maxAttempts": 11,
    "maxDuration": 0,
    "lockToVersion": 1,
    "externalDeploymentId": "x" * 129,
    "region": {},
    "idleTimeoutInSeconds": True,
    "ttl": -1,
}


@pytest.mark.parametrize(("name", "wrong"), WRONG.items())
def test_what_a_session_cannot_have_is_named(name: str, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=name.strip()):
        read_new(encode({**LEAST, **wrong}))


@pytest.mark.parametrize(("name", "wrong"), WRONG_CONFIG.items())
def test_a_config_that_the_clients_would_not_take_back_is_refused(name: str, wrong: object) -> None:
    form = {**LEAST, "triggerConfig": {**CONFIG, name: wrong}}

    with pytest.raises(InvalidInput, match=f"triggerConfig.{name} must be"):
        read_new(encode(form))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-99, 2**62)
        | st.floats(allow_nan=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=4,
    ),
    st.sampled_from(["type", "externalId", "tags", "metadata", "expiresAt", "triggerConfig"]),
)
def test_no_value_breaks_the_reading(value: object, name: str) -> None:
    try:
        read_new(encode({**LEAST, name: value}))
        read_update(encode({name: value}))
    except InvalidInput:
        pass


def test_an_update_tells_clearing_from_keeping() -> None:
    assert read_update(b"{}") == Update(SessionChange(), False, None)
    assert read_update(b'{"metadata":null,"tags":[]}') == Update(
        SessionChange(tags=(), set_metadata=True), False, None
    )
    assert read_update(b'{"metadata":{"a":1},"externalId":" c "}') == Update(
        SessionChange(set_metadata=True, metadata={"a": 1}), True, "c"
    )
    assert read_update(b'{"externalId":null}').names_external_id


def test_a_reason_to_close_may_be_left_out_in_every_way() -> None:
    assert [read_close_reason(body) for body in (b"", b" ", b"{}", b'{"reason":null}')] == [
        None
    ] * 4
    assert read_close_reason(b'{"reason":"done","callingRunId":"run_1"}') == "done"
    for body in (b"[]", b'{"reason":7}', encode({"reason": "x" * 257})):
        with pytest.raises(InvalidInput):
            read_close_reason(body)


def test_a_list_is_of_the_newest_twenty_unless_asked_otherwise() -> None:
    assert read_query(MultiDict(), now_ms=NOW_MS) == SessionQuery()
    query = MultiDict(
        [
            ("page[size]", "100"),
            ("page[after]", "session_1"),
            ("filter[type]", "a,b"),
            ("filter[tags]", "t"),
            ("filter[tags]", " u "),
            ("filter[taskIdentifier]", "my-chat"),
            ("filter[status]", "ACTIVE,CLOSED"),
            ("filter[externalId]", "c"),
            ("filter[createdAt][from]", "1700000000000"),
            ("filter[createdAt][to]", "2026-01-31"),
        ]
    )

    assert read_query(query, now_ms=NOW_MS) == SessionQuery(
        limit=100,
        after="session_1",
        types=("a", "b"),
        tags=("t", "u"),
        task_ids=("my-chat",),
        statuses=("ACTIVE", "CLOSED"),
        external_id="c",
        created_from_ms=1_700_000_000_000,
        created_to_ms=1_769_817_600_000,
    )
    period = read_query(MultiDict({"filter[createdAt][period]": "7d"}), now_ms=NOW_MS)
    assert period.created_from_ms == NOW_MS - 7 * 86_400_000


@pytest.mark.parametrize(
    "query",
    [
        {"page[size]": "0"},
        {"page[size]": "101"},
        {"page[size]": "-1"},
        {"page[size]": "ten"},
        {"page[size]": "9" * 5000},
        {"page[after]": "a", "page[before]": "b"},
        {"filter[status]": "ACTIVE,ASLEEP"},
        {"filter[createdAt][period]": "a while"},
        {"filter[createdAt][from]": "then"},
    ],
)
def test_a_list_that_cannot_be_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        read_query(MultiDict(query), now_ms=NOW_MS)


def test_a_transcript_has_a_limit_or_none() -> None:
    assert read_limit(MultiDict()) is None
    assert read_limit(MultiDict({"limit": "1000"})) == 1000
    for limit in ("0", "1001", "", "1.5"):
        with pytest.raises(InvalidInput, match="limit must be a number from 1 to 1000"):
            read_limit(MultiDict({"limit": limit}))
