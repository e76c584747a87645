"""What went wrong at a provider, in our own words: foreign errors become `ProviderError` leaves.

The packages' exceptions are told apart by the names of their classes, so that neither package is
imported for it. In mid-stream a provider's error comes as an event behind a status of 200: there
only its type and code tell what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chatrun.errors import (
    ProviderError,
    ProviderKeyMissing,
    ProviderRejected,
    ProviderUnavailable,
)

_PACKAGES: Final = frozenset(("anthropic", "openai", "httpx2", "httpcore2", "httpx", "aiohttp"))
_TIMEOUTS: Final = frozenset(("APITimeoutError", "TimeoutException"))
_NETWORK: Final = frozenset(("APIConnectionError", "HTTPError", "ClientError", "StreamError"))
_TRY_AGAIN: Final = frozenset((408, 409, 425, 429))
_LIMIT_CHARS: Final = 500

# Types and codes that trying again will not help. What is in no list may pass: an unknown error
# in mid-stream is nearly always a passing one.
_FINAL_KINDS: Final = frozenset(
    (
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "billing_error",
        "not_found_error",
        "request_too_large",
        "insufficient_quota",
        "invalid_api_key",
        "model_not_found",
        "context_length_exceeded",
        "string_above_max_length",
        "invalid_prompt",
        "invalid_image",
        "content_policy_violation",
        "billing_hard_limit_reached",
    )
)


def foreign_error(exc: Exception, *, model: str, answering: bool = False) -> ProviderError | None:
    """Return what a provider package's exception means; None when it is not one of theirs.

    `answering` tells that the answer had begun.
    """
    names = _names(exc)
    if isinstance(exc, ProviderError):
        return exc
    if not names:
        return _network_error(exc, model, answering) if isinstance(exc, OSError) else None
    status = getattr(exc, "status_code", None)
    if "APIStatusError" in names and isinstance(status, int):
        return _status_error(exc, status, model)
    if not _TIMEOUTS.isdisjoint(names) and not _refused(exc):
        return ProviderUnavailable(f"{model} did not answer in time", model=model)
    if not _NETWORK.isdisjoint(names):
        return _network_error(exc, model, answering)
    if "APIError" not in names:
        return unexpected(exc, model=model)
    body = getattr(exc, "body", None)
    return event_error(body if isinstance(body, Mapping) else {"message": str(exc)}, model=model)


def _names(exc: BaseException) -> set[str]:
    """Return the names of an exception's classes that a provider's package defines."""
    return {
        base.__name__
        for base in type(exc).__mro__
        if base.__module__.partition(".")[0] in _PACKAGES
    }


def agent_error(exc: Exception, *, agent: str) -> Exception:
    """Return what ended a brought agent's run: a provider's failure in our words, else as it is.

    Agents raise it bare or as the cause of an error of their own, which may carry a status.
    """
    cause: BaseException | None = exc
    while isinstance(cause, Exception):
        if _names(cause):
            return foreign_error(cause, model=agent, answering=True) or exc
        cause = cause.__cause__
    status = getattr(exc, "status_code", None)
    return _status_error(exc, status, agent) if isinstance(status, int) else exc


def unexpected(exc: Exception, *, model: str) -> ProviderRejected:
    """Return the error of a request that a provider's package itself could not make."""
    detail = _text(str(exc)) or type(exc).__name__
    return ProviderRejected(f"{model} could not be asked: {detail}", model=model)


def event_error(error: Mapping[str, object], *, model: str) -> ProviderError:
    """Return what an error that came in mid-stream, or in the body of a reply, means."""
    message = _text(error.get("message")) or "it gave no reason"
    kinds = [_text(error.get(key)) for key in ("code", "type")]
    label = next((kind for kind in kinds if kind and kind != "error"), "error")
    final = not _FINAL_KINDS.isdisjoint(kinds)
    kind = ProviderRejected if final else ProviderUnavailable
    return kind(f"{model} failed while answering ({label}): {message}", model=model)


def silent(model: str, *, limit_s: float) -> ProviderUnavailable:
    """Return the error of a model that has said nothing for `limit_s`."""
    return ProviderUnavailable(f"{model} has sent nothing for {limit_s:g} s", model=model)


def key_missing(model: str, *, variable: str) -> ProviderKeyMissing:
    """Return the error of a model that there is no key for."""
    return ProviderKeyMissing(
        f"{model} needs an API key: put {variable}=... into .env or the environment, "
        'or use the model "demo", which needs none',
        model=model,
    )


def _status_error(exc: Exception, status: int, model: str) -> ProviderError:
    """Return the error of a reply with an HTTP status; 200 is an error event in mid-stream."""
    error = _error_object(getattr(exc, "body", None))
    if status < 400:
        return event_error({"message": str(exc), **error}, model=model)
    message = _text(error.get("message")) or _text(str(exc)) or "it gave no reason"
    kinds = (_text(error.get("code")), _text(error.get("type")))
    again = (status in _TRY_AGAIN or status >= 500) and "insufficient_quota" not in kinds
    kind = ProviderUnavailable if again else ProviderRejected
    return kind(f"{model} answered {status}: {message}", model=model, status=status)


def _error_object(body: object) -> Mapping[str, object]:
    """Return the object that holds type and message: Anthropic's wraps it, OpenAI's does not."""
    if not isinstance(body, Mapping):
        return {"message": body}
    inner = body.get("error", body)
    return inner if isinstance(inner, Mapping) else {"message": inner}


def _refused(exc: Exception) -> bool:
    """Tell whether the connection failed by itself: openai's transport calls that a timeout."""
    cause = _first_cause(exc)
    return isinstance(cause, OSError) and not isinstance(cause, TimeoutError)


def _network_error(exc: Exception, model: str, answering: bool) -> ProviderUnavailable:
    cause = _first_cause(exc)
    detail = _text(str(cause)) or type(cause).__name__
    what = f"{model} lost the connection while answering" if answering else f"cannot reach {model}"
    return ProviderUnavailable(f"{what}: {detail}", model=model)


def _first_cause(exc: BaseException) -> BaseException:
    seen = {exc}
    while exc.__cause__ is not None and exc.__cause__ not in seen:
        exc = exc.__cause__
        seen.add(exc)
    return exc


def _text(value: object) -> str:
    """Return `value` as one line of bounded length; nothing for what is no text."""
    return " ".join(value.split())[:_LIMIT_CHARS] if isinstance(value, str) else ""
