"""`chatrun init`: a starter project that runs at once, also without a key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to; made if need be.", show_default=False)
    ] = Path(),
) -> None:
    """Write a starter project to DIR. Files that are there already stay as they are."""
    from chatrun.cli.starter import starter_files

    for name, text in starter_files().items():
        path = folder / name
        if path.exists():
            print(f"kept   {path}", file=sys.stderr)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote  {path}", file=sys.stderr)
    there = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    print(f"Now: {there}chatrun dev", file=sys.stderr)
