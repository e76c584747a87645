"""The project's secret on disk: `.chatrun/secret`, made on first use, for its owner's eyes only."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from chatrun.errors import SecretMissing

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = ".chatrun"
FILE: Final = "secret"
_RANDOM_BYTES: Final = 32
_HAS_MODES: Final = os.name == "posix"
# A pipe that somebody has put there must not hold us up, nor a link lead us elsewhere.
_CAREFULLY: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def load_secret(folder: Path) -> str:
    """Return the secret of the project in `folder`, and make it when there is none.

    Any number of processes may call this at once on a fresh project: all get the same secret.
    It is 43 letters, digits, `-` and `_`, which is no shape that the published packages treat as
    a key of their own cloud.

    Raises:
        SecretMissing: The file or its folder is a link, belongs to somebody else or may be read
            by others, or cannot be read or made.
    """
    home = open_private_folder(folder)
    path = home / FILE
    try:
        if not os.path.lexists(path):
            _make(path)
        return _read(path)
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
        raise SecretMissing(
            f"cannot read or make the secret {path}: {reason}; CHATRUN_SECRET_KEY replaces it"
        ) from exc


def open_private_folder(folder: Path) -> Path:
    """Return `folder`'s `.chatrun`, which only its owner may enter; make it when there is none.

    Raises:
        SecretMissing: It is a link, belongs to somebody else, or others may enter it.
    """
    home = folder / FOLDER
    try:
        home.mkdir(mode=0o700, exist_ok=True)
        found = home.lstat()
    except OSError as exc:
        raise SecretMissing(f"cannot make the folder {home}: {exc.strerror}") from exc
    if not stat.S_ISDIR(found.st_mode):
        raise SecretMissing(f"{home} must be a folder, and not a link to one")
    _check_private(found, home, fix=f"chmod 700 {home}")
    return home


def _make(path: Path) -> None:
    # Written under another name and linked into place: whoever sees the file sees all of it,
    # and of several that are started together the first one's stays.
    draft = path.with_name(f"{FILE}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(_RANDOM_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | _CAREFULLY), encoding="utf-8") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise SecretMissing(f"{path} must be a plain file")
        _check_private(found, path, fix=f"chmod 600 {path}")
        text = file.read().strip()
    if not text:
        raise SecretMissing(f"{path} is empty: delete it, and a new secret will be made")
    return text


def _check_private(found: os.stat_result, path: Path, *, fix: str) -> None:
    if not _HAS_MODES:
        return
    if found.st_uid not in {os.geteuid(), 0} and os.geteuid() != 0:
        raise SecretMissing(f"{path} belongs to another user: use a folder of your own")
    if found.st_mode & 0o077:
        raise SecretMissing(f"{path} is open to other users: run `{fix}`")
