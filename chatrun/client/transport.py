"""How the client reaches a server: the session protocol over HTTP (wire.md sections 4, 5, 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self, cast

from chatrun.client.bearers import Bearers, TokenSource
from chatrun.client.follow import Follower
from chatrun.client.http import Ask, Http, checked_url, path_of, with_query
from chatrun.client.timing import Timing
from chatrun.errors import InvalidInput, LinkBroken
from chatrun.wire.ids import START
from chatrun.wire.json import parse_json_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import aiohttp

    from chatrun.client.wire_types import SessionJson, TranscriptJson

_SESSIONS: Final = "/api/v1/sessions"
_CHANNELS: Final = "/realtime/v1/sessions"


class Transport:
    """One server, over which any number of sessions are reached.

    An async context manager. Every request is safe to make again, and is, while a server that was
    there before is away. Cancelling a method leaves nothing behind but a request that may have
    reached the server.

    Every method raises:
        LinkBroken: The server cannot be reached.
        TokenInvalid, ScopeMissing: The token is not good for this; a new one was asked for.
        StoreUnavailable: The server cannot do it now.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str | None = None,
        token: str | TokenSource | None = None,
        headers: Mapping[str, str] | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Speak to the server at `url`, with its `secret` or with a `token`.

        The fresh tokens that the server sends are used in place of `token`, never of `secret`.
        """
        self.timing = timing or Timing()
        self.bearers = Bearers(secret, token)
        self._http = Http(url, bearers=self.bearers, timing=self.timing, headers=headers)

    @property
    def url(self) -> str:
        """The server's address, without a slash at its end."""
        return self._http.url

    def move(self, url: str) -> None:
        """Speak to the server at another address from now on: the same, started again elsewhere.

        Raises:
            InvalidInput: It is not the address of a server.
        """
        self._http.url = checked_url(url)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    # --- sessions

    async def start_session(
        self, task: str, chat_id: str, *, base_payload: Mapping[str, object]
    ) -> SessionJson:
        """Return the session of `task` with this external id, created if there is none.

        Raises:
            TaskNotFound: The server has no such task.
            SessionClosed: The session with this id was closed.
        """
        body = {
            "type": "chat.agent",
            "taskIdentifier": task,
            "externalId": chat_id,
            "triggerConfig": {"basePayload": base_payload, "tags": [f"chat:{chat_id}"[:128]]},
        }
        what = f"start a session of task {task!r}"
        ask = Ask(method="POST", path=_SESSIONS, what=what, body=body)
        session = cast("SessionJson", await self._http.ask(ask))
        self.bearers.adopt(chat_id, session.get("publicAccessToken"))
        return session

    async def session(self, ref: str) -> SessionJson:
        """Return a session by either of its ids.

        Raises:
            SessionNotFound: There is none.
        """
        path, what = path_of(_SESSIONS, ref), f"look up session {ref!r}"
        return cast(
            "SessionJson", await self._http.ask(Ask(method="GET", path=path, what=what, ref=ref))
        )

    async def sessions(
        self, *, task: str | None = None, status: str | None = None, limit: int = 20
    ) -> list[SessionJson]:
        """Return the newest `limit` sessions, 100 at most, newest first."""
        query = {
            "page[size]": str(limit),
            "filter[taskIdentifier]": task,
            "filter[status]": status,
        }
        ask = Ask(method="GET", path=with_query(_SESSIONS, query), what="list sessions")
        return cast("list[SessionJson]", (await self._http.ask(ask))["data"])

    async def close_session(self, ref: str, *, reason: str | None = None) -> SessionJson:
        """Close a session for good and return it; closing again changes nothing.

        Raises:
            SessionNotFound: There is none.
        """
        body = {} if reason is None else {"reason": reason}
        path, what = path_of(_SESSIONS, ref, "/close"), f"close session {ref!r}"
        ask = Ask(method="POST", path=path, what=what, ref=ref, body=body)
        return cast("SessionJson", await self._http.ask(ask))

    async def transcript(
        self, ref: str, *, limit: int | None = None, before: str | None = None
    ) -> TranscriptJson:
        """Return the last `limit` messages in front of `before`, and where the streams stand.

        Raises:
            SessionNotFound: There is no such session.
        """
        count = None if limit is None else str(limit)
        path = path_of(_SESSIONS, ref, "/transcript", limit=count, before=before)
        what = f"read the transcript of session {ref!r}"
        ask = Ask(method="GET", path=path, what=what, ref=ref)
        return cast("TranscriptJson", await self._http.ask(ask))

    # --- the server

    async def tasks(self) -> dict[str, object]:
        """Return what the server tells of its tasks, and of files that are broken."""
        ask = Ask(method="GET", path="/api/v1/tasks", what="list the tasks")
        return await self._http.ask(ask)

    async def is_healthy(self) -> bool:
        """Tell whether a chatrun server answers; asked once, without a token."""
        try:
            status, said = await self._http.exchange("GET", "/healthz")
            return status == 200 and "version" in parse_json_object(said, what="the answer")
        except (LinkBroken, InvalidInput):
            return False

    # --- channels

    async def append(self, ref: str, record: Mapping[str, object], *, part_id: str) -> int | None:
        """Append a record to a session's `in` stream and return its number; it is durable then.

        Appending again under the same `part_id` changes nothing. None means that the server does
        not tell the number.

        Raises:
            SessionNotFound: There is no such session.
            SessionClosed: It was closed.
            TooLarge: The record is too large.
        """
        path, what = path_of(_CHANNELS, ref, "/in/append"), f"send to session {ref!r}"
        headers = {"x-part-id": part_id}
        ask = Ask(method="POST", path=path, what=what, ref=ref, body=record, headers=headers)
        seq = (await self._http.ask(ask)).get("seq")
        return seq if isinstance(seq, int) else None

    async def is_untouched(self, ref: str) -> bool:
        """Tell whether nothing has ever been appended to a session, nor written by its task.

        Raises:
            SessionNotFound: There is no such session.
        """
        what = f"read session {ref!r}"
        for channel in ("/in/records", "/out/records"):
            path = path_of(_CHANNELS, ref, channel)
            ask = Ask(method="GET", path=path, what=what, ref=ref)
            if (await self._http.ask(ask)).get("records"):
                return False
        return True

    def follow(self, ref: str, *, after: int = START, peek: bool = False) -> Follower:
        """Return the records of a session's `out` stream that follow `after`.

        With `peek` they end at once when no turn is running or waiting.
        """

        async def dial(*, after: int, peek: bool) -> aiohttp.ClientResponse:
            headers = {
                "accept": "text/event-stream",
                "timeout-seconds": str(self.timing.window_s),
                **({"last-event-id": str(after)} if after > START else {}),
                **({"x-peek-settled": "1"} if peek else {}),
            }
            path, what = path_of(_CHANNELS, ref, "/out"), f"read session {ref!r}"
            ask = Ask(method="GET", path=path, what=what, ref=ref, headers=headers)
            return await self._http.open_stream(ask)

        return Follower(dial, timing=self.timing, after=after, peek=peek)
