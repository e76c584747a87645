"""`chatrun dev`: find the tasks, serve them, take up every save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatrun.cli.options import Folder, checked_folder

if TYPE_CHECKING:
    from chatrun.config import Settings


def dev(
    folder: Folder = Path(),
    host: Annotated[
        str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The port to listen on; 0: any.", show_default="2428")
    ] = None,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Do not watch files.")] = False,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Run tasks in the server, for debuggers.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Tell of runs, steps, tools and hooks as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")] = False,
    until_eof: Annotated[bool, typer.Option("--until-eof", hidden=True)] = False,
) -> None:
    """Serve the tasks in DIR; take up every save."""
    from chatrun.config import load_settings

    flags = {
        "host": host,
        "port": port,
        "reload": False if no_reload else None,
        "in_process": True if in_process else None,
    }
    settings = load_settings(checked_folder(folder), flags=flags)
    settings = _with_free_port(settings, asked=port is not None, quiet=as_json)
    if until_eof:
        _end_with_input()
    raise typer.Exit(_run(settings, open_page=open_page, verbose=verbose, as_json=as_json))


def _run(settings: Settings, *, open_page: bool, verbose: bool, as_json: bool) -> int:
    import asyncio
    import contextlib
    import sys

    from chatrun.cli.dev_console import JsonConsole, LineConsole
    from chatrun.cli.dev_keys import Keys
    from chatrun.dev.compose import run_dev

    if as_json:
        return asyncio.run(run_dev(settings, emit=JsonConsole().show))
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    console = LineConsole(keys=interactive, verbose=verbose)
    keys = Keys(console, settings.folder, open_page=open_page)

    async def serve() -> int:
        with keys.listening() if interactive else contextlib.nullcontext():
            code = await run_dev(settings, emit=keys.show)
        return 0 if keys.quit_asked else code

    return asyncio.run(serve())


def _end_with_input() -> None:
    """End like on a signal when standard input ends: whoever started this is gone then."""
    import os
    import signal
    from threading import Thread

    def wait() -> None:
        while os.read(0, 4096):  # not through sys.stdin: its lock would be held at the exit
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, name="until-eof", daemon=True).start()


def _with_free_port(settings: Settings, *, asked: bool, quiet: bool) -> Settings:
    """Return the settings with a port that is free, having said or asked what changed.

    Raises:
        SettingInvalid: The port that was asked for is taken.
    """
    import sys
    from dataclasses import replace

    from chatrun.cli.ports import is_free, next_free
    from chatrun.config import DEFAULT_PORT
    from chatrun.errors import SettingInvalid

    host, port = settings.host, settings.port
    if port == 0 or is_free(host, port):
        return settings
    other = next_free(host, port)
    taken = f"port {port} is taken{_by_whom(settings)}"
    if asked or port != DEFAULT_PORT:
        if not (sys.stdin.isatty() and sys.stderr.isatty()) or quiet:
            raise SettingInvalid(f"{taken}; {other} is free: --port {other}")
        typer.confirm(f"{taken}. Use {other}?", default=True, abort=True, err=True)
    elif not quiet:
        print(f"{taken}; using {other}", file=sys.stderr)
    return replace(settings, port=other)


def _by_whom(settings: Settings) -> str:
    """Say when it is a server of this project that has the port."""
    from chatrun.client.server_file import read_server_file

    server = read_server_file(settings.folder)
    if server is None or not server.url.endswith(f":{settings.port}"):
        return ""
    return f" by the chatrun server of this folder (process {server.pid})"
