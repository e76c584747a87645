"""What a run needs of the world: a place to write to that says when it is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chatrun.store.base import OutWrite
    from chatrun.wire.records import Line


class RunPort(Protocol):
    """A run's way to its session's `out` stream and transcript.

    Writes take effect in the order in which they were called. Once the run has lost its session
    (its epoch is stale, or the store failed) every method raises what `commit` raises.
    """

    def append(self, line: Line) -> None:
        """Hand over one record for `out`, as `write` does; the quick way, for chunks."""
        ...

    def write(self, write: OutWrite) -> None:
        """Hand over `write` without waiting; it is durable before any reader sees it.

        Raises:
            StoreError: The run has lost its session.
        """
        ...

    async def ready(self) -> None:
        """Wait while more is handed over than a bounded backlog; at once in the usual case.

        Raises:
            StoreError: The run has lost its session.
        """
        ...

    async def commit(self, write: OutWrite) -> int:
        """Do `write` and return the number of its last record once it is durable.

        Raises:
            Fenced: Another run has the session now.
            StoreUnavailable: Nothing of it was stored.
        """
        ...
