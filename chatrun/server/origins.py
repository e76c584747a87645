"""Which `Host` and `Origin` a request may have: what keeps other people's pages out.

A page of theirs can make a browser call this machine. Its `Origin` gives it away; after DNS
rebinding, when the browser takes our address for its own, its `Host` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_AUTHORITY: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?")
_ORIGIN: Final = re.compile(r"(https?)://([^/?#@\\]+)")


class Authority(NamedTuple):
    """The name and the port of a host, in lower case; the port is empty where none is named."""

    name: str
    port: str


def parse_authority(text: str) -> Authority | None:
    """Return what `text`, as in a `Host` header, names; None when it is malformed."""
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None or int(match[3] or 0) > 65535:
        return None
    return Authority(match[1] or match[2], match[3] or "")


def is_loopback(name: str) -> bool:
    """Tell whether a host's name stands for this machine alone."""
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class AllowedPlaces:
    """Loopback, and what was allowed besides."""

    hosts: frozenset[str] = field(default_factory=frozenset)
    """Names, or names with a port, in lower case."""
    origins: frozenset[str] = field(default_factory=frozenset)
    """Whole origins, in lower case, without a slash at the end."""

    @classmethod
    def of(cls, hosts: Iterable[str], origins: Iterable[str]) -> AllowedPlaces:
        """Return the places with these hosts and origins as somebody wrote them down."""
        return cls(
            frozenset(host.strip().lower() for host in hosts),
            frozenset(origin.strip().lower().rstrip("/") for origin in origins),
        )

    def allow_host(self, host: str) -> bool:
        """Tell whether a request may name `host`."""
        authority = parse_authority(host)
        if authority is None:
            return False
        named = {authority.name, f"[{authority.name}]", host.lower()}
        return is_loopback(authority.name) or not named.isdisjoint(self.hosts)

    def allow_origin(self, origin: str, *, host: str) -> bool:
        """Tell whether a page of `origin` may send the request; `host` is allowed already.

        Besides the listed ones and loopback, these are the pages that `host` itself serves.
        """
        if origin.lower() in self.origins:
            return True
        match = _ORIGIN.fullmatch(origin.lower())
        authority = parse_authority(match[2]) if match else None
        if authority is None:
            return False
        # Browsers take every name under .localhost for this machine without asking a server.
        is_local = is_loopback(authority.name) or authority.name.endswith(".localhost")
        return is_local or authority == parse_authority(host)
