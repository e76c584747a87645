"""How errors are answered: one table from their classes to statuses and bodies (wire.md 2.5)."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from chatrun.errors import (
    AccessError,
    ChatError,
    ChatrunError,
    ChunkInvalid,
    CursorTrimmed,
    Fenced,
    InputError,
    InvalidInput,
    LinkBroken,
    LinkError,
    OriginRefused,
    ProviderError,
    ProviderKeyMissing,
    ProviderRejected,
    ProviderTruncated,
    ProviderUnavailable,
    ScopeMissing,
    SecretMissing,
    SessionBusy,
    SessionClosed,
    SessionError,
    SessionExpired,
    SessionNotFound,
    SettingInvalid,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreTooNew,
    StoreUnavailable,
    TaskDuplicated,
    TaskError,
    TaskFailed,
    TaskFileBroken,
    TaskNotFound,
    TokenExpired,
    TokenInvalid,
    TooLarge,
    WorkerFailed,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

logger = logging.getLogger("chatrun.server")


class HttpRefused(ChatrunError):
    """A request is refused for a reason that only HTTP knows; `status` says which."""

    code = "request_refused"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


STATUSES: Final[Mapping[type[ChatrunError], int]] = {
    ChatrunError: 500,
    InputError: 400,
    InvalidInput: 400,
    ChunkInvalid: 400,
    SettingInvalid: 400,
    TooLarge: 413,
    SessionError: 409,
    SessionNotFound: 404,
    SessionClosed: 409,
    SessionExpired: 400,
    SessionBusy: 409,
    AccessError: 403,
    TokenInvalid: 401,
    TokenExpired: 401,
    ScopeMissing: 403,
    OriginRefused: 403,
    SecretMissing: 500,
    TaskError: 500,
    TaskNotFound: 422,
    TaskDuplicated: 500,
    TaskFileBroken: 500,
    TaskFailed: 500,
    ChatError: 500,
    StoreError: 500,
    StoreUnavailable: 503,
    StoreLocked: 503,
    StoreFull: 507,
    StoreCorrupt: 500,
    StoreTooNew: 500,
    CursorTrimmed: 410,
    Fenced: 503,
    ProviderError: 502,
    ProviderUnavailable: 502,
    ProviderRejected: 502,
    ProviderKeyMissing: 502,
    ProviderTruncated: 502,
    LinkError: 503,
    LinkBroken: 503,
    WorkerFailed: 503,
}

_UNAUTHORIZED: Final = {
    "error": "Unauthorized",
    "code": "unauthorized",
    "param": "access_token",
    "type": "authorization",
}

# What went wrong inside is for the log: it may hold paths, addresses or what somebody said.
_PUBLIC_TEXTS: Final = {
    500: "Internal server error",
    502: "The model cannot be reached",
    503: "The server cannot do this now; try again",
    507: "The server has no space left",
}


def status_of(error: ChatrunError) -> int:
    """Return the HTTP status that `error` is answered with."""
    if isinstance(error, HttpRefused):
        return error.status
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def body_of(error: ChatrunError) -> dict[str, object]:
    """Return the JSON that `error` is answered with."""
    match error:
        case SessionClosed(reason=reason):
            return {
                "ok": False,
                "error": "Cannot append to a closed session",
                "code": error.code,
                "closedReason": reason,
            }
        case ScopeMissing():
            return dict(_UNAUTHORIZED)
        case SessionNotFound():
            return {"error": "Session not found"}
        case TooLarge():
            return {"ok": False, "error": "Request body too large"}
        case _:
            return {"error": public_text(error)}


def public_text(error: ChatrunError) -> str:
    """Return what of `error` a client may read."""
    return _PUBLIC_TEXTS.get(status_of(error)) or str(error)


def error_response(error: ChatrunError) -> web.Response:
    """Return the answer to a request that ended in `error`."""
    status = status_of(error)
    if status >= 500:
        logger.error("a request ended with %d: %s", status, error)
    return json_error(status, body_of(error))


def json_error(status: int, body: Mapping[str, object]) -> web.Response:
    """Return an error as JSON, with the headers that go with its status."""
    response = web.Response(
        status=status, body=orjson.dumps(dict(body)), content_type="application/json"
    )
    match status:
        case 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        case 409:
            # The published client would try again for nine seconds, with the same outcome.
            response.headers["x-should-retry"] = "false"
        case 503:
            response.headers["Retry-After"] = "1"
        case 408 | 413 | 415:
            response.force_close()  # the rest of the body is not worth reading
        case _:
            pass
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into an answer; what nobody expected is logged."""
    try:
        return await handler(request)
    except ChatrunError as error:
        return error_response(error)
    except web.HTTPException as error:
        return _from_aiohttp(error)
    except ConnectionError:
        return web.Response(status=499)  # nobody is there to see it
    except Exception as error:
        _log_unexpected(request, error)
        return json_error(500, {"error": _PUBLIC_TEXTS[500]})


def _from_aiohttp(error: web.HTTPException) -> web.Response:
    text = "Not found" if error.status == 404 else error.reason
    response = json_error(error.status, {"error": text})
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _log_unexpected(request: web.Request, error: Exception) -> None:
    # Not the error's own text: it may quote a message, a key or a token.
    where = "".join(traceback.format_tb(error.__traceback__))
    route = request.match_info.route.resource
    logger.error(
        "%s %s failed with %s\n%s",
        request.method,
        route.canonical if route is not None else "an unknown route",
        type(error).__name__,
        where,
    )
