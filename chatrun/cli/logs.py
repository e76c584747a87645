"""`chatrun logs`: what happened in a project, from the log that its servers write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatrun.cli.options import Json, ProjectOption, checked_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOK_S = 0.2
"""How often `--follow` looks for more."""


def logs(
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="ID", help="Only of this session: either of its ids."),
    ] = None,
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=0, help="How many of the last events.")
    ] = 100,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with what happens from now on.")
    ] = False,
    as_json: Json = False,
    folder: ProjectOption = Path(),
) -> None:
    """Show what happened: runs, turns, steps, tools, reloads.

    Works while a server runs and afterwards. Never shows what was said.
    """
    import sys
    import time
    from collections import deque

    from chatrun.dev.event_reader import EventReader

    with EventReader(checked_folder(folder)) as reader:
        found = deque((event for event in reader.read() if _is_of(event, session)), limit)
        if not found and limit and not follow:
            of = f" of session {session!r}" if session is not None else ""
            print(f"nothing was logged{of}: `chatrun dev` logs what it does", file=sys.stderr)
        for event in found:
            _show(event, as_json=as_json)
        while follow:
            time.sleep(LOOK_S)
            for event in reader.read():
                if _is_of(event, session):
                    _show(event, as_json=as_json)


def _is_of(event: Mapping[str, Any], session: str | None) -> bool:
    return session is None or session in (event.get("chat_id"), event.get("session_id"))


def _show(event: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps(event), flush=True)
        return
    from chatrun.cli.event_lines import event_line

    print(f"{_local(str(event.get('at', '')))} {event_line(event)}", flush=True)


def _local(moment: str) -> str:
    """Return a moment in the time of this place."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return "-" * 19
