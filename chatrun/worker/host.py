"""The worker's side of the link: it runs the sessions it is given."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from chatrun.ai.watch import error_type
from chatrun.aio import end_within
from chatrun.engine.history import History
from chatrun.engine.mailbox import Mailbox
from chatrun.engine.run import Run, RunInfo, ServerAddress
from chatrun.errors import Fenced, StoreError, StoreUnavailable
from chatrun.worker.discover import find_task_files
from chatrun.worker.loader import (
    Loaded,
    hinted_modules,
    load_tasks,
    other_modules,
    project_files,
    task_info,
)
from chatrun.worker.port import LinkPort
from chatrun.worker.protocol import (
    Acknowledge,
    Committed,
    Configure,
    Deliver,
    Imported,
    Leave,
    Ping,
    Pong,
    Ready,
    Report,
    RunEnded,
    RunLost,
    StartRun,
    from_frame,
    to_frame,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.engine.task import ChatTask
    from chatrun.worker.link import Header, Link
    from chatrun.worker.protocol import ToServer

logger = logging.getLogger("chatrun.worker")

END_GRACE_S = 2.0
"""How long runs may take to end when the server has gone."""


class _Active:
    """A run that is being served."""

    def __init__(self, run: Run, port: LinkPort, work: asyncio.Task[None]) -> None:
        self.run, self.port, self.work = run, port, work


class WorkerHost:
    """Loads the user's code when told which, and runs sessions until the link closes."""

    def __init__(self, loaded: Loaded | None = None) -> None:
        """With `loaded`, serve these tasks instead of importing any."""
        self._link: Link | None = None
        self._loaded = loaded
        self._tasks: Mapping[str, ChatTask[Any]] = {}
        self._show_errors = False
        self._server: ServerAddress | None = None
        self._root: Path | None = None
        self._module_count = 0
        self._active: dict[int, _Active] = {}
        self.closed = asyncio.Event()
        """Set once the link has closed."""

    def serve(self, link: Link) -> None:
        """Answer what comes over `link`, whose callbacks are `on_frame` and `on_closed`."""
        self._link = link

    def on_closed(self) -> None:
        """Take note that the server has gone."""
        self.closed.set()

    def on_frame(self, header: Header, body: bytes) -> None:
        """Do what a message asks for."""
        message = from_frame(header, body)
        match message:
            case Deliver(run, records) if run in self._active:
                self._active[run].run.mailbox.deliver(records)
            case Acknowledge(run, size) if run in self._active:
                self._active[run].port.acknowledged(size)
            case Committed(run, last) if run in self._active:
                self._active[run].port.committed(last)
            case StartRun():
                self._start(message)
            case Leave(run, stop):
                self._leave(run, stop=stop)
            case RunLost(run, code, text) if run in self._active:
                self._lose(self._active[run], code, text)
            case Ping(number):
                self._send(Pong(number))
            case Configure():
                self._configure(message)
            case _:
                pass  # of a run that has ended meanwhile

    async def end(self) -> None:
        """Cancel every run and wait for them, a few seconds at most."""
        for active in list(self._active.values()):
            await end_within(active.work, grace_s=END_GRACE_S, what=active.work.get_name())

    # --- code -------------------------------------------------------------------------------

    def _configure(self, message: Configure) -> None:
        root = Path(message.root)
        self._show_errors = message.show_errors
        if message.url is not None:
            self._server = ServerAddress(message.url, message.secret)
        if message.dotenv is not None:
            _read_dotenv(Path(message.dotenv))
        loaded = self._loaded
        if loaded is None:
            files = find_task_files(root, include=message.include, exclude=message.exclude)
            loaded = load_tasks(root, files)
        self._tasks = loaded.tasks
        ready = Ready(
            os.getpid(),
            tasks=tuple(task_info(task, root) for task in loaded.tasks.values()),
            broken=tuple(loaded.broken),
            files=tuple(project_files(root)),
            modules=(*other_modules(root), *hinted_modules(root)),
        )
        self._root, self._module_count = root, len(sys.modules)
        self._send(ready)

    # --- runs -------------------------------------------------------------------------------

    def _start(self, message: StartRun) -> None:
        stops = message.state.get("stops", -1)
        task = self._tasks[message.task_id]
        interrupts = task.options.busy == "interrupt"
        mailbox = Mailbox(consumed=message.in_cursor, stops=stops, interrupts=interrupts)
        mailbox.deliver(message.records)
        port = LinkPort(message.run, self._send)
        run = Run(
            task=task,
            info=RunInfo(
                run_id=message.run_id,
                session_id=message.session_id,
                chat_id=message.chat_id,
                previous_run_id=message.previous_run_id,
                preloaded=message.preloaded,
                show_errors=self._show_errors,
            ),
            port=port,
            mailbox=mailbox,
            history=History(map(orjson.loads, message.messages)),
            kept=message.state,
            report=self._report,
            server=self._server,
        )
        work = asyncio.create_task(self._serve(message.run, run), name=f"run {message.run_id}")
        self._active[message.run] = _Active(run, port, work)

    async def _serve(self, number: int, run: Run) -> None:
        """Serve `run` to its end and tell the server how it ended."""
        began, failure = time.monotonic(), None
        run.tell("run-started", continuation=run.info.continuation, preloaded=run.info.preloaded)
        try:
            reason, error = str(await run.serve()), None
        except StoreError as exc:
            reason, error = "lost", str(exc)
        except asyncio.CancelledError:
            reason, error = "cancelled", None
        except Exception as exc:
            logger.exception("run %s failed", run.info.run_id)
            reason, error = "failed", f"{type(exc).__name__}: {exc}"
            failure = error_type(exc)
        finally:
            self._active.pop(number, None)
        took_s = round(time.monotonic() - began, 4)
        run.tell("run-ended", reason=reason, turns=run.turns, took_s=took_s, error_type=failure)
        self._send(RunEnded(number, reason, error))

    def _leave(self, number: int | None, *, stop: bool) -> None:
        for key, active in list(self._active.items()):
            if number is None or key == number:
                active.run.mailbox.leave(stop=stop)

    def _lose(self, active: _Active, code: str, text: str) -> None:
        kind = Fenced if code == Fenced.code else StoreUnavailable
        active.port.lost(kind(text))
        active.work.cancel()

    def _report(self, event: Mapping[str, Any]) -> None:
        self._send(Report(event))
        if event["event"] == "turn-ended":
            self._tell_imports()

    def _tell_imports(self) -> None:
        """Tell of what a turn has imported, so that later workers have it from the start."""
        if self._root is not None and len(sys.modules) != self._module_count:
            self._module_count = len(sys.modules)
            self._send(Imported(tuple(other_modules(self._root))))

    def _send(self, message: ToServer) -> None:
        if self._link is not None:
            self._link.send(*to_frame(message))


def _read_dotenv(path: Path) -> None:
    """Read `path` into the environment; what is set there already stays."""
    if path.is_file():
        from dotenv import load_dotenv

        load_dotenv(path)
