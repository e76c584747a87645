"""Tasks that write the loop over their turns themselves: their function serves a whole run."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from chatrun.aio import end_within
from chatrun.engine.raw import RawSession
from chatrun.engine.session import ChatSession
from chatrun.engine.supervise import STOP_GRACE_S
from chatrun.errors import StoreError, TaskFailed

if TYPE_CHECKING:
    from chatrun.engine.run import EndReason, Run

logger = logging.getLogger("chatrun.run")

OwnSession = ChatSession[Any] | RawSession[Any]


async def serve_own_loop(run: Run) -> EndReason:
    """Call the task's function once, for the whole run, and return why the run ends.

    A turn that the function leaves open, by returning or by raising, is ended for it. One that
    raises before it has asked for anything has its error told to the client that waits.

    Raises:
        StoreError: The run has lost its session.
    """
    session: OwnSession = ChatSession(run) if run.task.level == "session" else RawSession(run)
    body = asyncio.create_task(_error_of(run, session), name=f"loop of {run.task!r}")
    session.when_overdue(body.cancel)
    try:
        await asyncio.wait({body})
        await _clear_up(run, session, _ended_with(run, session, body))
    except asyncio.CancelledError:
        await end_within(body, grace_s=STOP_GRACE_S, what=f"{run.task!r}")
        raise
    finally:
        session.abandon()
    return session.end_reason or "ended"


async def _error_of(run: Run, session: OwnSession) -> BaseException | None:
    """Run the user's code and return what it raised."""
    try:
        await run.task.function(session)
    except (asyncio.CancelledError, StoreError):
        raise
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as exc:
        return TaskFailed(f"{run.task!r} raised {type(exc).__name__}({exc})")
    except Exception as exc:
        return exc
    return None


def _ended_with(
    run: Run, session: OwnSession, body: asyncio.Task[BaseException | None]
) -> BaseException | None:
    if not body.cancelled():
        return body.result()
    return TaskFailed(f"{run.task!r} cancelled itself") if session.is_open else None


async def _clear_up(run: Run, session: OwnSession, error: BaseException | None) -> None:
    """End what the function has left open."""
    if session.is_open:
        await session.leave(error)
    elif not session.has_asked:
        # Otherwise the next run would be started for the same message, and so on for ever.
        await run.fail_waiting(
            error or TaskFailed(f"{run.task!r} returned without asking for a message")
        )
    elif error is not None:
        logger.error("%r failed between its turns", run.task, exc_info=error)
