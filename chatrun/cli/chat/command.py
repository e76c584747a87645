"""`chatrun chat`: talk to a task in the terminal, or ask it one thing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from chatrun.cli.options import ProjectOption, Token, Url, checked_folder


def chat(
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="The task; none if there is only one.")
    ] = None,
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="Ask this, print the answer, leave.")
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="Go on with this session.")
    ] = None,
    last: Annotated[
        bool, typer.Option("--continue", "-c", help="Go on with the last session.")
    ] = False,
    url: Url = None,
    token: Token = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Print the answer's chunks as JSON lines.")
    ] = False,
    folder: ProjectOption = Path(),
) -> None:
    """Talk to a task in the terminal.

    With MESSAGE, or with one piped in, it asks once, prints the answer and leaves.

    It speaks to the server at --url, else CHATRUN_URL, else the one that runs here, else to one
    that it starts and ends itself. One answer: exit code 0 when it is finished, 1 when it failed,
    130 when it was interrupted.
    """
    if session is not None and last:
        raise typer.BadParameter("cannot be used with --continue: name one session or the last one")
    asks_once = message is not None or jsonl or not sys.stdin.isatty()
    if not asks_once and not sys.stdout.isatty():
        raise typer.BadParameter(
            "is needed where standard output is no terminal", param_hint="MESSAGE"
        )
    import asyncio

    from chatrun.cli.chat.opening import Opening

    opening = Opening(
        folder=checked_folder(folder), task=task, session=session, last=last, url=url, token=token
    )
    if asks_once:
        from chatrun.cli.chat.once import ask_once

        text = message if message is not None else _piped()
        raise typer.Exit(asyncio.run(ask_once(opening, text, jsonl=jsonl)))
    from chatrun.cli.chat.repl import run_repl

    raise typer.Exit(asyncio.run(run_repl(opening)))


def _piped() -> str:
    """Return what is piped in.

    Raises:
        BadParameter: It is nothing, or not text.
    """
    try:
        text = sys.stdin.buffer.read().decode().strip("\n")
    except UnicodeDecodeError:
        raise typer.BadParameter("standard input is not text in UTF-8") from None
    if not text.strip():
        raise typer.BadParameter("is empty: give MESSAGE, or pipe one in", param_hint="MESSAGE")
    return text
