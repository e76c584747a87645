"""What a server's refusal means, as an error of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from chatrun import errors
from chatrun.errors import ChatrunError
from chatrun.wire.json import parse_json_object

MAX_TEXT: Final = 300


def unreachable(url: str, why: object = "") -> ChatrunError:
    """Return the error for a server that cannot be reached."""
    reason = f" ({why})" if why else ""
    return errors.LinkBroken(
        f"no chatrun server answers at {url}{reason}: start one with `chatrun dev`, "
        "or name another with --url or CHATRUN_URL"
    )


def refusal(status: int, body: bytes, *, what: str) -> ChatrunError:
    """Return the error that an answer with this status and body stands for.

    `what` was being done, as in "append to session 'a'".
    """
    said = _parse(body)
    text = str(said.get("error") or "").strip() or body[:MAX_TEXT].decode(errors="replace").strip()
    message = f"cannot {what}: {text or f'the server answered {status}'}"
    if status == 413:
        limit = said.get("limit")
        return errors.TooLarge(message, limit_bytes=limit if isinstance(limit, int) else 0)
    if said.get("code") == errors.SessionClosed.code or "Session is closed" in text:
        reason = said.get("closedReason")
        return errors.SessionClosed(message, reason=reason if isinstance(reason, str) else None)
    make = _BY_CODE.get(str(said.get("code"))) or _BY_STATUS.get(status)
    if make is None:
        make = errors.StoreUnavailable if status >= 500 or status == 429 else errors.InvalidInput
    return make(message)


def _parse(body: bytes) -> Mapping[str, object]:
    try:
        return parse_json_object(body, what="the answer")
    except errors.InvalidInput:
        return {}


_Make = Callable[[str], ChatrunError]

_BY_STATUS: Final[Mapping[int, _Make]] = {
    400: errors.InvalidInput,
    401: errors.TokenInvalid,
    403: errors.ScopeMissing,
    404: errors.SessionNotFound,
    409: errors.SessionBusy,
    421: errors.OriginRefused,
    422: errors.TaskNotFound,
}


def _leaves(branch: type[ChatrunError]) -> Iterator[type[ChatrunError]]:
    for kind in branch.__subclasses__():
        yield kind
        yield from _leaves(kind)


# A server of ours names the case by its code. Errors that need more than a message are left out.
_BY_CODE: Final[Mapping[str, _Make]] = {
    kind.code: kind for kind in _leaves(ChatrunError) if kind.__init__ is Exception.__init__
}
