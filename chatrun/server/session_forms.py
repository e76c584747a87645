"""What clients say of sessions, checked: bodies and queries (wire.md 4.1 to 4.3).

A trigger config is given back as it came, and the published client checks what it gets: so what
it would not take is refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast, get_args

from chatrun.errors import InvalidInput
from chatrun.store.base import NewSession, SessionChange, SessionQuery, Status
from chatrun.wire.ids import check_external_id
from chatrun.wire.inputs import parse_payload
from chatrun.wire.json import parse_json_object
from chatrun.wire.tokens import parse_ttl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import MultiMapping

MAX_TAGS: Final = 10
MAX_TAG: Final = 128
MAX_REASON: Final = 256
_STATUSES: Final[tuple[str, ...]] = get_args(Status)
_MACHINES: Final = ("micro", "small-1x", "small-2x", "medium-1x", "medium-2x")
_LARGE_MACHINES: Final = ("large-1x", "large-2x")
_LIMIT_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,122}")
_MAX_MS: Final = 253_402_300_799_999  # the end of the year 9999


# --- create -------------------------------------------------------------------------------------


def read_new(body: bytes) -> NewSession:
    """Return what the body of a create request asks for.

    Raises:
        InvalidInput: It has not the form of wire.md 4.2; the message names the key.
    """
    form = parse_json_object(body, what="the request body")
    external_id = _optional_text(form, "externalId", most=256)
    return NewSession(
        task_id=_text(form, "taskIdentifier", most=128),
        external_id=None if external_id is None else check_external_id(external_id),
        type=_text(form, "type", most=64),
        trigger_config=_trigger_config(form.get("triggerConfig")),
        tags=_tags(form.get("tags")),
        metadata=_object(form.get("metadata"), "metadata"),
        expires_at_ms=_time_ms(form.get("expiresAt"), "expiresAt"),
    )


def _trigger_config(value: object) -> dict[str, object]:
    config = _object(value, "triggerConfig")
    if config is None:
        raise InvalidInput("triggerConfig is missing")
    # Null is how some callers leave a key out; given back, the client would refuse it.
    config = {name: item for name, item in config.items() if item is not None}
    payload = _object(config.get("basePayload"), "triggerConfig.basePayload")
    if payload is None:
        raise InvalidInput("triggerConfig.basePayload is missing")
    parse_payload(payload)
    for name, (is_right, allowed) in _CONFIG.items():
        if name in config and not is_right(config[name]):
            raise InvalidInput(f"triggerConfig.{name} must be {allowed}")
    return config


def _is_text(value: object, most: int = 10_000) -> bool:
    return isinstance(value, str) and len(value) <= most


def _is_whole(value: object, least: int, most: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _are_tags(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_TAGS
        and all(_is_text(tag, MAX_TAG) for tag in value)
    )


def _are_limits(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 2
        and all(isinstance(name, str) and _LIMIT_NAME.fullmatch(name) for name in value)
    )


_CONFIG: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "machine": (lambda value: value in (*_MACHINES, *_LARGE_MACHINES), "a machine preset"),
    "queue": (lambda value: _is_text(value, 128), "text of at most 128 characters"),
    "concurrency": (_are_limits, "at most 2 names of concurrency limits"),
    "concurrencyKey": (
        lambda value: _is_text(value) or isinstance(value, int | float),
        "text or a number",
    ),
    "tags": (_are_tags, f"at most {MAX_TAGS} texts of at most {MAX_TAG} characters"),
    "maxAttempts": (lambda value: _is_whole(value, 1, 10), "a whole number from 1 to 10"),
    "maxDuration": (lambda value: _is_whole(value, 1, 2**53), "a whole number above 0"),
    "lockToVersion": (_is_text, "text"),
    "externalDeploymentId": (lambda value: _is_text(value, 128), "text"),
    "region": (_is_text, "text"),
    "idleTimeoutInSeconds": (
        lambda value: _is_whole(value, 1, 3600),
        "a whole number from 1 to 3600",
    ),
    "ttl": (lambda value: _is_text(value) or _is_whole(value, 0, 2**53), "text or seconds"),
}


# --- update and close ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Update:
    """What a client wants changed of a session."""

    change: SessionChange
    names_external_id: bool
    external_id: str | None
    """The external id that it is to have, where `names_external_id`."""


def read_update(body: bytes) -> Update:
    """Return what the body of an update asks for.

    Raises:
        InvalidInput: It has not the form of wire.md 4.4.
    """
    form = parse_json_object(body, what="the request body")
    change = SessionChange(
        tags=None if form.get("tags") is None else _tags(form["tags"]),
        set_metadata="metadata" in form,
        metadata=_object(form.get("metadata"), "metadata"),
    )
    external_id = _optional_text(form, "externalId", most=256)
    return Update(change, "externalId" in form, external_id and external_id.strip())


def read_close_reason(body: bytes) -> str | None:
    """Return the reason that the body of a close gives; the body may be empty.

    Raises:
        InvalidInput: It has not the form of wire.md 4.4.
    """
    form = parse_json_object(body, what="the request body") if body.strip() else {}
    return _optional_text(form, "reason", most=MAX_REASON, least=0)


# --- list ---------------------------------------------------------------------------------------


def read_query(query: MultiMapping[str], *, now_ms: int) -> SessionQuery:
    """Return which sessions the query of a list request asks for.

    Raises:
        InvalidInput: It has not the form of wire.md 4.3.
    """
    after, before = query.get("page[after]"), query.get("page[before]")
    if after is not None and before is not None:
        raise InvalidInput("page[after] and page[before] cannot be used together")
    statuses = _list(query, "filter[status]")
    if not set(statuses) <= set(_STATUSES):
        raise InvalidInput(f"filter[status] must be some of {', '.join(_STATUSES)}")
    created_from, created_to = _created(query, now_ms)
    return SessionQuery(
        limit=_number(query, "page[size]", default=20, most=100),
        after=after,
        before=before,
        types=_list(query, "filter[type]"),
        task_ids=_list(query, "filter[taskIdentifier]"),
        tags=_list(query, "filter[tags]"),
        statuses=cast("tuple[Status, ...]", statuses),
        external_id=query.get("filter[externalId]"),
        created_from_ms=created_from,
        created_to_ms=created_to,
    )


def read_limit(query: MultiMapping[str]) -> int | None:
    """Return how many messages a transcript request wants, None for all of them.

    Raises:
        InvalidInput: It is no number from 1 to 1000.
    """
    return None if "limit" not in query else _number(query, "limit", default=0, most=1000)


def _created(query: MultiMapping[str], now_ms: int) -> tuple[int | None, int | None]:
    period = query.get("filter[createdAt][period]")
    if period is not None:
        return now_ms - int(parse_ttl(period) * 1000), None
    start, end = query.get("filter[createdAt][from]"), query.get("filter[createdAt][to]")
    return _date(start, "filter[createdAt][from]"), _date(end, "filter[createdAt][to]")


def _date(text: str | None, name: str) -> int | None:
    if text is not None and re.fullmatch(r"\d{1,16}", text):
        return int(text)
    return _time_ms(text, name)


def _list(query: MultiMapping[str], name: str) -> tuple[str, ...]:
    texts = (text for value in query.getall(name, []) for text in value.split(","))
    return tuple(text.strip() for text in texts if text.strip())


def _number(query: MultiMapping[str], name: str, *, default: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= most:
        raise InvalidInput(f"{name} must be a number from 1 to {most}")
    return int(text)


# --- small parts --------------------------------------------------------------------------------


def _text(form: Mapping[str, object], name: str, *, most: int) -> str:
    text = _optional_text(form, name, most=most)
    if text is None:
        raise InvalidInput(f"{name} is missing")
    return text


def _optional_text(
    form: Mapping[str, object], name: str, *, most: int, least: int = 1
) -> str | None:
    value = form.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise InvalidInput(f"{name} must be text of {least} to {most} characters")
    return value


def _object(value: object, name: str) -> dict[str, object] | None:
    if value is None or isinstance(value, dict):
        return value
    raise InvalidInput(f"{name} must be an object")


def _tags(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not _are_tags(value):
        raise InvalidInput(f"tags must be at most {MAX_TAGS} texts of {MAX_TAG} characters")
    return tuple(cast("list[str]", value))


def _time_ms(value: object, name: str) -> int | None:
    """Return a time given as an ISO text or in milliseconds, as JavaScript's Date takes it."""
    if value is None:
        return None
    at_ms: float = -1
    if isinstance(value, int | float) and not isinstance(value, bool):
        at_ms = value
    elif isinstance(value, str):
        at_ms = _iso_ms(value)
    if not 0 <= at_ms <= _MAX_MS:
        raise InvalidInput(f"{name} must be a date such as 2026-01-31T12:00:00Z")
    return int(at_ms)


def _iso_ms(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return -1
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.timestamp() * 1000
