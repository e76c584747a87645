"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="The project's folder.", show_default=False),
]
"""The project's folder, as an argument; give it the default `Path()`."""

ProjectOption = Annotated[
    Path,
    typer.Option("--dir", metavar="DIR", help="The project's folder.", show_default=False),
]
"""The project's folder, as an option, where arguments mean something else."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The server; else CHATRUN_URL, else the one that runs here.",
        show_default=False,
    ),
]

Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="An access token, instead of the project's secret.",
        show_default=False,
    ),
]


def checked_folder(folder: Path) -> Path:
    """Return the absolute path of a folder.

    Raises:
        BadParameter: There is no such folder.
    """
    if not folder.is_dir():
        raise typer.BadParameter(f"{str(folder)!r} is no folder", param_hint="DIR")
    return folder.absolute()
