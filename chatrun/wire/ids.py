"""Ids of sessions, runs, messages and records, and what an id from outside may look like."""

from __future__ import annotations

import re
import secrets
from typing import NewType

from chatrun.errors import InvalidInput

Cursor = NewType("Cursor", int)
"""A record's place in its stream: its number, from 0 without gaps."""

START = Cursor(-1)
"""The cursor before the first record."""

SESSION_PREFIX = "session_"
MAX_EXTERNAL_ID = 256
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


def new_id(prefix: str) -> str:
    """Return `prefix`, an underscore and 24 random characters (124 bits)."""
    return f"{prefix}_{''.join(secrets.choice(_ALPHABET) for _ in range(24))}"


def check_task_id(task_id: str) -> str:
    """Return `task_id` when it may name a task.

    Raises:
        InvalidInput: It is not 1 to 128 letters, digits, dots, dashes, colons or underscores.
    """
    if not _TASK_ID.fullmatch(task_id):
        raise InvalidInput(
            f"{task_id!r} cannot be a task's id: use 1 to 128 letters, digits, '.', '_', ':' or "
            "'-', beginning with a letter or a digit"
        )
    return task_id


def check_external_id(external_id: str) -> str:
    """Return `external_id` without surrounding white space when it may name a session.

    Raises:
        InvalidInput: It is empty, "." or "..", longer than 256 characters, holds control characters
            or begins with `session_`, which is kept for our own ids.
    """
    text = external_id.strip()
    if not 1 <= len(text) <= MAX_EXTERNAL_ID:
        raise InvalidInput(f"externalId must have 1 to {MAX_EXTERNAL_ID} characters")
    if text.startswith(SESSION_PREFIX):
        raise InvalidInput(f"externalId {text!r} must not begin with {SESSION_PREFIX!r}")
    if text in (".", ".."):
        raise InvalidInput(f"externalId {text!r} cannot stand in a path: use another")
    if not text.isprintable():
        raise InvalidInput(f"externalId {text!r} must not hold control characters")
    return text
