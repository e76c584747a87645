"""What the terminal chat is told: which chat to open, and what there is to choose from."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from chatrun.client.wire_types import SessionJson


@dataclass(frozen=True, slots=True)
class Opening:
    """What the command line says of the chat to open."""

    folder: Path
    task: str | None = None
    session: str | None = None
    last: bool = False
    url: str | None = None
    token: str | None = None

    @property
    def resumes(self) -> bool:
        """Whether an earlier chat is to go on."""
        return self.session is not None or self.last


@dataclass(frozen=True, slots=True)
class Known:
    """What a server tells of its tasks."""

    tasks: tuple[str, ...]
    broken: tuple[str, ...]
    """What is wrong with files that cannot be imported, a sentence each."""


def ref_of(session: SessionJson) -> str:
    """Return the id that people use for a session."""
    return session["externalId"] or session["id"]


def new_chat_id() -> str:
    """Return an id for a chat, short enough to be typed."""
    return f"chat-{secrets.token_hex(4)}"
