from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from chatrun.errors import SecretMissing
from chatrun.wire.secret import load_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import pathlib, sys
from chatrun.wire.secret import load_secret
sys.stdin.readline()
print(load_secret(pathlib.Path(sys.argv[1])))
"""


@pytest.fixture
def any_mode() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path, any_mode: None) -> None:
    secret = load_secret(tmp_path)

    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    assert load_secret(tmp_path) == secret
    assert mode(tmp_path / ".chatrun") == 0o700
    assert mode(tmp_path / ".chatrun" / "secret") == 0o600
    assert [path.name for path in (tmp_path / ".chatrun").iterdir()] == ["secret"]


def test_two_projects_have_two_secrets(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert load_secret(tmp_path / "a") != load_secret(tmp_path / "b")


def test_a_new_file_is_a_new_secret(tmp_path: Path) -> None:
    first = load_secret(tmp_path)
    (tmp_path / ".chatrun" / "secret").unlink()

    assert load_secret(tmp_path) != first


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in starting:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [process.communicate()[0].strip() for process in starting]

    assert set(found) == {load_secret(tmp_path)}
    assert [path.name for path in (tmp_path / ".chatrun").iterdir()] == ["secret"]


@pytest.mark.parametrize("loose", [0o640, 0o604, 0o644, 0o660, 0o700 | 0o001])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, loose: int) -> None:
    load_secret(tmp_path)
    path = tmp_path / ".chatrun" / "secret"
    path.chmod(loose)

    with pytest.raises(SecretMissing, match=f"open to other users: run `chmod 600 {path}`"):
        load_secret(tmp_path)


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    load_secret(tmp_path)
    (tmp_path / ".chatrun").chmod(0o755)

    with pytest.raises(SecretMissing, match="run `chmod 700 "):
        load_secret(tmp_path)


def test_links_are_refused_also_those_that_lead_nowhere(tmp_path: Path) -> None:
    load_secret(tmp_path)
    path = tmp_path / ".chatrun" / "secret"
    path.rename(tmp_path / "elsewhere")

    for target in ("elsewhere", "nowhere"):
        path.symlink_to(tmp_path / target)
        with pytest.raises(SecretMissing, match="cannot read or make the secret"):
            load_secret(tmp_path)
        path.unlink()


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / ".chatrun").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SecretMissing, match="must be a folder"):
        load_secret(tmp_path)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path) -> None:
    home = tmp_path / ".chatrun"
    home.mkdir(mode=0o700)
    os.mkfifo(home / "secret", 0o600)
    with pytest.raises(SecretMissing, match="must be a plain file"):
        load_secret(tmp_path)

    (home / "secret").unlink()
    (home / "secret").mkdir(mode=0o700)
    with pytest.raises(SecretMissing, match="cannot read or make the secret"):
        load_secret(tmp_path)


def test_an_empty_or_unreadable_secret_is_never_used(tmp_path: Path) -> None:
    load_secret(tmp_path)
    path = tmp_path / ".chatrun" / "secret"

    path.write_text("\n")
    with pytest.raises(SecretMissing, match="is empty"):
        load_secret(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SecretMissing, match="it is not text"):
        load_secret(tmp_path)


def test_a_missing_project_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing, match="cannot make the folder"):
        load_secret(tmp_path / "missing")
