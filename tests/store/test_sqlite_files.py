"""SQLite: the folder, its lock, and files that cannot be read."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from chatrun.errors import (
    StoreCorrupt,
    StoreError,
    StoreLocked,
    StoreTooNew,
    StoreUnavailable,
)
from chatrun.store.base import NewSession
from chatrun.store.sqlite import open_sqlite
from chatrun.store.sqlite_schema import VERSION
from tests.store.kit import chunk, chunks, new_run, new_session, numbered, out_of
from tests.store.test_sqlite_crash import appender, said

if TYPE_CHECKING:
    from pathlib import Path


def execute(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


async def fill(folder: Path) -> None:
    """Make a store in `folder` with the session `chat-1`."""
    store = await open_sqlite(folder)
    await new_session(store, "chat-1")
    await store.aclose()


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name != "lock"}


async def test_only_the_owner_can_read_what_is_stored(folder: Path) -> None:
    mask = os.umask(0)
    try:
        store = await open_sqlite(folder / "deep")
        await new_session(store)
    finally:
        os.umask(mask)

    files = sorted(file for file in (folder / "deep").iterdir() if file.suffix != ".db-shm")
    modes = {file.name: oct(stat.S_IMODE(file.stat().st_mode)) for file in files}
    await store.aclose()
    assert stat.S_IMODE((folder / "deep").stat().st_mode) == 0o700
    assert set(modes.values()) == {"0o600"}
    assert {"chatrun.db", "chatrun.db-wal", "lock"} <= modes.keys()


async def test_closing_leaves_one_file_and_the_empty_lock(folder: Path) -> None:
    await fill(folder)

    assert sorted(file.name for file in folder.iterdir()) == ["chatrun.db", "lock"]
    assert (folder / "lock").read_bytes() == b""


# --- one server at a time -------------------------------------------------------------------


async def test_a_second_server_is_refused_at_once_and_told_who_is_there(folder: Path) -> None:
    async with appender(folder) as process:
        await said(process, lines=1)
        process.send_signal(signal.SIGSTOP)  # one that hangs holds it, too
        began = time.monotonic()

        with pytest.raises(StoreLocked, match=rf"in use by process {process.pid}\b"):
            await open_sqlite(folder)

        assert time.monotonic() - began < 1


async def test_the_lock_ends_with_its_process(folder: Path) -> None:
    async with appender(folder) as process:
        await said(process, lines=1)
        process.kill()
        await process.wait()

        store = await open_sqlite(folder)

    await store.aclose()


async def test_who_finds_the_folder_locked_reads_the_note(folder: Path) -> None:
    store = await open_sqlite(folder)
    store.note("http://localhost:2428/a/long/one")
    store.note("http://localhost:2428")

    with pytest.raises(StoreLocked) as refused:
        await open_sqlite(folder)

    assert str(refused.value) == (
        f"{folder} is in use by process {os.getpid()} (http://localhost:2428): "
        "stop it, or choose another folder"
    )
    await store.aclose()


async def test_a_refused_server_leaves_the_first_one_alone(folder: Path) -> None:
    store = await open_sqlite(folder)
    with pytest.raises(StoreLocked):
        await open_sqlite(folder)
    await new_session(store, "still-here")
    await store.aclose()

    store = await open_sqlite(folder)
    assert (await store.session("still-here")).key == "still-here"
    await store.aclose()


async def test_an_opening_that_is_cancelled_gives_the_folder_back(folder: Path) -> None:
    opening = asyncio.ensure_future(open_sqlite(folder))
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()

    async with asyncio.timeout(10):
        while not await can_open(folder):
            await asyncio.sleep(0.005)  # it is still about to close


async def can_open(folder: Path) -> bool:
    try:
        store = await open_sqlite(folder)
    except StoreLocked:
        return False
    await store.aclose()
    return True


# --- files that cannot be read --------------------------------------------------------------


async def refusal(folder: Path) -> StoreError:
    """Return why `folder` cannot be opened; nothing in it was changed by the attempt."""
    before = contents(folder)
    with pytest.raises(StoreError) as refused:
        await open_sqlite(folder)
    assert contents(folder) == before
    return refused.value


@pytest.mark.parametrize("damage", [b"\x00" * 100, b"not a database at all" * 300])
async def test_a_damaged_file_is_refused_and_left_as_it_is(folder: Path, damage: bytes) -> None:
    await fill(folder)
    file = folder / "chatrun.db"
    file.write_bytes(damage + file.read_bytes()[len(damage) :])

    error = await refusal(folder)

    assert isinstance(error, StoreCorrupt)
    assert str(file) in str(error)
    assert "never started empty" in str(error)
    assert ".recover" in str(error)


async def test_damage_that_is_found_later_is_told_as_such(folder: Path) -> None:
    store = await open_sqlite(folder)
    for n in range(200):
        await store.create_session(NewSession("t", f"chat-{n}", metadata={"n": "x" * 500}))
    await store.aclose()
    file = folder / "chatrun.db"
    size = file.stat().st_size
    with file.open("r+b") as opened:  # the first page, with the schema, stays whole
        opened.seek(4096)
        opened.write(b"\xff" * (size - 4096))

    store = await open_sqlite(folder)
    with pytest.raises(StoreCorrupt, match=r"chatrun\.db"):
        await store.session("chat-7")
    with pytest.raises(StoreCorrupt, match=r"chatrun\.db"):
        await new_session(store, "chat-7")
    await store.aclose()


async def test_a_log_without_its_database_is_not_thrown_away(folder: Path) -> None:
    store = await open_sqlite(folder)
    await new_session(store)
    wal = (folder / "chatrun.db-wal").read_bytes()
    await store.aclose()
    (folder / "chatrun.db").write_bytes(b"")
    (folder / "chatrun.db-wal").write_bytes(wal)

    error = await refusal(folder)

    assert isinstance(error, StoreCorrupt)
    assert "chatrun.db-wal" in str(error)


async def test_a_database_of_another_program_is_refused(folder: Path) -> None:
    folder.mkdir()
    execute(folder / "chatrun.db", "CREATE TABLE notes (text)")

    error = await refusal(folder)

    assert isinstance(error, StoreCorrupt)
    assert "another program" in str(error)


async def test_a_newer_format_is_refused(folder: Path) -> None:
    await fill(folder)
    execute(folder / "chatrun.db", f"PRAGMA user_version={VERSION + 1}")

    error = await refusal(folder)

    assert isinstance(error, StoreTooNew)
    assert f"format {VERSION + 1} " in str(error)


async def test_a_folder_that_cannot_be_made_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreUnavailable, match="file"):
        await open_sqlite(tmp_path / "file" / "data")


async def test_a_log_that_a_crash_left_is_read(folder: Path, tmp_path: Path) -> None:
    store = await open_sqlite(folder)
    session = await new_run(store)
    await store.write_out(session.id, session.epoch, chunks("a", "b"))
    shutil.copytree(folder, tmp_path / "copy")
    await store.aclose()
    (tmp_path / "copy" / "chatrun.db-shm").unlink()

    copy = await open_sqlite(tmp_path / "copy")

    assert await out_of(copy, session.id) == numbered(chunk("a"), chunk("b"))
    await copy.aclose()


async def test_a_log_that_was_cut_loses_only_its_end(folder: Path, tmp_path: Path) -> None:
    store = await open_sqlite(folder)
    session = await new_run(store)
    for n in range(20):
        await store.write_out(session.id, session.epoch, chunks(f"{n}"))
    files = contents(folder)
    await store.aclose()
    wal = files["chatrun.db-wal"]

    lengths = []
    for cut in range(len(wal) - 40_000, len(wal), 3_001):
        copy = tmp_path / f"cut-{cut}"
        copy.mkdir()
        (copy / "chatrun.db").write_bytes(files["chatrun.db"])
        (copy / "chatrun.db-wal").write_bytes(wal[:cut])
        store = await open_sqlite(copy)
        found = await out_of(store, session.id)
        assert found == numbered(*(chunk(f"{n}") for n in range(len(found))))
        lengths.append(len(found))
        await store.aclose()

    assert lengths == sorted(lengths)
    assert 0 < lengths[0] < lengths[-1] < 20


# --- looking on -----------------------------------------------------------------------------


async def test_a_reader_looks_into_the_folder_of_a_running_server(folder: Path) -> None:
    store = await open_sqlite(folder)
    session = await new_run(store)
    onlooker = await open_sqlite(folder, read_only=True)

    await store.write_out(session.id, session.epoch, chunks("a"))

    assert await out_of(onlooker, session.id) == numbered(chunk("a"))
    for call in (
        onlooker.append_in(session.id, "hi", part_id="p"),
        onlooker.write_out(session.id, session.epoch, chunks("b")),
    ):
        with pytest.raises(StoreUnavailable, match="read only"):
            await call
    onlooker.note("nobody hears this")
    await onlooker.aclose()
    await onlooker.aclose()
    await store.aclose()


async def test_a_reader_needs_no_server(folder: Path) -> None:
    await fill(folder)

    onlooker = await open_sqlite(folder, read_only=True)

    assert (await onlooker.session("chat-1")).key == "chat-1"
    await onlooker.aclose()


async def test_a_reader_leaves_the_log_of_a_crash_to_the_next_server(
    folder: Path, tmp_path: Path
) -> None:
    store = await open_sqlite(folder)
    await new_session(store, "chat-1")
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm"))
    await store.aclose()
    before = contents(copy)

    onlooker = await open_sqlite(copy, read_only=True)
    assert (await onlooker.session("chat-1")).key == "chat-1"
    await onlooker.aclose()

    assert {name: data for name, data in contents(copy).items() if "-shm" not in name} == before


async def test_a_reader_makes_nothing(folder: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no sessions"):
        await open_sqlite(folder, read_only=True)
    assert not folder.exists()

    folder.mkdir()
    (folder / "chatrun.db").touch()
    with pytest.raises(StoreUnavailable, match="format 0"):
        await open_sqlite(folder, read_only=True)


async def test_a_reader_refuses_what_it_cannot_read(folder: Path) -> None:
    folder.mkdir()
    (folder / "chatrun.db").write_bytes(b"nonsense" * 1000)

    with pytest.raises(StoreCorrupt):
        await open_sqlite(folder, read_only=True)


async def test_opening_does_not_need_a_package_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys, chatrun.store.memory; assert 'sqlite3' not in sys.modules",
    )
    assert await process.wait() == 0
