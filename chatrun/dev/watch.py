"""Tells of saved files, a burst of saves at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chatrun.worker.discover import SKIPPED_FOLDERS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STEP_MS = 5
DEBOUNCE_MS = 20
"""How long saves must be quiet to count as one burst. watchfiles' own default costs 100 ms."""
WATCHED_SUFFIXES = frozenset({".py", ".toml", ".env"})


async def saves(root: Path) -> AsyncIterator[tuple[str, ...]]:
    """Yield, for each burst of saves under `root`, the names of the files, relative to it.

    Only files that can change what the tasks do count: code, `chatrun.toml`, `.env`; new,
    renamed and deleted ones, too. Hidden folders, virtual environments and the like are passed
    over. Ends when it is cancelled.
    """
    from watchfiles import awatch

    def wanted(_change: object, name: str) -> bool:
        return is_watched(Path(name), root)

    async for changes in awatch(
        root, watch_filter=wanted, step=STEP_MS, debounce=DEBOUNCE_MS, recursive=True
    ):
        yield tuple(sorted({Path(name).relative_to(root).as_posix() for _, name in changes}))


def is_watched(path: Path, root: Path) -> bool:
    """Tell whether saving `path` may change what the tasks under `root` do."""
    if not path.is_relative_to(root):
        return False
    *folders, name = path.relative_to(root).parts or ("",)
    if any(part.startswith(".") or part in SKIPPED_FOLDERS for part in folders):
        return False
    return name == ".env" or (not name.startswith(".") and path.suffix in WATCHED_SUFFIXES)
