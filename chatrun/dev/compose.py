"""`chatrun dev` and `chatrun serve`: store, workers, HTTP and the watcher, put together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from chatrun.config import read_environ
from chatrun.dev.event_log import EventLog
from chatrun.dev.events import (
    Event,
    FileBroken,
    Ready,
    Reloaded,
    ReloadFailed,
    Stopping,
    WorkerDied,
    reported,
)
from chatrun.dev.watch import saves
from chatrun.errors import SecretMissing, SettingInvalid, WorkerFailed
from chatrun.server.app import make_app
from chatrun.server.listening import listen
from chatrun.server.live import Live
from chatrun.server.site import ServerSettings
from chatrun.store.memory import MemoryStore
from chatrun.wire.secret import load_secret, open_private_folder
from chatrun.wire.tokens import mint
from chatrun.worker.launch import launch_in_process
from chatrun.worker.launch_warm import WarmLauncher
from chatrun.worker.pool import Pool
from chatrun.worker.protocol import BrokenFile, Configure, Imported

if TYPE_CHECKING:
    from chatrun.config import Settings
    from chatrun.store.base import Store
    from chatrun.worker.pool import Worker
    from chatrun.worker.protocol import Message

Mode = Literal["dev", "serve"]
Emit = Callable[[Event], None]

FINISH_S: Mapping[Mode, float] = {"dev": 1.0, "serve": 8.0}
"""How long turns may go on when the server is asked to end."""

PASS_S = 0.05
"""How often it is looked whether they have."""

PAGE_TOKEN_S = 24 * 3600.0

SERVER_FILE = "server.json"
"""In `.chatrun`: where the server of this project answers, for `chatrun chat` and the like."""


async def run_dev(settings: Settings, *, emit: Emit) -> int:
    """Serve the project and take up every save, until a signal; return the exit code.

    Raises:
        ChatrunError: It cannot start; what was opened is closed again.
    """
    with EventLog(settings.folder) as log:
        return await _Server(settings, "dev", _both(log.write, emit)).run()


async def run_serve(settings: Settings, *, emit: Emit) -> int:
    """Serve the project for production until a signal; return the exit code.

    Raises:
        ChatrunError: As for `run_dev`; and `SecretMissing` where CHATRUN_SECRET_KEY is not set.
    """
    with EventLog(settings.folder) as log:
        return await _Server(settings, "serve", _both(log.write, emit)).run()


def _both(log: Emit, emit: Emit) -> Emit:
    def tell(event: Event) -> None:
        log(event)
        emit(event)

    return tell


@dataclass(slots=True)
class _Server:
    settings: Settings
    mode: Mode
    emit: Emit
    launcher: WarmLauncher = field(default_factory=WarmLauncher)
    background: set[asyncio.Task[object]] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    hurried: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is asked to end again: it does not wait any more then."""
    signals: int = 0

    async def run(self) -> int:
        secret = self._secret()
        with self._signals():
            async with open_store(self.settings) as store, asyncio.TaskGroup() as group:
                live = Live(
                    store, group, on_report=self._report, stop_limit_s=self.settings.stop_grace_s
                )
                pool = self._pool(group, live)
                live.use(pool)
                try:
                    await self._serve(live, pool, secret)
                finally:
                    await pool.aclose()
                    await self.launcher.aclose()
        return 130 if self.signals and self.mode == "dev" else 0

    async def _serve(self, live: Live, pool: Pool, secret: str) -> None:
        """Answer until asked to end, then let turns finish for a moment."""
        app = make_app(live, secret=secret, settings=self._http())
        async with listen(app, host=self.settings.host, port=self.settings.port) as http:
            with self._announced(http.url):
                pool.announce(url=http.url, secret=secret)
                await self._start(live, pool, url=http.url, page=self._page(http.url, secret))
                if self.mode == "dev" and self.settings.reload:
                    self._beside(self._watch(live, pool))
                await self.ended.wait()
                self.emit(Stopping(live.open_turns()))
                for task in tuple(self.background):
                    task.cancel()
                await asyncio.gather(*self.background, return_exceptions=True)
                await self._finish(live, pool)

    async def _start(self, live: Live, pool: Pool, *, url: str, page: str) -> None:
        ready = None
        try:
            ready = await pool.start()
            faults = ready.broken
        except WorkerFailed as exc:
            faults = (BrokenFile("", None, str(exc)),)
        for fault in faults:
            self.emit(FileBroken(fault))
        live.broken = faults
        await live.recover()
        self.emit(Ready(url, page, tuple(live.tasks().values()), took_s=process_age_s()))
        if not self.settings.in_process:
            self._beside(self._warm_up(pool, ready.modules if ready is not None else ()))

    def _page(self, url: str, secret: str) -> str:
        """Return the page's URL; on the developer's own machine with a token, in the fragment."""
        if self.mode != "dev":
            return f"{url}/"
        return f"{url}/#token={mint(secret, ['admin'], ttl_s=PAGE_TOKEN_S)}"

    async def _warm_up(self, pool: Pool, modules: tuple[str, ...]) -> None:
        """Have packages imported ahead, then replace the first worker, which was started cold."""
        if await self.launcher.warm(modules):
            await pool.renew_idle()
        pool.fill()

    def _beside(self, work: Coroutine[Any, Any, object]) -> None:
        """Run `work` in the background until the server ends."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def _finish(self, live: Live, pool: Pool) -> None:
        """Ask every run to leave; wait for open turns, but not for long."""
        for worker in pool.workers:
            worker.leave()
        self.hurried.clear()
        for _ in range(int(FINISH_S[self.mode] / PASS_S)):
            if not live.open_turns():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PASS_S):
                    await self.hurried.wait()
                    return

    # --- reload -----------------------------------------------------------------------------

    async def _watch(self, live: Live, pool: Pool) -> None:
        async for changed in saves(self.settings.folder):
            await self._reload(live, pool, changed)

    async def _reload(self, live: Live, pool: Pool, changed: tuple[str, ...]) -> None:
        """Serve the code as it stands now; when it cannot be loaded, the code before stays."""
        began = time.monotonic()
        try:
            ready = await pool.replace()
        except WorkerFailed as exc:
            self.emit(ReloadFailed(changed, (), str(exc)))
            return
        live.broken = ready.broken
        if ready.broken:
            self.emit(ReloadFailed(changed, ready.broken))
            return
        pool.fill()
        took_s = time.monotonic() - began
        self.emit(Reloaded(took_s, changed, ready.tasks, draining=live.open_turns()))

    # --- parts ------------------------------------------------------------------------------

    def _secret(self) -> str:
        secret = read_environ(self.settings.folder).get("CHATRUN_SECRET_KEY")
        if secret:
            return secret
        if self.mode == "serve":
            raise SecretMissing(
                "`chatrun serve` needs a secret: set CHATRUN_SECRET_KEY to a long random text"
            )
        return load_secret(self.settings.folder)

    def _http(self) -> ServerSettings:
        opens = self.settings.task_tokens_open_sessions
        return ServerSettings(
            allowed_hosts=self.settings.allowed_hosts,
            allowed_origins=self.settings.allowed_origins,
            task_tokens_open_sessions=opens == "always" or (opens == self.mode == "dev"),
            max_append_bytes=self.settings.max_append_bytes,
            max_request_bytes=self.settings.max_request_bytes,
            slow_reader_s=self.settings.slow_reader_s,
        )

    def _pool(self, group: asyncio.TaskGroup, live: Live) -> Pool:
        settings = self.settings
        configure = Configure(
            root=str(settings.folder),
            include=settings.discover_include,
            exclude=settings.discover_exclude,
            show_errors=self.mode == "dev",
            dotenv=str(settings.folder / ".env"),
        )

        def gone(worker: Worker) -> None:
            if not worker.leaving and worker.ready.done() and not worker.ready.exception():
                self.emit(WorkerDied(worker.why_gone))
            live.on_gone(worker)

        def said(worker: Worker, message: Message) -> None:
            if isinstance(message, Imported):
                self._beside(self.launcher.warm(message.modules))
            else:
                live.on_message(worker, message)

        return Pool(
            group,
            launch_in_process() if settings.in_process else self.launcher,
            configure,
            size=1 if settings.in_process else settings.workers,
            on_message=said,
            on_gone=gone,
            on_ready=live.on_ready,
        )

    def _report(self, event: Mapping[str, Any]) -> None:
        """Turn what a worker reports into an event."""
        told = reported(event, folder=str(self.settings.folder))
        if told is not None:
            self.emit(told)

    @contextlib.contextmanager
    def _signals(self) -> Any:
        """Within the block, SIGINT and SIGTERM ask the server to end."""
        loop = asyncio.get_running_loop()
        caught = (signal.SIGINT, signal.SIGTERM)
        for number in caught:
            loop.add_signal_handler(number, self._asked_to_end)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _asked_to_end(self) -> None:
        self.signals += 1
        self.ended.set()
        self.hurried.set()
        if self.signals > 2:
            os._exit(130)

    @contextlib.contextmanager
    def _announced(self, url: str) -> Any:
        """Within the block, the project's folder tells where the server answers."""
        path = open_private_folder(self.settings.folder) / SERVER_FILE
        content = orjson.dumps({"url": url, "pid": os.getpid()})
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_bytes(content)
        draft.replace(path)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if path.read_bytes() == content:
                    path.unlink()


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """Yield the store that `settings` name, and close it afterwards.

    Raises:
        StoreError: It cannot be opened; another server may have it.
        SettingInvalid: There is no such kind of store in this version.
    """
    url = settings.store_url
    store: Store
    if url.startswith("memory:"):
        store = MemoryStore()
    elif "://" in url:
        raise SettingInvalid(f"[store] url is {url!r}; only a folder or 'memory:' can be used now")
    else:
        from chatrun.store.sqlite import open_sqlite

        if Path(url) == Path(".chatrun"):
            open_private_folder(settings.folder)
        store = await open_sqlite(settings.folder / url)
    try:
        yield store
    finally:
        await store.aclose()


def process_age_s() -> float:
    """Return how long ago this process was started, in seconds."""
    try:
        stat = Path("/proc/self/stat").read_text(encoding="utf-8")
        started = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, AttributeError):
        return time.process_time()  # no such file here: at least the time it has worked
