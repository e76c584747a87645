"""What the files around the code have to agree on."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file())


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The `[project]` table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_the_newest_release_in_the_changelog_is_the_version(project: dict[str, Any]) -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    unreleased, *releases = headings

    assert unreleased == "Unreleased"
    assert [release.split()[0] for release in releases[:1]] in ([], [project["version"]])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_run_and_says_what_it_does(script: Path) -> None:
    lines = script.read_text().splitlines()

    assert script.stat().st_mode & 0o111
    assert lines[0].startswith("#!")
    assert lines[1].startswith(("# ", '"""'))


def test_the_lock_file_leaves_open_where_packages_are_downloaded_from() -> None:
    lock = json.loads((ROOT / "tests/npm/package-lock.json").read_text())

    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
