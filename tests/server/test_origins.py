from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatrun.server.origins import AllowedPlaces

LOOPBACK = AllowedPlaces.of([], [])
LISTED = AllowedPlaces.of(
    ["Chat.Example.com", "other.test:8443", "2001:db8::1"],
    ["https://App.example.com/", "capacitor://localhost"],
)

HOSTS = ["localhost", "LOCALHOST:3000", "127.0.0.1", "127.0.0.1:1", "127.5.6.7:65535", "[::1]:80"]
BAD_HOSTS = [
    "",
    "evil.test",
    "evil.test:80",
    "localhost.evil.test",
    "evil.test.",
    "localhost.",
    "127.0.0.1.evil.test",
    "127.0.0.1.",
    "127.1",
    "0.0.0.0",
    "0.0.0.0:2428",
    "192.168.1.7:2428",
    "[::]",
    "[::1",
    "::1",
    "[::1]evil.test",
    "localhost:",
    "localhost:99999",
    "localhost:123456",
    "localhost:8a",
    "localhost:80:80",
    "user@localhost",
    "evil.test@localhost",
    "localhost/evil",
    "localhost evil.test",
    "localhost\r\nX: y",
    "localhost\0",
    "http://localhost",
    "xn--lcalhost-0vb",
    "l\u00f6calhost",
]

ORIGINS = [
    "http://localhost",
    "https://localhost:3000",
    "HTTP://LOCALHOST:1",
    "http://127.0.0.1:8080",
    "http://[::1]:5173",
    "http://my.app.localhost:3000",
]
BAD_ORIGINS = [
    "",
    "null",
    "*",
    "localhost",
    "http://",
    "http://evil.test",
    "https://localhost.evil.test",
    "http://localhost@evil.test",
    "http://evil.test#localhost",
    "http://evil.test/localhost",
    "http://evil.test\\localhost",
    "http://evil.localhost.",
    "http://localhost/",
    "http://localhost:99999",
    "http://[::1",
    "http://192.168.1.7",
    "file://localhost",
    "ftp://localhost",
    "chrome-extension://localhost",
    "http://localhost http://evil.test",
    "http://localhost, http://evil.test",
    "javascript:alert(1)",
    "http://\0localhost",
]


@pytest.mark.parametrize("host", HOSTS)
def test_loopback_is_a_host_with_any_port(host: str) -> None:
    assert LOOPBACK.allow_host(host)


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_no_other_host_is(host: str) -> None:
    assert not LOOPBACK.allow_host(host)
    assert not LISTED.allow_host(host)


def test_a_listed_host_is_allowed_with_the_port_that_is_listed_or_any() -> None:
    allowed = ["chat.example.com", "CHAT.example.com:443", "other.test:8443", "[2001:db8::1]:80"]
    refused = ["example.com", "a.chat.example.com", "other.test", "other.test:80"]

    assert [host for host in allowed + refused if LISTED.allow_host(host)] == allowed


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_this_machine_may_call(origin: str) -> None:
    assert LOOPBACK.allow_origin(origin, host="localhost:2428")


@pytest.mark.parametrize("origin", BAD_ORIGINS)
def test_no_other_pages_may(origin: str) -> None:
    assert not LOOPBACK.allow_origin(origin, host="localhost:2428")
    assert not LISTED.allow_origin(origin, host="localhost:2428")


def test_a_listed_origin_may_call_and_only_exactly_it() -> None:
    allowed = ["https://app.example.com", "HTTPS://APP.EXAMPLE.COM", "capacitor://localhost"]
    refused = ["http://app.example.com", "https://app.example.com:8443", "https://example.com"]

    found = [
        origin for origin in allowed + refused if LISTED.allow_origin(origin, host="localhost:2428")
    ]
    assert found == allowed


def test_the_page_that_an_allowed_host_serves_may_call_that_host() -> None:
    assert LISTED.allow_origin("https://chat.example.com", host="chat.example.com")
    assert LISTED.allow_origin("http://chat.example.com:2428", host="Chat.example.com:2428")
    assert not LISTED.allow_origin("http://chat.example.com:2429", host="chat.example.com:2428")
    assert not LISTED.allow_origin("https://chat.example.com", host="localhost")


@given(st.text() | st.text("localhst127.0[]:/@\\#\0 "))
def test_no_text_breaks_the_check(text: str) -> None:
    LISTED.allow_host(text)
    LISTED.allow_origin(text, host=text)
    LISTED.allow_origin(f"http://{text}", host="localhost")
