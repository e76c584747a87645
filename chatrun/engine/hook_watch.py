"""Watches a hook: how long it takes and whether it fails, told as an event."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from chatrun.ai.watch import error_type
from chatrun.engine.scopes import find_run

if TYPE_CHECKING:
    from types import TracebackType


class HookWatch:
    """One call of a hook at the point `name`; a context round it."""

    def __init__(self, name: str, hook: object) -> None:
        self._name = name
        self._function = str(getattr(hook, "__qualname__", type(hook).__qualname__))
        self._began = time.monotonic()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        run = find_run()
        if run is None:
            return
        # A hook that asks for newer code raises what is neither: that is no failure.
        failed = isinstance(error, Exception | asyncio.CancelledError)
        run.tell(
            "hook-ended",
            name=self._name,
            function=self._function,
            ok=not failed,
            took_s=round(time.monotonic() - self._began, 4),
            error_type=error_type(error) if error is not None and failed else None,
        )
