"""The server that is meant when none is named, and the key to it.

In a task it is the server that runs the task, so that tasks reach each other without being told.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from chatrun.client.server_file import read_server_file
from chatrun.engine.scopes import find_run
from chatrun.errors import SecretMissing
from chatrun.wire.secret import load_secret

if TYPE_CHECKING:
    from chatrun.engine.run import ServerAddress

DEFAULT_URL: Final = "http://localhost:2428"
_THIS_MACHINE: Final = frozenset(("localhost", "127.0.0.1", "::1"))


def find_url() -> str:
    """Return the address of the server at hand.

    `CHATRUN_URL`, else the server that runs the calling task, else the one that answers for the
    working folder, else where `chatrun dev` answers by default.
    """
    named = os.environ.get("CHATRUN_URL")
    if named:
        return named
    own = _own_server()
    if own is not None:
        return own.url
    running = read_server_file(Path.cwd())
    return running.url if running is not None else DEFAULT_URL


def find_secret(url: str) -> str:
    """Return the secret of the server at `url`, as far as it is known here.

    `CHATRUN_SECRET_KEY`, else that of the server that runs the calling task, else
    `.chatrun/secret` of the working folder. The last two are of use to their own server only and
    are never shown to another.

    Raises:
        SecretMissing: None of them fits, or the file may be read by others.
    """
    secret = os.environ.get("CHATRUN_SECRET_KEY")
    if secret:
        return secret
    own = _own_server()
    if own is not None and own.url == url.rstrip("/"):
        return own.secret
    folder = Path.cwd()
    # Never made here: a new one would open nothing.
    if urlsplit(url).hostname in _THIS_MACHINE and (folder / ".chatrun" / "secret").exists():
        return load_secret(folder)
    raise SecretMissing(
        "AgentChat needs the server's secret or a token: pass `secret` or `token`, or set "
        "CHATRUN_SECRET_KEY (a development server's secret is in `.chatrun/secret`)"
    )


def _own_server() -> ServerAddress | None:
    run = find_run()
    return run.server if run is not None else None
