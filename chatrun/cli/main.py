"""The `chatrun` command: one file per command, none of which loads anything heavy by itself."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from chatrun.cli.chat.command import chat
from chatrun.cli.dev import dev
from chatrun.cli.faults import exit_code, only_error
from chatrun.cli.init import init
from chatrun.cli.logs import logs
from chatrun.cli.serve import serve
from chatrun.cli.sessions import sessions
from chatrun.cli.tasks import tasks
from chatrun.cli.token import token
from chatrun.errors import ChatrunError

app = typer.Typer(
    name="chatrun",
    no_args_is_help=True,
    # Without rich: `chatrun --help` has to be there at once.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(dev)
app.command()(chat)
app.command()(token)
app.command()(init)
app.command()(tasks)
app.add_typer(sessions)
app.command()(logs)
app.command()(serve)


def _show_version(wanted: bool) -> None:
    if wanted:
        from chatrun import __version__

        print(f"chatrun {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_show_version),
    ] = False,
) -> None:
    """One async function becomes a durable chat backend."""


def main() -> None:
    """Run the command that the arguments name; never returns.

    Exit codes: 0; 1 something failed; 2 wrong usage; 130 interrupted.
    """
    try:
        app()
    except (ChatrunError, BaseExceptionGroup) as caught:
        error = only_error(caught)
        if not isinstance(error, ChatrunError):
            raise
        from chatrun.cli.chat.safe import safe_text

        print(f"chatrun: {safe_text(str(error))}", file=sys.stderr)
        sys.exit(exit_code(error))
