"""`chatrun tasks`: what would be served."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from chatrun.cli.options import Folder, Json, checked_folder

if TYPE_CHECKING:
    from chatrun.config import Settings
    from chatrun.worker.protocol import BrokenFile, TaskInfo


def tasks(folder: Folder = Path(), as_json: Json = False) -> None:
    """List the tasks in DIR.

    Fails when a file that may hold some cannot be imported.
    """
    from chatrun.cli.chat.safe import safe_line
    from chatrun.config import load_settings

    found, broken = _find(load_settings(checked_folder(folder)))
    if as_json:
        print(
            json.dumps({"tasks": [asdict(t) for t in found], "broken": [asdict(b) for b in broken]})
        )
    else:
        width = max((len(task.id) for task in found), default=0)
        for task in found:
            place = safe_line(f"{task.file}:{task.line}")
            print(f"{task.id.ljust(width)}  {place}  {safe_line(task.description)}".rstrip())
        for fault in broken:
            print(f"chatrun: {safe_line(fault.message)}", file=sys.stderr)
        if not found and not broken:
            print("chatrun: no task was found: `chatrun init` writes one", file=sys.stderr)
    raise typer.Exit(1 if broken else 0)


def _find(settings: Settings) -> tuple[list[TaskInfo], list[BrokenFile]]:
    """Import the project as a worker would, and return its tasks and what is broken."""
    from chatrun.config import read_environ
    from chatrun.worker.discover import find_task_files
    from chatrun.worker.loader import load_tasks, task_info

    root = settings.folder
    files = find_task_files(
        root, include=settings.discover_include, exclude=settings.discover_exclude
    )
    os.environ.update(read_environ(root))
    with contextlib.redirect_stdout(sys.stderr):  # what the user's modules print is no list
        loaded = load_tasks(root, files)
    return [task_info(task, root) for _, task in sorted(loaded.tasks.items())], loaded.broken
