"""SQLite: what was acknowledged survives kill -9, a failing disk and a full one."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from chatrun.errors import StoreFull
from chatrun.store.sqlite import open_sqlite
from chatrun.wire.ids import Cursor
from tests.store.kit import chunk, new_run, new_session, out_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from chatrun.store.base import Store

ROOT = Path(__file__).parent.parent.parent


@asynccontextmanager
async def appender(folder: Path, *prefix: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `tests.store.appender` on `folder`, and end it at the end."""
    process = await asyncio.create_subprocess_exec(
        *prefix,
        *(sys.executable, "-m", "tests.store.appender", str(folder)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process, *, lines: int | None = None) -> list[Any]:
    """Return what the process says, all of it or so many lines."""
    found: list[Any] = []
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while lines is None or len(found) < lines:
            line = await process.stdout.readline()
            if not line.endswith(b"\n"):
                break
            found.append(orjson.loads(line))
    return found


async def check_kept(store: Store, acknowledged: list[Any]) -> None:
    """Check that all of it is there, once, under its number, and that no number is missing."""
    for session_id in {said[1] for said in acknowledged}:
        session = await store.session(session_id)
        records = await store.read_in(session_id, limit=1_000_000)
        out = await out_of(store, session_id)

        assert [record.seq for record in records] == list(range(session.in_tail))
        assert len({record.part_id for record in records}) == len(records)
        assert [number for number, _ in out] == list(range(session.out_base, session.out_tail))
        by_number = dict(out)
        for kind, _, first, rest in (said for said in acknowledged if said[1] == session_id):
            if kind == "in":
                assert (records[rest].part_id, records[rest].body) == (first, first)
            else:
                kept = [by_number.get(first + at, chunk(text)) for at, text in enumerate(rest)]
                assert kept == [chunk(text) for text in rest]
                assert first + len(rest) <= session.out_tail


@pytest.mark.parametrize("lines", [30, 200, 700])
async def test_a_killed_process_loses_nothing_it_has_acknowledged(folder: Path, lines: int) -> None:
    acknowledged = []
    for _ in range(2):  # the second one finds what the first one left
        async with appender(folder) as process:
            first = await said(process, lines=lines)
            process.kill()
            acknowledged += [*first, *await said(process)]

    store = await open_sqlite(folder)
    await check_kept(store, [what for what in acknowledged if what != ["open"]])
    assert len(await store.unfinished_sessions()) == 8
    await store.aclose()


@pytest.fixture
def strace() -> list[str]:
    """Return the command that makes the 30th fdatasync of each thread fail, and none after it."""
    fault = "inject=fdatasync:error=EIO:when=30"
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", fault]
    if shutil.which("strace") is None or subprocess.call([*command, "true"]) != 0:
        pytest.skip("needs strace and the right to use it")
    return command


async def test_after_the_disk_has_failed_to_sync_nothing_is_written(
    folder: Path, strace: list[str]
) -> None:
    async with appender(folder, *strace) as process:
        everything = await said(process)
        await process.wait()
    acknowledged = [what for what in everything if what[0] in ("in", "out")]
    refusals = [what for what in everything if what[0] == "refused"]

    assert len(acknowledged) > 20
    assert {code for _, code, _ in refusals} == {"store_unavailable"}
    assert "failed to confirm a write" in refusals[-1][2]
    store = await open_sqlite(folder)
    await check_kept(store, acknowledged)
    await store.aclose()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Make a disk of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.call(mount) != 0:
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_a_full_disk_refuses_writes_until_there_is_space_again(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    store = await open_sqlite(small_disk / "data")
    session = await new_run(store)

    acknowledged = 0
    with pytest.raises(StoreFull, match=r"chatrun\.db"):
        while True:
            await store.append_in(session.id, "x" * 10_000, part_id=f"{acknowledged}")
            acknowledged += 1
    with pytest.raises(StoreFull):
        await store.append_in(session.id, "x" * 10_000, part_id="again")
    assert acknowledged > 10
    assert len(await store.read_in(session.id)) == acknowledged

    ballast.unlink()
    resumed = await store.append_in(session.id, "x" * 10_000, part_id=f"{acknowledged}")
    other = await new_session(store)
    await store.aclose()

    store = await open_sqlite(small_disk / "data")
    assert resumed.seq == acknowledged
    assert len(await store.read_in(session.id, after=Cursor(-1))) == acknowledged + 1
    assert (await store.session(other.id)).in_tail == 0
    await store.aclose()
