"""A process that fills a store and says what was acknowledged, until it is ended.

    python -m tests.store.appender FOLDER

prints one JSON array a line: `["open"]`, `["in", session, part_id, seq]`,
`["out", session, first, texts]`, `["refused", code, message]`.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from chatrun.errors import StoreError
from chatrun.store.sqlite import open_sqlite
from tests.store.kit import chunks, new_run, turn

if TYPE_CHECKING:
    from chatrun.store.base import Session, Store


def say(*what: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


async def append(store: Store, session: Session, name: str) -> None:
    for n in itertools.count():
        appended = await store.append_in(session.id, f"{name} {n}", part_id=f"{name} {n}")
        say("in", session.id, f"{name} {n}", appended.seq)


async def stream(store: Store, session: Session) -> None:
    for n in itertools.count():
        texts = [f"{n}.{part}" for part in range(n % 4 + 1)]
        write = turn(*texts) if n % 10 == 9 else chunks(*texts)
        batch = await store.write_out(session.id, session.epoch, write)
        say("out", session.id, batch.first, texts)


async def fill(folder: Path) -> None:
    store = await open_sqlite(folder)
    say("open")
    sessions = [await new_run(store) for _ in range(4)]
    try:
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(append(store, session, "one"))
                group.create_task(append(store, session, "two"))
                group.create_task(stream(store, session))
    except* StoreError as failed:
        for error in failed.exceptions:
            say("refused", getattr(error, "code", ""), str(error))
    try:
        await new_run(store)
    except StoreError as error:
        say("refused", error.code, str(error))
    await store.aclose()


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1])))
