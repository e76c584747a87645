"""The JSON of the sessions API (wire.md section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    from chatrun.messages.types import UIMessage


class SessionJson(TypedDict):
    """A session as the server tells of it."""

    id: str
    externalId: str | None
    type: str
    taskIdentifier: str
    currentRunId: str | None
    tags: list[str]
    metadata: dict[str, object] | None
    closedAt: str | None
    closedReason: str | None
    expiresAt: str | None
    createdAt: str
    updatedAt: str
    publicAccessToken: NotRequired[str]
    isCached: NotRequired[bool]


class Cursors(TypedDict):
    """Where the streams stood when a transcript was read."""

    lastOutEventId: NotRequired[int | str]
    lastInEventId: NotRequired[int | str]


class TranscriptJson(TypedDict):
    """One page of a session's messages, oldest first."""

    messages: list[UIMessage]
    cursors: NotRequired[Cursors]
    nextCursor: NotRequired[str]
