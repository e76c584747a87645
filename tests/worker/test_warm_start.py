"""Workers that start from a warm parent."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from chatrun.worker.launch_warm import CAN_FORK, WarmLauncher
from chatrun.worker.protocol import Configure, Ready, from_frame, to_frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from chatrun.worker.launch import Launched

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="forking is not safe on this system")


@asynccontextmanager
async def launcher() -> AsyncIterator[WarmLauncher]:
    warm = WarmLauncher()
    try:
        yield warm
    finally:
        await warm.aclose()


async def started(warm: WarmLauncher, root: Path) -> tuple[Launched, Ready]:
    """Start a worker on `root` and return it with what it says first."""
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()

    def take(header: object, body: bytes) -> None:
        message = from_frame(header, body)  # type: ignore[arg-type]
        if isinstance(message, Ready):
            ready.set_result(message)

    worker = await warm(take, lambda: None)
    worker.link.send(*to_frame(Configure(str(root))))
    async with asyncio.timeout(20):
        return worker, await ready


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(
        "import sys, colorsys\nfrom chatrun import chat\n\n"
        "@chat.task('t')\nasync def t(turn): return 'hi'\n"
        "print('imported ahead:', 'wave' in sys.modules)\n"
    )
    return tmp_path


async def test_a_worker_forked_from_a_warm_parent_has_the_modules_and_runs_the_users_code(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with launcher() as warm:
        cold, first = await started(warm, root)
        assert await warm.warm([*first.modules, "wave"])
        forked, second = await started(warm, root)
        cold.link.close()
        forked.link.close()
        ends = [await cold.ended(), await forked.ended()]

    assert "colorsys" in first.modules
    assert [task.id for task in second.tasks] == ["t"]
    assert second.pid not in (first.pid, os.getpid())
    assert ends == ["exited with code 0"] * 2
    assert capfd.readouterr().err.count("imported ahead: True") == 1


async def test_a_forked_worker_can_be_killed_and_tells_how_it_ended(root: Path) -> None:
    async with launcher() as warm:
        await warm.warm(["json"])
        worker, _ = await started(warm, root)
        worker.kill()

        assert await worker.ended() == "was killed by SIGKILL"


async def test_a_parent_whose_imports_start_threads_is_not_used(root: Path) -> None:
    (root / "threaded.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    sys_path = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{root}{os.pathsep}{sys_path}"
    try:
        async with launcher() as warm:
            assert not await warm.warm(["threaded"])
            worker, ready = await started(warm, root)
            worker.link.close()
            await worker.ended()
    finally:
        os.environ["PYTHONPATH"] = sys_path

    assert [task.id for task in ready.tasks] == ["t"]


async def test_a_worker_starts_cold_when_the_warm_parent_has_gone(root: Path) -> None:
    async with launcher() as warm:
        await warm.warm(["json"])
        assert warm._parent is not None
        warm._parent._process.kill()
        await warm._parent._process.wait()
        worker, ready = await started(warm, root)
        worker.link.close()
        await worker.ended()

    assert [task.id for task in ready.tasks] == ["t"]
