"""`chatrun serve`: the same, in production."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chatrun.cli.options import Folder, checked_folder


def serve(
    folder: Folder = Path(),
    host: Annotated[
        str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port to listen on; 0: any.", show_default="2428")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="How many processes run the tasks.", show_default="2")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Where sessions live.", show_default=".chatrun")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")] = False,
) -> None:
    """Serve the tasks in DIR in production.

    Without a watcher; CHATRUN_SECRET_KEY must be set.
    """
    import asyncio
    from dataclasses import replace

    from chatrun.cli.dev_console import JsonConsole, LineConsole
    from chatrun.config import load_settings
    from chatrun.dev.compose import run_serve
    from chatrun.dev.events import Event, Ready

    flags = {"host": host, "port": port, "workers": workers, "store_url": store}
    settings = load_settings(checked_folder(folder), flags=flags)
    console = JsonConsole() if as_json else LineConsole(colour=False)

    def emit(event: Event) -> None:
        if isinstance(event, Ready):  # what is printed here ends up in logs: no token goes there
            event = replace(event, page=event.page.partition("#")[0])
        console.show(event)

    raise typer.Exit(asyncio.run(run_serve(settings, emit=emit)))
