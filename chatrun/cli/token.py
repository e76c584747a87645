"""`chatrun token`: an access token for a frontend."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from chatrun.cli.options import ProjectOption, checked_folder


def token(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")],
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="Open one session and nothing else."),
    ] = None,
    ttl: Annotated[str, typer.Option(metavar="SPAN", help="How long it is good: 15m, 1h, 7d.")] = (
        "1h"
    ),
    read_only: Annotated[
        bool, typer.Option("--read-only", help="With --session: read and no more.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print token and facts as JSON.")] = False,
    folder: ProjectOption = Path(),
) -> None:
    """Mint an access token for a frontend.

    The token alone goes to stdout, what it permits to stderr. A token of a task starts sessions of
    the task and, where the server lets it, opens them; one with --session opens that session.
    A server that has another secret than this folder does not know it.
    """
    from chatrun.cli.secret import find_secret
    from chatrun.wire.ids import check_task_id
    from chatrun.wire.tokens import mint, parse_ttl

    if read_only and session is None:
        raise typer.BadParameter("needs --session: only one session can be read-only")
    check_task_id(task)
    ttl_s = parse_ttl(ttl)
    scopes = _scopes(task, session, read_only=read_only)
    secret = find_secret(checked_folder(folder))
    minted = mint(secret, scopes, ttl_s=ttl_s, one_time=session is None)
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ttl_s))
    if as_json:
        print(json.dumps({"token": minted, "scopes": scopes, "expiresAt": expires}))
        return
    print(f"permits {', '.join(scopes)}; good until {expires}", file=sys.stderr)
    print(minted)


def _scopes(task: str, session: str | None, *, read_only: bool) -> list[str]:
    if session is None:
        return [f"trigger:tasks:{task}"]
    actions = ["read"] if read_only else ["read", "write"]
    return [f"{action}:sessions:{session}" for action in actions]
