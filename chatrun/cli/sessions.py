"""`chatrun sessions`: look at sessions and close them, on a server or in the store itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatrun.cli.options import Json, ProjectOption, Token, Url, checked_folder

if TYPE_CHECKING:
    from chatrun.cli.ledger import Ledger
    from chatrun.client.wire_types import SessionJson
    from chatrun.messages.types import UIMessage

sessions = typer.Typer(
    name="sessions", help="Look at sessions, or close them.", no_args_is_help=True
)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Either of a session's ids.")]


@sessions.command("list")
def list_sessions(
    task: Annotated[str | None, typer.Option("--task", help="Only those of this task.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=100)] = 20,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
    folder: ProjectOption = Path(),
) -> None:
    """List the newest sessions, newest first."""

    async def run(ledger: Ledger) -> None:
        found = await ledger.sessions(task=task, limit=limit)
        print("\n".join(json.dumps(session) if as_json else _line(session) for session in found))

    _with_ledger(run, folder, url=url, token=token)


@sessions.command("show")
def show_session(
    session: SessionId,
    as_json: Json = False,
    url: Url = None,
    token: Token = None,
    folder: ProjectOption = Path(),
) -> None:
    """Show a session and what was said in it."""

    async def run(ledger: Ledger) -> None:
        found, messages = await ledger.session(session), await ledger.transcript(session)
        if as_json:
            print(json.dumps({**found, "messages": messages}))
            return
        print(_line(found))
        for message in messages:
            print(f"\n{_message(message)}")

    _with_ledger(run, folder, url=url, token=token)


@sessions.command("close")
def close_session(
    session: SessionId,
    reason: Annotated[str | None, typer.Option(help="Why; clients are told.")] = None,
    url: Url = None,
    token: Token = None,
    folder: ProjectOption = Path(),
) -> None:
    """Close a session for good: it takes no more messages, and stays readable."""

    async def run(ledger: Ledger) -> None:
        print(_line(await ledger.close(session, reason=reason)))

    _with_ledger(run, folder, url=url, token=token)


def _with_ledger(run: object, folder: Path, *, url: str | None, token: str | None) -> None:
    import asyncio
    from collections.abc import Awaitable, Callable
    from typing import cast

    from chatrun.cli.ledger import open_ledger

    work = cast("Callable[[Ledger], Awaitable[None]]", run)

    async def main() -> None:
        async with open_ledger(checked_folder(folder), url=url, token=token) as ledger:
            await work(ledger)

    asyncio.run(main())


def _line(session: SessionJson) -> str:
    from chatrun.cli.chat.safe import safe_line

    state = "closed" if session["closedAt"] else "open"
    if session["closedReason"]:
        state += f" ({session['closedReason']})"
    when = session["updatedAt"][:16].replace("T", " ")
    ref = session["externalId"] or session["id"]
    return "  ".join(safe_line(text) for text in (ref, session["taskIdentifier"], when, state))


def _message(message: UIMessage) -> str:
    from chatrun.cli.chat.plain import plain_message

    return plain_message(message)
