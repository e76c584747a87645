"""What chatrun is compared with: installed once, into a cache folder, for `--peers`."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lib.processes import READY_S, SCRIPTS, BenchFailed, Child

if TYPE_CHECKING:
    from collections.abc import Sequence

APPS = SCRIPTS / "bench_lib/peer_apps"
PYTHON_PACKAGES = (
    "fastapi>=0.115",
    "uvicorn[standard]>=0.30",
    "openai>=3.50",
    "pydantic-ai-slim[openai]>=2.60",
)
NODE_PACKAGES = ("ai@7", "@ai-sdk/openai-compatible@3", "hono@4", "@hono/node-server@2")
NODE_VERSION = "24"


def cache_folder() -> Path:
    """Return where the peers are installed."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "chatrun-bench"


def python() -> Path:
    """Return the interpreter that has the Python peers."""
    return cache_folder() / "python/bin/python"


def node() -> str | None:
    """Return the Node.js that runs the AI SDK: the one installed with it, else the system's."""
    own = cache_folder() / f"node/node_modules/node-linux-{_machine()}/bin/node"
    return str(own) if own.exists() else shutil.which("node")


def install() -> None:
    """Install what is missing.

    Raises:
        BenchFailed: pip or npm could not.
    """
    _install_python(cache_folder() / "python")
    _install_node(cache_folder() / "node")


def _install_python(folder: Path) -> None:
    mark = folder / "installed"
    if _is_marked(mark, PYTHON_PACKAGES):
        return
    _run([sys.executable, "-m", "venv", "--clear", folder])
    _run([folder / "bin/python", "-m", "pip", "install", "--quiet", *PYTHON_PACKAGES])
    mark.write_text("\n".join(PYTHON_PACKAGES))


def _install_node(folder: Path) -> None:
    mark = folder / "installed"
    if _is_marked(mark, NODE_PACKAGES):
        return
    if shutil.which("npm") is None:
        raise BenchFailed("npm is missing: install Node.js to compare with the AI SDK")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    npm: list[str | Path] = ["npm", "install", "--prefix", folder, "--ignore-scripts"]
    npm += ["--no-audit", "--no-fund", "--loglevel=error"]
    # The AI SDK 7 names Node 22 as its least; a newer one than the system's is a package, too.
    own = [f"node-linux-{_machine()}@{NODE_VERSION}"] if sys.platform == "linux" else []
    _run([*npm, *NODE_PACKAGES, *own])
    mark.write_text("\n".join(NODE_PACKAGES))


def _is_marked(mark: Path, packages: Sequence[str]) -> bool:
    return mark.exists() and mark.read_text() == "\n".join(packages)


def _machine() -> str:
    return {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def _run(command: Sequence[str | Path]) -> None:
    print(f"$ {' '.join(map(str, command))}", file=sys.stderr)
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise BenchFailed(f"`{command[0]}` failed:\n{done.stderr[-2000:]}")


# --- servers ------------------------------------------------------------------------------------


class App:
    """A server on a free port, up for as long as the context is open; `url` is where it answers."""

    def __init__(self, command: Sequence[str | Path], *, env: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [str(part).replace("PORT", str(self.port)) for part in command]
        self._env = env
        self._child: Child | None = None

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._child is not None
        return self._child.pid

    def __enter__(self) -> App:
        self._child = Child(self._command, env=self._env)
        try:
            self._wait()
        except BaseException:
            self._child.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child is not None
        self._child.close()

    def _wait(self) -> None:
        """Wait until it answers anything at all."""
        assert self._child is not None
        ends_at = time.monotonic() + READY_S
        while time.monotonic() < ends_at:
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
                return
            except urllib.error.HTTPError as error:
                error.close()
                return
            except OSError:
                time.sleep(0.02)
        raise BenchFailed(f"`{self._command[0]}` does not answer:\n{self._child.errors()}")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def passthrough(model_url: str) -> App:
    """Return the plain aiohttp server; it needs nothing installed."""
    command: list[str | Path] = [sys.executable, APPS / "passthrough.py", "PORT"]
    return App(command, env={"BENCH_MODEL_URL": model_url})


def uvicorn(module: str, model_url: str) -> App:
    """Return one of the Python peers."""
    command: list[str | Path] = [python(), "-m", "uvicorn", f"{module}:app", "--port", "PORT"]
    options: list[str | Path] = ["--no-access-log", "--log-level", "warning", "--app-dir", APPS]
    return App([*command, *options], env={"BENCH_MODEL_URL": model_url})


def ai_sdk(model_url: str) -> App:
    """Return the AI SDK on Node.js.

    Raises:
        BenchFailed: There is no Node.js.
    """
    runtime = node()
    if runtime is None:
        raise BenchFailed("Node.js is missing")
    env = {"BENCH_MODEL_URL": model_url, "BENCH_NODE_FOLDER": str(cache_folder() / "node")}
    return App([runtime, APPS / "ai_sdk.mjs", "PORT"], env=env)
