"""A warm parent: a process that has imported packages and forks workers that need not.

Started as `python -m chatrun.worker --warm FD`, with a socket that carries one JSON message each:

    → {"fork": n} and a file descriptor    ← {"forked": n, "pid": p}, later {"ended": p, "how": ...}
    → {"import": [module, ...]}            ← {"warm": true or false}

It imports packages, never the user's own modules, and stays single-threaded: forking a process
with threads is not safe, so when an import has started one it says so and is used no more.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from chatrun.worker.process import main as serve_worker

MAX_MESSAGE_BYTES = 192 * 1024


def main(fd: int) -> None:
    """Do what comes over the socket `fd` until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wake_in, wake_out = os.pipe()
    for end in (wake_in, wake_out):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_out)
    control = socket.socket(fileno=fd)
    while True:
        readable, _, _ = select.select([control.fileno(), wake_in], [], [])
        if wake_in in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_in, 4096)
            _bury(control)
        if control.fileno() in readable and not _obey(control, (wake_in, wake_out)):
            return


def _obey(control: socket.socket, ours: tuple[int, int]) -> bool:
    """Do what one message asks for; False when the server has gone."""
    data, fds, _, _ = socket.recv_fds(control, MAX_MESSAGE_BYTES, 1)
    if not data:
        return False
    message = orjson.loads(data)
    if "fork" in message:
        _fork(control, message["fork"], fds[0], ours)
    else:
        _say(control, {"warm": _import(message["import"])})
    return True


def _fork(control: socket.socket, number: int, worker_fd: int, ours: tuple[int, int]) -> None:
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        for end in ours:
            os.close(end)
        serve_worker(worker_fd)
        os._exit(0)
    os.close(worker_fd)
    _say(control, {"forked": number, "pid": pid})


def _bury(control: socket.socket) -> None:
    """Tell of every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _say(control, {"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _import(modules: list[str]) -> bool:
    """Import what can be imported of `modules`; tell whether forking is still safe."""
    sys.stdout = sys.stderr
    gc.unfreeze()
    for name in modules:
        # Whatever is wrong with it is the worker's to find, and to tell with the user's line.
        with contextlib.suppress(Exception, SystemExit):
            import_module(name)
    gc.collect()
    gc.freeze()  # children share these pages; the collector must not touch them
    return _threads() == 1


def _threads() -> int:
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return 0


def _say(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        control.send(orjson.dumps(message))
