"""Access tokens: JSON Web Tokens (RFC 7519) in the one form of wire.md section 2.

They are signed with HS256 and the project's secret, by the server and by the published
packages alike. What a token permits stands in its signed scopes and nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import jwt
import orjson
from jwt.algorithms import HMACAlgorithm

from chatrun.errors import InvalidInput, SecretMissing, TokenExpired, TokenInvalid

ISSUER: Final = "https://id.trigger.dev"
AUDIENCE: Final = "https://api.trigger.dev"
SUBJECT: Final = "env_chatrun"
"""Who a token speaks for; a server has one environment."""

LEEWAY_S: Final = 30.0
"""By how much clocks may differ."""

SESSION_TTL_S: Final = 3600.0
TASK_TTL_S: Final = 24 * 3600.0

Clock = Callable[[], float]

_INVALID: Final = "the access token is not valid"
_EXPIRED: Final = "the access token has expired"
_TTL = re.compile(
    r"\+?(\d+(?:\.\d+)?) ?"
    r"(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|y|yrs?|years?)"
)
_TTL_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31557600.0}


@dataclass(frozen=True, slots=True)
class Grant:
    """What the bearer of a key or a token may do."""

    is_secret: bool = False
    """Whether it is the secret itself, which may do everything."""
    scopes: tuple[str, ...] = ()

    @property
    def is_admin(self) -> bool:
        """Whether everything is permitted."""
        return self.is_secret or "admin" in self.scopes

    @property
    def task_ids(self) -> tuple[str, ...]:
        """The tasks that `trigger:tasks:<id>` scopes name, each once."""
        prefix = "trigger:tasks:"
        named = (scope.removeprefix(prefix) for scope in self.scopes if scope.startswith(prefix))
        return tuple(dict.fromkeys(name for name in named if name))

    def allows(self, action: str, kind: str, *ids: str) -> bool:
        """Tell whether `action` is permitted on the resource of this kind with any of `ids`.

        Without ids it must be permitted on every resource of the kind.
        """
        return self.is_admin or any(_covers(scope, action, kind, ids) for scope in self.scopes)


def _covers(scope: str, action: str, kind: str, ids: Sequence[str]) -> bool:
    # Only the first two colons separate: an id may hold more.
    actor, _, rest = scope.partition(":")
    target, has_id, id_ = rest.partition(":")
    if actor not in {action, "*"}:
        return False
    if target == "all":
        return not has_id
    return target == kind and (not has_id or id_ in ids)


class _AnyKey(HMACAlgorithm):
    """HMAC with any text as its key, as the published packages sign.

    The package's own refuses keys that look like a certificate and warns of short ones.
    """

    def prepare_key(self, key: str | bytes) -> bytes:
        return key.encode() if isinstance(key, str) else key

    def check_key_length(self, key: object) -> str | None:
        return None


def _make_signer() -> jwt.PyJWS:
    signer = jwt.PyJWS(algorithms=[])
    signer.register_algorithm("HS256", _AnyKey(HMACAlgorithm.SHA256))
    return signer


_SIGNER: Final = _make_signer()


def mint(
    secret: str,
    scopes: Sequence[str],
    *,
    ttl_s: float,
    one_time: bool = False,
    realtime: object = None,
    clock: Clock = time.time,
) -> str:
    """Return a token with these scopes that is good for `ttl_s` seconds.

    Raises:
        SecretMissing: The secret is empty.
    """
    now = math.floor(clock())
    claims: dict[str, object] = {
        "sub": SUBJECT,
        "pub": True,
        "scopes": list(scopes),
        **({"otu": True} if one_time else {}),
        **({} if realtime is None else {"realtime": realtime}),
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "exp": math.ceil(now + ttl_s),
    }
    key = check_secret(secret)
    # Without a `typ`, as the published packages do: the header is exactly {"alg":"HS256"}.
    return _SIGNER.encode(orjson.dumps(claims), key, "HS256", headers={"typ": None})


def mint_session(
    secret: str,
    key: str,
    *,
    read_only: bool = False,
    ttl_s: float = SESSION_TTL_S,
    clock: Clock = time.time,
) -> str:
    """Return a token that reads and, unless `read_only`, writes the session with this id."""
    actions = ("read",) if read_only else ("read", "write")
    scopes = [f"{action}:sessions:{key}" for action in actions]
    return mint(secret, scopes, ttl_s=ttl_s, clock=clock)


def mint_task(
    secret: str, task_id: str, *, ttl_s: float = TASK_TTL_S, clock: Clock = time.time
) -> str:
    """Return a token that starts sessions of one task, as `chat.createAccessToken` does."""
    scopes = [f"trigger:tasks:{task_id}"]
    return mint(secret, scopes, ttl_s=ttl_s, one_time=True, clock=clock)


def verify(bearer: str, secret: str, *, clock: Clock = time.time) -> Grant:
    """Return what `bearer`, the secret itself or a token signed with it, permits.

    Raises:
        TokenInvalid: It is neither; the message does not say what is wrong with it.
        TokenExpired: It was a token of ours, and its time has passed.
        SecretMissing: The secret is empty.
    """
    key = check_secret(secret)
    presented = bearer.encode(errors="surrogateescape")
    if hmac.compare_digest(presented, key.encode()):
        return Grant(is_secret=True)
    claims = _verified_claims(presented, key)
    _check_times(claims, clock())
    return Grant(scopes=_scopes(claims))


def _verified_claims(token: bytes, secret: str) -> dict[str, object]:
    if not _is_canonical(token):
        raise TokenInvalid(_INVALID)
    try:
        decoded = _SIGNER.decode_complete(token, secret, algorithms=["HS256"])
        claims = orjson.loads(decoded["payload"])
    except (jwt.PyJWTError, orjson.JSONDecodeError):
        raise TokenInvalid(_INVALID) from None
    # `b64` and `crit` change how a token is to be read; none of ours has them.
    odd = {"crit", "b64"} & decoded["header"].keys()
    if odd or not isinstance(claims, dict):
        raise TokenInvalid(_INVALID)
    if claims.get("iss") != ISSUER or claims.get("aud") != AUDIENCE:
        raise TokenInvalid(_INVALID)
    return claims


def _is_canonical(token: bytes) -> bool:
    """Tell whether the signature is spelled in the one way base64url has for its bytes.

    The last character of 32 encoded bytes has two spare bits, which decoders ignore: without
    this, four spellings of each token would pass.
    """
    signature = token.rpartition(b".")[2]
    try:
        raw = base64.urlsafe_b64decode(signature + b"=" * (-len(signature) % 4))
    except (binascii.Error, ValueError):
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=") == signature


def _check_times(claims: dict[str, object], now: float) -> None:
    expires, issued, not_before = (_time(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None or max(issued or 0, not_before or 0) > now + LEEWAY_S:
        raise TokenInvalid(_INVALID)
    if expires <= now - LEEWAY_S:
        raise TokenExpired(_EXPIRED)


def _time(claims: dict[str, object], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise TokenInvalid(_INVALID)


def _scopes(claims: dict[str, object]) -> tuple[str, ...]:
    scopes = claims.get("scopes", [])
    if isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes):
        return tuple(cast("list[str]", scopes))
    raise TokenInvalid(_INVALID)


def check_secret(secret: str) -> str:
    """Return `secret` when tokens can be signed with it; any text can but the empty one.

    Raises:
        SecretMissing: It is empty or is not text that has a form in UTF-8.
    """
    if not secret.strip():
        raise SecretMissing("the secret is empty: set CHATRUN_SECRET_KEY to a long random text")
    try:
        secret.encode()
    except UnicodeEncodeError:
        raise SecretMissing("the secret is not valid UTF-8 text") from None
    return secret


def parse_ttl(text: str) -> float:
    """Return the seconds that `text` stands for: "1h", "15m", "7d", "2 weeks" or a bare number.

    Raises:
        InvalidInput: It is no such span of time, or is not above 0.
    """
    match = _TTL.fullmatch(text.strip().lower())
    if match is not None:
        seconds = float(match[1]) * _TTL_UNITS[match[2][0]]
    else:
        seconds = float(text) if re.fullmatch(r"\d{1,12}", text.strip()) else 0.0
    if seconds <= 0:
        raise InvalidInput(f"{text!r} is no span of time: write it as 15m, 1h, 7d or in seconds")
    return seconds
