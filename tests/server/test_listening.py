from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import aiohttp
import pytest

from chatrun.errors import SecretMissing, SettingInvalid
from chatrun.server.app import make_app
from chatrun.server.listening import Listening, listen
from chatrun.store.base import NewSession
from chatrun.testing import serve_tasks
from tests.support.http import SECRET, bearer

HAS_IPV6 = Path("/proc/net/if_inet6").exists() and "lo" in Path("/proc/net/if_inet6").read_text()


async def status(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as got:
        return got.status


def addresses_on(port: int) -> set[str]:
    """Return the local addresses, as the kernel writes them, that are listened on."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, number = local.partition(":")
            if int(number, 16) == port and state == "0A":
                found.add(address)
    return found


async def test_loopback_is_listened_on_and_nothing_else() -> None:
    async with serve_tasks() as live, listen(make_app(live, secret=SECRET)) as place:
        assert place.hosts == ("127.0.0.1", "::1")[: 1 + HAS_IPV6]
        assert addresses_on(place.port) <= {"0100007F", "00000000000000000000000001000000"}
        for host in ("127.0.0.1", "[::1]")[: 1 + HAS_IPV6]:
            assert await status(f"http://{host}:{place.port}/healthz") == 200
        assert await status(f"{place.url}/healthz") == 200


async def test_another_address_is_listened_on_only_when_it_is_asked_for() -> None:
    async with (
        serve_tasks() as live,
        listen(make_app(live, secret=SECRET), host="0.0.0.0") as place,
    ):
        assert place.hosts == ("0.0.0.0",)
        assert place.url == f"http://localhost:{place.port}"
        assert await status(f"{place.url}/healthz") == 200


async def test_a_port_that_is_taken_is_named() -> None:
    async with serve_tasks() as live, listen(make_app(live, secret=SECRET)) as place:
        app = make_app(live, secret=SECRET)
        with pytest.raises(SettingInvalid, match=f"port {place.port} of 127.0.0.1 is in use"):
            async with listen(app, port=place.port):
                pass


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
async def test_a_port_that_is_taken_on_the_other_address_only_is_taken_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        async with serve_tasks() as live:
            with pytest.raises(SettingInvalid, match=f"port {port} of ::1 is in use"):
                async with listen(make_app(live, secret=SECRET), port=port):
                    pass
    with socket.create_server(("127.0.0.1", port)):
        pass  # what was bound is given back


async def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    async with serve_tasks() as live:
        for host in ("192.0.2.1", "no.such.host.invalid"):
            with pytest.raises(SettingInvalid, match=f"cannot listen on {host}"):
                async with listen(make_app(live, secret=SECRET), host=host):
                    pass


async def test_a_server_needs_a_secret() -> None:
    async with serve_tasks() as live:
        with pytest.raises(SecretMissing):
            make_app(live, secret="")


def test_the_url_is_one_that_works_here() -> None:
    urls = {
        "127.0.0.1": "http://localhost:1",
        "::": "http://localhost:1",
        "192.168.1.7": "http://192.168.1.7:1",
        "fd00::1": "http://[fd00::1]:1",
    }

    assert {host: Listening((host,), 1).url for host in urls} == urls


async def test_leaving_takes_no_time_with_streams_open_and_frees_the_port() -> None:
    async with serve_tasks() as live, aiohttp.ClientSession() as session:
        await live.store.create_session(NewSession("my-chat", external_id="c"))
        async with listen(make_app(live, secret=SECRET)) as place:
            url = f"http://127.0.0.1:{place.port}/realtime/v1/sessions/c"
            streams = [
                await session.get(f"{url}/{channel}", headers=bearer(SECRET))
                for channel in ("in", "out", "out")
            ]
            begun = time.monotonic()
        took_s = time.monotonic() - begun

        assert ([stream.status for stream in streams], took_s < 2) == ([200] * 3, True)
        for stream in streams:
            with pytest.raises(aiohttp.ClientError):  # no orderly end: the reader comes back
                await stream.read()
        async with listen(make_app(live, secret=SECRET), port=place.port) as again:
            assert again.port == place.port


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_connections_and_tasks_are_all_given_back() -> None:
    async with serve_tasks() as live:
        before = len(asyncio.all_tasks()), open_files()
        for _ in range(3):
            async with (
                listen(make_app(live, secret=SECRET)) as place,
                aiohttp.ClientSession() as session,
            ):
                for _ in range(3):
                    url = f"http://127.0.0.1:{place.port}/healthz"
                    async with session.get(url) as got:
                        assert got.status == 200
        await asyncio.sleep(0.05)  # closed sockets are taken from the loop in its next round

        assert (len(asyncio.all_tasks()), open_files()) == before
