from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.errors import InvalidInput, SecretMissing, TokenExpired, TokenInvalid
from chatrun.wire.tokens import (
    LEEWAY_S,
    Grant,
    mint,
    mint_session,
    mint_task,
    parse_ttl,
    verify,
)

SECRET = "a secret of the project"
NOW = 1_800_000_000.0
CLAIMS: dict[str, object] = {
    "iss": "https://id.trigger.dev",
    "aud": "https://api.trigger.dev",
    "iat": int(NOW),
    "exp": int(NOW) + 60,
    "scopes": ["read:sessions:c"],
}


def clock() -> float:
    return NOW


def encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decode(segment: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


def sign(claims: object, *, header: object = None, key: str = SECRET, raw: bytes = b"") -> str:
    """Return a token made by hand, as somebody else's library would."""
    head = encode(json.dumps({"alg": "HS256"} if header is None else header).encode())
    body = encode(raw or json.dumps(claims).encode())
    signed = f"{head}.{body}".encode()
    return f"{head}.{body}.{encode(hmac.new(key.encode(), signed, hashlib.sha256).digest())}"


def test_a_token_is_spelled_as_the_published_packages_spell_theirs() -> None:
    token = mint(SECRET, ["read:sessions:c"], ttl_s=900, clock=clock)
    header, claims, _signature = token.split(".")

    assert decode(header) == {"alg": "HS256"}
    assert decode(claims) == {
        "sub": "env_chatrun",
        "pub": True,
        "scopes": ["read:sessions:c"],
        "iss": "https://id.trigger.dev",
        "aud": "https://api.trigger.dev",
        "iat": 1_800_000_000,
        "exp": 1_800_000_900,
    }


def test_a_task_token_is_for_one_use_and_a_day() -> None:
    claims = decode(mint_task(SECRET, "my:chat", clock=clock).split(".")[1])

    assert claims["scopes"] == ["trigger:tasks:my:chat"]
    assert claims["otu"] is True
    assert claims["exp"] - claims["iat"] == 24 * 3600


def test_what_was_minted_is_verified() -> None:
    minted = {
        mint(SECRET, ["a:b"], ttl_s=1, clock=clock): Grant(scopes=("a:b",)),
        mint(SECRET, [], ttl_s=1, realtime={"skip": 1}, clock=clock): Grant(),
        mint_session(SECRET, "c:1", clock=clock): Grant(
            scopes=("read:sessions:c:1", "write:sessions:c:1")
        ),
        mint_session(SECRET, "c", read_only=True, clock=clock): Grant(scopes=("read:sessions:c",)),
        SECRET: Grant(is_secret=True),
    }

    for token, grant in minted.items():
        assert verify(token, SECRET, clock=clock) == grant


@pytest.mark.parametrize(
    "secret",
    ["x", "tr_dev_sk_abcdefghijklmnopqrstuvwx", "a.b.c", "geheim \u2713", "-----BEGIN KEY-----"]
    + ["ssh-rsa AAAA", "x" * 1000],
)
def test_any_text_may_be_the_secret(secret: str) -> None:
    token = mint(secret, ["read:sessions"], ttl_s=60)

    assert verify(token, secret) == Grant(scopes=("read:sessions",))
    assert verify(secret, secret) == Grant(is_secret=True)
    with pytest.raises(TokenInvalid):
        verify(token, secret + "x")


@pytest.mark.parametrize("secret", ["", " ", "\n", "\ud800"])
def test_no_secret_signs_and_verifies_nothing(secret: str) -> None:
    with pytest.raises(SecretMissing):
        mint(secret, [], ttl_s=1)
    with pytest.raises(SecretMissing):
        verify(secret, secret)


def test_a_token_of_somebody_else_with_the_secret_is_one_of_ours() -> None:
    grant = Grant(scopes=("read:sessions:c",))

    assert verify(sign(CLAIMS), SECRET, clock=clock) == grant
    header = {"typ": "JWT", "alg": "HS256"}
    assert verify(sign(CLAIMS, header=header), SECRET, clock=clock) == grant
    without = {name: value for name, value in CLAIMS.items() if name not in {"scopes", "iat"}}
    assert verify(sign(without), SECRET, clock=clock) == Grant()


WRONG: dict[str, dict[str, object]] = {
    "another issuer": {"iss": "https://evil.test"},
    "a list as issuer": {"iss": ["https://id.trigger.dev"]},
    "another audience": {"aud": "https://evil.test"},
    "a list as audience": {"aud": ["https://api.trigger.dev"]},
    "no expiry": {"exp": None},
    "an expiry in text": {"exp": str(int(NOW) + 60)},
    "an expiry that is true": {"exp": True},
    "from the future": {"iat": NOW + LEEWAY_S + 1},
    "a birth in text": {"iat": "now"},
    "not yet valid": {"nbf": NOW + LEEWAY_S + 1},
    "scopes in text": {"scopes": "admin"},
    "scopes in a dict": {"scopes": {"admin": True}},
    "scopes that are no text": {"scopes": [["admin"]]},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_claims_that_are_not_right_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(TokenInvalid, match="^the access token is not valid$"):
        verify(sign({**CLAIMS, **wrong}), SECRET, clock=clock)


def test_claims_that_must_be_there_are_missed() -> None:
    for name in ("iss", "aud", "exp"):
        claims = {other: value for other, value in CLAIMS.items() if other != name}
        with pytest.raises(TokenInvalid, match="^the access token is not valid$"):
            verify(sign(claims), SECRET, clock=clock)


HEADERS: dict[str, object] = {
    "unsigned": {"alg": "none"},
    "unsigned, oddly": {"alg": "nOnE"},
    "a public key": {"alg": "RS256"},
    "a longer hash": {"alg": "HS512"},
    "nothing": {},
    "no text": {"alg": ["HS256"]},
    "an unknown extension": {"alg": "HS256", "crit": ["exp"], "exp": 1},
    "a known extension": {"alg": "HS256", "crit": ["b64"], "b64": True},
    "no extension": {"alg": "HS256", "crit": []},
    "unencoded": {"alg": "HS256", "b64": False},
    "a list": ["HS256"],
    "a text": "HS256",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_headers_that_are_not_right_are_refused(header: object) -> None:
    with pytest.raises(TokenInvalid, match="^the access token is not valid$"):
        verify(sign(CLAIMS, header=header), SECRET, clock=clock)


@pytest.mark.parametrize("raw", [b"[]", b"7", b"{", b'{"exp":NaN}', b"\xff", b"[" * 5000])
def test_a_payload_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(TokenInvalid, match="^the access token is not valid$"):
        verify(sign(None, raw=raw), SECRET, clock=clock)


def test_a_token_expires_and_clocks_may_differ_a_little() -> None:
    token = mint(SECRET, [], ttl_s=60, clock=clock)

    assert verify(token, SECRET, clock=lambda: NOW - LEEWAY_S) == Grant()
    assert verify(token, SECRET, clock=lambda: NOW + 60 + LEEWAY_S - 1) == Grant()
    with pytest.raises(TokenExpired, match="^the access token has expired$"):
        verify(token, SECRET, clock=lambda: NOW + 60 + LEEWAY_S)
    with pytest.raises(TokenInvalid, match="^the access token is not valid$"):
        verify(token, SECRET, clock=lambda: NOW - LEEWAY_S - 1)


def test_no_bit_of_a_token_may_differ() -> None:
    token = mint_session(SECRET, "c", clock=clock).encode()

    for position in range(len(token)):
        for bit in range(8):
            changed = bytearray(token)
            changed[position] ^= 1 << bit
            with pytest.raises(TokenInvalid):
                verify(changed.decode(errors="surrogateescape"), SECRET, clock=clock)


def test_no_mutated_token_is_accepted() -> None:
    rng = random.Random(7)
    token = mint_session(SECRET, "c", clock=clock)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \u00e9"

    for _ in range(3000):
        start = rng.randrange(len(token))
        end = start + rng.choice([0, 0, 1, 1, 2, 9])
        put = "".join(rng.choice(alphabet) for _ in range(rng.choice([0, 1, 1, 2, 4])))
        changed = token[:start] + put + token[end:]
        if changed != token:
            with pytest.raises(TokenInvalid):
                verify(changed, SECRET, clock=clock)


@given(st.text() | st.from_regex(r"[\w=-]*\.[\w=-]*\.[\w=-]*", fullmatch=True))
def test_any_other_text_is_refused_and_breaks_nothing(bearer: str) -> None:
    with pytest.raises(TokenInvalid):
        verify(bearer, SECRET)


@given(st.binary(), st.binary())
def test_any_header_and_payload_are_refused_and_break_nothing(head: bytes, body: bytes) -> None:
    with pytest.raises(TokenInvalid):
        verify(f"{encode(head)}.{encode(body)}.{encode(b'x' * 32)}", SECRET)


PERMITTED: list[tuple[str, tuple[str, ...]]] = [
    ("admin", ("read", "sessions")),
    ("admin", ("write", "tasks", "t")),
    ("read:all", ("read", "sessions", "c")),
    ("*:all", ("write", "tasks")),
    ("read:sessions", ("read", "sessions")),
    ("read:sessions", ("read", "sessions", "c")),
    ("read:sessions:c", ("read", "sessions", "c")),
    ("read:sessions:c", ("read", "sessions", "session_1", "c")),
    ("read:sessions:a:b:c", ("read", "sessions", "a:b:c")),
    ("*:sessions:c", ("write", "sessions", "c")),
    ("admin:sessions:c", ("admin", "sessions", "c")),
]

REFUSED: list[tuple[str, tuple[str, ...]]] = [
    ("", ("read", "sessions", "c")),
    ("read", ("read", "sessions", "c")),
    ("*", ("read", "sessions", "c")),
    ("administrator", ("read", "sessions", "c")),
    ("Admin", ("read", "sessions", "c")),
    ("admin:sessions", ("read", "sessions", "c")),
    ("admin:sessions:c", ("write", "sessions", "c")),
    ("admin:", ("read", "sessions", "c")),
    ("write:all", ("read", "sessions", "c")),
    ("read:all:c", ("read", "sessions", "c")),
    ("read:*", ("read", "sessions", "c")),
    ("read:sessions:*", ("read", "sessions", "c")),
    ("read:sessions:", ("read", "sessions", "c")),
    ("read:sessions:c", ("read", "sessions")),
    ("read:sessions:c", ("read", "sessions", "d")),
    ("read:sessions:c", ("read", "sessions", "c:1")),
    ("read:sessions:c:1", ("read", "sessions", "c")),
    ("read:sessions:c", ("read", "tasks", "c")),
    ("write:tasks:t", ("write", "sessions", "t")),
]


@pytest.mark.parametrize(("scope", "asked"), PERMITTED)
def test_a_scope_permits(scope: str, asked: tuple[str, str, str]) -> None:
    assert Grant(scopes=("other:things", scope)).allows(*asked)


@pytest.mark.parametrize(("scope", "asked"), REFUSED)
def test_a_scope_does_not_permit(scope: str, asked: tuple[str, str, str]) -> None:
    assert not Grant(scopes=(scope,)).allows(*asked)


def test_the_secret_permits_everything_and_no_scope_nothing() -> None:
    assert Grant(is_secret=True).allows("whatever", "things")
    assert Grant(is_secret=True).is_admin
    assert not Grant().allows("read", "sessions", "c")
    assert not Grant(scopes=("admin:all",)).is_admin


def test_the_tasks_of_trigger_scopes_are_named_once_each() -> None:
    scopes = (
        "trigger:tasks:a:b",
        "trigger:tasks:c",
        "trigger:tasks:c",
        "trigger:tasks:",
        "trigger:tasks",
        "write:tasks:d",
    )

    assert Grant(scopes=scopes).task_ids == ("a:b", "c")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604800), ("2 weeks", 1209600)]
    + [("1.5 hours", 5400), ("10 Minutes", 600), (" 1 day ", 86400), ("1y", 31557600)],
)
def test_a_span_of_time_is_read_as_the_published_packages_write_it(
    text: str, seconds: float
) -> None:
    assert parse_ttl(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1h", "1x", "h", "1h ago", "1 h 2 m", "nan"])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no span of time"):
        parse_ttl(text)
