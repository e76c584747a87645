"""Which files of a project may hold tasks."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SKIPPED_FOLDERS = frozenset(
    {
        "__pycache__",
        "node_modules",
        "site-packages",
        "tests",
        "test",
        "venv",
        "env",
        "build",
        "dist",
    }
)
_MENTION = b"chatrun"


def find_task_files(
    root: Path, *, include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[Path]:
    """Return every `*.py` under `root` that mentions chatrun, sorted.

    Hidden folders, virtual environments, `node_modules` and `tests` are passed over. With
    `include`, only files that match one of these patterns (relative to `root`, `*` crosses
    folders) count; a file that matches one of `exclude` never does.
    """
    return sorted(
        path
        for path in python_files(root)
        if _wanted(path.relative_to(root).as_posix(), include, exclude) and _mentions(path)
    )


def python_files(root: Path) -> Iterator[Path]:
    """Yield every `*.py` of the project, in no certain order."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not _skipped(Path(folder, name))]
        for name in files:
            if name.endswith(".py") and not name.startswith("."):
                yield Path(folder, name)


def _skipped(folder: Path) -> bool:
    return (
        folder.name.startswith(".")
        or folder.name in SKIPPED_FOLDERS
        or (folder / "pyvenv.cfg").exists()
    )


def _wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    if any(fnmatch(name, pattern) for pattern in exclude):
        return False
    return not include or any(fnmatch(name, pattern) for pattern in include)


def _mentions(path: Path) -> bool:
    try:
        return _MENTION in path.read_bytes()
    except OSError:
        return False
