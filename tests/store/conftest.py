"""A test that takes `store` runs on every backend; one that takes `durable`, on those that last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chatrun.store.memory import MemoryStore
from chatrun.store.sqlite import open_sqlite
from tests.store.kit import Backend, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chatrun.store.base import Store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def make_backend(name: str, folder: Path, clock: Clock) -> Backend:
    async def open_memory() -> Store:
        return MemoryStore(clock=clock)

    async def open_file() -> Store:
        return await open_sqlite(folder, clock=clock)

    return Backend(name, {"memory": open_memory, "sqlite": open_file}[name])


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, folder: Path, clock: Clock) -> Backend:
    return make_backend(request.param, folder, clock)


@pytest.fixture(params=["sqlite"])
def durable(request: pytest.FixtureRequest, folder: Path, clock: Clock) -> Backend:
    return make_backend(request.param, folder, clock)


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    opened = await backend.open()
    yield opened
    await opened.aclose()
