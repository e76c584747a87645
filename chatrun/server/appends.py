"""Appending to the channels of a session (wire.md 5.1 and 9.1)."""

from __future__ import annotations

import json
import re
import secrets
from typing import TYPE_CHECKING, Final

import orjson

from chatrun.errors import InvalidInput
from chatrun.server.errors import HttpRefused
from chatrun.server.routes import json_response
from chatrun.wire.ids import Cursor
from chatrun.wire.json import parse_json, parse_json_object
from chatrun.wire.records import data_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from chatrun.server.routes import Call
    from chatrun.store.base import Appended

_PART_ID: Final = re.compile(r"[\x21-\x7e]{1,256}")


async def append_in(call: Call) -> web.StreamResponse:
    """Append the body to `in`; it is durable and a run is on its way when this answers."""
    text = record_text(call.body)
    part_id = read_part_id(call.request.headers)
    appended = await call.site.live.append(call.session, text, part_id=part_id)
    if not appended.is_new:
        await _check_same(call, appended, text)
    return json_response({"ok": True, "seq": appended.seq})


async def _check_same(call: Call, appended: Appended, text: str) -> None:
    earlier = Cursor(appended.seq - 1)
    records = await call.site.live.store.read_in(call.session.id, after=earlier, limit=1)
    if records and records[0].body != text:
        raise HttpRefused(409, "this X-Part-Id was used for another record")


def read_part_id(headers: Mapping[str, str]) -> str:
    """Return the append's idempotency key, a new one where the client gives none.

    Raises:
        InvalidInput: It is not 1 to 256 visible ASCII characters.
    """
    part_id = headers.get("X-Part-Id")
    if part_id is None:
        return secrets.token_urlsafe(16)
    if not _PART_ID.fullmatch(part_id):
        raise InvalidInput("X-Part-Id must be 1 to 256 visible ASCII characters")
    return part_id


def record_text(body: bytes) -> str:
    """Return the text of a record as it is to be kept.

    Text that is not JSON is taken as it is: what a record says is the task's matter. What other
    readers of JSON accept and then cannot store or send on is refused.

    Raises:
        InvalidInput: It is empty, not UTF-8, or JSON that cannot be kept.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidInput("the record is not text in UTF-8") from None
    if not text or "\0" in text:
        raise InvalidInput("the record is empty or holds a NUL character")
    try:
        value = parse_json(text, what="the record")
    except InvalidInput:
        if _is_json(text):
            raise
        return text
    return _without_webhook(value) or text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    except (ValueError, RecursionError):
        return True  # too large a number, too deep a nesting
    return True


def _without_webhook(record: object) -> str | None:
    """Return the record without the mark of a verified webhook, which no client may set."""
    if not isinstance(record, dict) or not isinstance(payload := record.get("payload"), dict):
        return None
    if payload.get("actionSource") != "webhook":
        return None
    kept = {name: value for name, value in payload.items() if name != "actionSource"}
    return orjson.dumps({**record, "payload": kept}).decode()


async def append_out(call: Call) -> web.StreamResponse:
    """Append a chunk to `out` beside the run's own."""
    chunk = parse_json_object(call.body, what="the chunk")
    seq = await call.site.live.append_out(call.session, data_line(chunk))
    return json_response({"ok": True, "seq": seq})


async def begin_out(_call: Call) -> web.StreamResponse:
    """Answer a client that wants to write `out` directly: there is no backend behind us to do so.

    `chat.headStart` goes on without; `sessions.open().out.writer` fails with its own error.
    """
    return json_response({"version": "v2"}, status=202)
