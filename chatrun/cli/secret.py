"""The project's secret, for commands that mint tokens or speak to the project's server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def find_secret(folder: Path) -> str:
    """Return `CHATRUN_SECRET_KEY`, of the environment or `.env`, else what `.chatrun/secret` holds.

    That file is made when there is none.

    Raises:
        SecretMissing: It cannot be made, or may be read by others.
    """
    from chatrun.config import read_environ
    from chatrun.wire.secret import load_secret

    return read_environ(folder).get("CHATRUN_SECRET_KEY") or load_secret(folder)
