"""The `chat` namespace: what a task's author and a frontend's server reach for first."""

from __future__ import annotations

import os
from pathlib import Path

from chatrun.engine.action import turn
from chatrun.engine.declare import custom, session, task
from chatrun.engine.durations import Duration, seconds
from chatrun.engine.forward import forward
from chatrun.engine.locals import local
from chatrun.engine.tool_context import tool_context
from chatrun.engine.turn import current_turn
from chatrun.wire.ids import check_task_id
from chatrun.wire.secret import load_secret
from chatrun.wire.tokens import mint_session, mint_task

__all__ = [
    "create_access_token",
    "create_session_token",
    "current_turn",
    "custom",
    "forward",
    "local",
    "session",
    "task",
    "tool_context",
    "turn",
]


def create_access_token(task_id: str, *, ttl: Duration = "24h", secret: str | None = None) -> str:
    """Return a token with which a frontend may start and use sessions of `task_id`.

    For a route of your own that hands tokens to signed-in users. It opens every session of the
    task to whoever knows the session's id; `create_session_token` opens one. Signed with
    `secret`, else with CHATRUN_SECRET_KEY, else with `.chatrun/secret` of the working folder.

    Raises:
        InvalidInput: `task_id` or `ttl` cannot be used.
        SecretMissing: There is no secret that may be read.
    """
    key = secret or _secret()
    return mint_task(key, check_task_id(task_id), ttl_s=seconds(ttl, name="ttl"))


def create_session_token(
    session_id: str, *, read_only: bool = False, ttl: Duration = "1h", secret: str | None = None
) -> str:
    """Return a token that reads and, unless `read_only`, writes one session.

    `session_id` is the chat's id or the session's own. Signed as `create_access_token` is.

    Raises:
        InvalidInput: `ttl` cannot be used.
        SecretMissing: There is no secret that may be read.
    """
    key = secret or _secret()
    ttl_s = seconds(ttl, name="ttl")
    return mint_session(key, session_id, read_only=read_only, ttl_s=ttl_s)


def _secret() -> str:
    return os.environ.get("CHATRUN_SECRET_KEY") or load_secret(Path.cwd())
