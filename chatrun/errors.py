"""Every error that chatrun raises on purpose, as one short tree.

    ChatrunError
    ├── InputError          what was handed in is not acceptable
    │   ├── InvalidInput · TooLarge · ChunkInvalid · SettingInvalid
    ├── SessionError        the session is not in a state for it
    │   ├── SessionNotFound · SessionClosed · SessionExpired · SessionBusy
    ├── AccessError         who asks may not
    │   ├── TokenInvalid · TokenExpired · ScopeMissing · OriginRefused · SecretMissing
    ├── TaskError           the user's code
    │   ├── TaskNotFound · TaskDuplicated · TaskFileBroken · TaskFailed · ChatError
    ├── StoreError          where sessions live
    │   ├── StoreUnavailable · StoreLocked · StoreFull · StoreCorrupt · StoreTooNew
    │   └── CursorTrimmed · Fenced
    ├── ProviderError       where answers come from
    │   └── ProviderUnavailable · ProviderRejected · ProviderKeyMissing · ProviderTruncated
    └── LinkError           the two sides of the wall
        └── LinkBroken · WorkerFailed

Branches end in `Error`; leaves state what is the case. `code` is stable and goes on the wire; the
message is for people: what is wrong, with which value, what to do.
"""

from __future__ import annotations


class ChatrunError(Exception):
    """The root. `code` names the case for programs, `str(error)` for people."""

    code = "error"


class InputError(ChatrunError):
    """What was handed in is not acceptable."""

    code = "input_error"


class InvalidInput(InputError):
    """A value does not have the form it must have; nothing was stored."""

    code = "invalid_input"


class TooLarge(InputError):
    """A value is larger than its limit; nothing was stored."""

    code = "too_large"

    def __init__(self, message: str, *, limit_bytes: int, size_bytes: int | None = None) -> None:
        super().__init__(message)
        self.limit_bytes = limit_bytes
        self.size_bytes = size_bytes


class ChunkInvalid(InputError):
    """Something a task sent is not a chunk that the clients accept."""

    code = "chunk_invalid"


class SettingInvalid(InputError):
    """A flag, an environment variable or a line of chatrun.toml cannot be used."""

    code = "setting_invalid"


class SessionError(ChatrunError):
    """The session is not in a state for what was asked."""

    code = "session_error"


class SessionNotFound(SessionError):
    """No session answers to this id."""

    code = "session_not_found"


class SessionClosed(SessionError):
    """The session was closed; it takes no more records."""

    code = "session_closed"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class SessionExpired(SessionError):
    """The session's `expiresAt` has passed; it takes no more records."""

    code = "session_expired"


class SessionBusy(SessionError):
    """The session answers a message already and its task refuses another meanwhile."""

    code = "session_busy"


class AccessError(ChatrunError):
    """Who asks may not."""

    code = "access_error"


class TokenInvalid(AccessError):
    """There is no token, or it is not one of ours."""

    code = "token_invalid"


class TokenExpired(TokenInvalid):
    """The token was ours and its time has passed."""

    code = "token_expired"


class ScopeMissing(AccessError):
    """The token is good but does not permit this."""

    code = "unauthorized"


class OriginRefused(AccessError):
    """The Host or Origin of the request is not an allowed one."""

    code = "origin_refused"


class SecretMissing(AccessError):
    """There is no secret to sign and verify tokens with."""

    code = "secret_missing"


class TaskError(ChatrunError):
    """Something is wrong with the user's code."""

    code = "task_error"


class TaskNotFound(TaskError):
    """No task has this id."""

    code = "task_not_found"


class TaskDuplicated(TaskError):
    """Two tasks have one id."""

    code = "task_duplicated"


class TaskFileBroken(TaskError):
    """A file of the user's could not be imported."""

    code = "task_file_broken"


class TaskFailed(TaskError):
    """The user's code raised, or returned what cannot be sent."""

    code = "task_failed"


class ChatError(TaskError):
    """Raise it in a task or a hook to tell the client, in these words, why a turn failed.

    The text of any other exception is shown to clients only by `chatrun dev`.
    """

    code = "chat_error"

    @property
    def public_message(self) -> str:
        """What the client is told."""
        return str(self)


class StoreError(ChatrunError):
    """Something is wrong where sessions live."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The store cannot be reached or is closing; trying again later is safe."""

    code = "store_unavailable"


class StoreLocked(StoreError):
    """Another server has this data folder."""

    code = "store_locked"


class StoreFull(StoreUnavailable):
    """There is no space left; what was said before stays readable."""

    code = "store_full"


class StoreCorrupt(StoreError):
    """The data cannot be read back as it was written; it is never started empty."""

    code = "store_corrupt"


class StoreTooNew(StoreError):
    """The data was written by a newer chatrun."""

    code = "store_too_new"


class CursorTrimmed(StoreError):
    """Records behind this cursor have been trimmed away; `first` is the first one kept."""

    code = "cursor_trimmed"

    def __init__(self, message: str, *, first: int) -> None:
        super().__init__(message)
        self.first = first


class Fenced(StoreError):
    """The epoch is no longer the session's: another run has the right to write."""

    code = "fenced"


class ProviderError(ChatrunError):
    """Something is wrong where answers come from."""

    code = "provider_error"

    def __init__(self, message: str, *, model: str, status: int | None = None) -> None:
        super().__init__(message)
        self.model = model
        self.status = status


class ProviderUnavailable(ProviderError):
    """The provider cannot be reached or is overloaded; trying again later may help."""

    code = "provider_unavailable"


class ProviderRejected(ProviderError):
    """The provider refused the request as it is; trying again will not help."""

    code = "provider_rejected"


class ProviderKeyMissing(ProviderRejected):
    """There is no API key for the provider."""

    code = "provider_key_missing"


class ProviderTruncated(ProviderUnavailable):
    """The answer ended without the provider's closing event: it may be incomplete."""

    code = "provider_truncated"


class LinkError(ChatrunError):
    """Something is wrong between the server and a worker."""

    code = "link_error"


class LinkBroken(LinkError):
    """The other side of the link has gone, or does not speak the protocol."""

    code = "link_broken"


class WorkerFailed(LinkError):
    """A worker ended, or could not start."""

    code = "worker_failed"
