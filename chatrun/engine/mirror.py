"""Keeps a task's own storage up with what is said in one session."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from chatrun.engine.storage import Save, changes_between

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chatrun.engine.storage import SaveReason, TranscriptStorage
    from chatrun.messages.types import UIMessage

logger = logging.getLogger("chatrun.storage")


class Mirror:
    """One session's way to a `TranscriptStorage`.

    A save that fails loses nothing: the session's own transcript has it, and the next save brings
    what is missing. Until then the storage is *behind*, which is kept with the session, so that
    the next run does not take its word.
    """

    def __init__(self, storage: TranscriptStorage, chat_id: str, *, behind: bool) -> None:
        self._storage = storage
        self._chat_id = chat_id
        self._stored: list[UIMessage] = []
        self._saving = asyncio.Lock()
        self.behind = behind
        """Whether the storage lacks something that the session's transcript has."""

    async def open(self, messages: Sequence[UIMessage]) -> list[UIMessage]:
        """Return the history that a run begins with; `messages` is the session's transcript.

        It is the storage's, unless that is behind or has never heard of a chat that has begun.
        Raises what the storage raises.
        """
        found = await self._storage.load(self._chat_id)
        self._stored = list(found.messages)
        if self.behind or (messages and not self._stored):
            await self.save(messages, "recovery")
            return list(messages)
        return list(self._stored)

    async def save(
        self,
        messages: Sequence[UIMessage],
        reason: SaveReason,
        *,
        state: Mapping[str, Any] | None = None,
        client_data: object = None,
    ) -> None:
        """Bring the storage up to `messages`; a failure is logged and made up for later."""
        async with self._saving:
            changes = changes_between(self._stored, messages)
            if not changes:
                return
            save = Save(self._chat_id, reason, tuple(changes), dict(state or {}), client_data)
            try:
                await self._storage.save(save)
            except Exception:
                self.behind = True
                logger.exception("cannot store what was said in %s", self._chat_id)
                return
            self._stored = list(messages)
            self.behind = False
