"""What every store refuses before it writes anything, so that all of them refuse the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from chatrun.errors import Fenced, InvalidInput, SessionClosed, SessionExpired, SessionNotFound
from chatrun.store.base import NewSession, OutWrite, PutMessage, RemoveMessage, SessionQuery

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chatrun.store.base import Session, SessionChange

_POSITION: Final = re.compile(r"[0-9]{1,18}")


def check_text(text: str, what: str) -> str:
    """Return `text` when it can be written down as UTF-8.

    Raises:
        InvalidInput: It holds a lone surrogate, half of a character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidInput(
            f"{what} holds half a character (a lone surrogate) at position {exc.start}: "
            "send whole Unicode characters"
        ) from None
    return text


def encode_json(value: Mapping[str, object], what: str) -> bytes:
    """Return `value` as JSON.

    Raises:
        InvalidInput: It holds what JSON cannot.
    """
    try:
        return orjson.dumps(dict(value))
    except TypeError as exc:
        raise InvalidInput(f"{what} cannot be kept as JSON: {exc}") from exc


def encode_json_or_none(value: Mapping[str, object] | None, what: str) -> bytes | None:
    """Return `value` as JSON, None for None; raises as `encode_json` does."""
    return None if value is None else encode_json(value, what)


def check_new(new: NewSession) -> None:
    """Raise `InvalidInput` when a text of `new` cannot be kept."""
    _check_texts((new.task_id, new.type, new.external_id or "", *new.tags), "a session's text")


def check_change(change: SessionChange) -> None:
    """Raise `InvalidInput` when a text of `change` cannot be kept."""
    _check_texts(change.tags or (), "a tag")


def check_query(query: SessionQuery) -> None:
    """Raise `InvalidInput` when `query` cannot be answered."""
    check_limit(query.limit)
    if query.after is not None and query.before is not None:
        raise InvalidInput("a listing goes either after a session or before one, not both")
    texts = (query.after, query.before, query.external_id)
    _check_texts((text for text in texts if text is not None), "a filter")
    _check_texts((*query.types, *query.task_ids, *query.tags), "a filter")


def check_limit(limit: int) -> int:
    """Return `limit` when it lets at least one thing through; else raise `InvalidInput`."""
    if limit < 1:
        raise InvalidInput(f"limit must be at least 1, not {limit}")
    return limit


def check_write(write: OutWrite) -> None:
    """Refuse a write that could not be read back as it was written.

    Raises:
        InvalidInput: The id of a message cannot be kept.
    """
    assert not any(b"\n" in line for line in write.lines), "a line never holds a line break"
    assert write.lines or not write.ends_turn, "a turn ends with its turn-complete"
    for change in write.changes:
        if isinstance(change, PutMessage | RemoveMessage):
            check_text(change.message_id, "a message's id")


def check_active(session: Session, now_ms: int) -> None:
    """Refuse a session that takes no more records.

    Raises:
        SessionClosed: It was closed.
        SessionExpired: Its time has passed.
    """
    match session.status(now_ms):
        case "CLOSED":
            reason = session.closed_reason
            because = f": {reason}" if reason else ""
            raise SessionClosed(f"session {session.key} was closed{because}", reason=reason)
        case "EXPIRED":
            raise SessionExpired(f"session {session.key} has expired: start another one")
        case "ACTIVE":
            pass


def transcript_position(before: str) -> int:
    """Return the place in a transcript that a page's `next_before` stands for.

    Raises:
        InvalidInput: No page ever said so.
    """
    if not _POSITION.fullmatch(before):
        raise InvalidInput(f"{before!r} is not a place in a transcript: use a page's nextCursor")
    return int(before)


def no_session(ref: str) -> SessionNotFound:
    """Return the error for a session that is not there."""
    return SessionNotFound(f"there is no session {ref!r}")


def fenced(session_id: str, epoch: int, current: int) -> Fenced:
    """Return the error for a write with an epoch that is not the session's."""
    return Fenced(f"epoch {epoch} may not write to {session_id}: its epoch is {current} now")


def unknown_cursor(session_id: str) -> InvalidInput:
    """Return the error for a listing that starts at a session that is not there."""
    return InvalidInput(f"cannot list from {session_id!r}: there is no such session")


def _check_texts(texts: Iterable[str], what: str) -> None:
    for text in texts:
        check_text(text, what)
