"""mypy --strict over what users write: the whole public API, and the examples of the docs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import chatrun
from tests.support.doc_pages import ROOT, read_blocks

EXAMPLES = Path(__file__).parent / "examples.py"
PAGES = ("bring-your-agent.md", "models.md", "tools.md")

# Agents' packages are taken for untyped: reading them takes mypy half a minute, and they are not
# what is checked. What is left of strictness is all that can be said about the user's own code.
SETTINGS = """\
[mypy]
strict = True

[mypy-pydantic_ai.*,agents.*,langgraph.*,langchain_openai.*]
follow_imports = skip
ignore_missing_imports = True
"""


# Without its cache mypy reads chatrun and pydantic first.
pytestmark = pytest.mark.timeout(300)


def mypy(*arguments: str | Path, where: Path, cache_name: str) -> subprocess.CompletedProcess[str]:
    cache = ROOT / ".mypy_cache" / cache_name
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, *arguments]
    return subprocess.run(command, cwd=where, capture_output=True, text=True)


def test_the_public_api_is_typed_the_way_users_use_it() -> None:
    checked = mypy("--config-file=", EXAMPLES, where=ROOT, cache_name="user-code")

    assert (checked.stdout, checked.returncode) == (
        "Success: no issues found in 1 source file\n",
        0,
    ), checked.stderr


def test_the_examples_use_every_public_name() -> None:
    text = EXAMPLES.read_text(encoding="utf-8")
    names = [name for name in chatrun.__all__ if not name.startswith("_")]

    assert [name for name in names if text.count(name) < 2] == []


def test_what_the_docs_show_passes_mypy_strictly(tmp_path: Path) -> None:
    (tmp_path / "mypy.ini").write_text(SETTINGS)
    files = [path for page in PAGES for path in write_blocks(page, tmp_path)]

    options = ("--explicit-package-bases", "--allow-untyped-decorators")
    checked = mypy(*options, *files, where=tmp_path, cache_name="docs")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def write_blocks(page: str, folder: Path) -> list[Path]:
    """Write the Python of a page into a folder of its own; return the files, relative."""
    home = Path(page.removesuffix(".md").replace("-", "_"))
    written = []
    for block in read_blocks(page, (ROOT / "docs" / page).read_text(encoding="utf-8")):
        if block.language == "python" and block.mark != "test":
            path = home / (block.file or f"line_{block.line}.py")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(block.in_place, encoding="utf-8")
            written.append(path)
    return written
