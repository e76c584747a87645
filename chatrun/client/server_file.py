"""Where the server of a project says that it answers: `.chatrun/server.json`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What a server of this project wrote of itself."""

    url: str
    pid: int


def read_server_file(folder: Path) -> RunningServer | None:
    """Return what the server of `folder` said of itself, None when its process is gone."""
    try:
        content = json.loads((folder / ".chatrun" / "server.json").read_text(encoding="utf-8"))
        server = RunningServer(str(content["url"]), int(content["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if _is_alive(server.pid) else None


def _is_alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 would end a process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
