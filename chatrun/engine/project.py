"""Where the files that belong to the user's code are: beside it, or in a folder above."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_TOPS: Final = ("chatrun.toml", "pyproject.toml", ".git")


def folders_above(file: str | Path, module: str) -> tuple[Path, ...]:
    """Return the folder of `file` and those above it up to the project's, innermost first.

    The project's folder is the first that has a chatrun.toml, a pyproject.toml or a .git; where
    none has, it is the one from which `module`, the name that `file` was imported by, is found.
    """
    path = Path(file).resolve()
    folders = tuple(path.parents)
    for number, folder in enumerate(folders, 1):
        if any((folder / name).exists() for name in _TOPS):
            return folders[:number]
    depth = module.count(".") + (2 if path.name == "__init__.py" else 1)
    return folders[:depth]
