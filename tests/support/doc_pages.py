"""The code on a page of the documentation: found, and run as its reader would run it.

What becomes of a fenced block stands behind its language, where readers do not see it:

    ```python file=tasks/chat.py    is written to that file (any language)
    ```python run                   is run as a program; it must end with exit code 0
    ```text output                  is what the program before it prints
    ```python test                  is a file of tests, run by pytest when the page is at its end

A page is a project: its blocks share a folder, which is empty at the beginning.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 60
MARKS = ("run", "test", "output", "file=<path>")
PYTEST = ("-q", "-p", "anyio", "-p", "chatrun.testing.plugin", "-p", "no:cacheprovider")

_FENCE = re.compile(
    r"^( {0,3})(`{3,}|~{3,})[ \t]*([^`\n]*)\n(.*?)^ {0,3}\2[`~]*[ \t]*$", re.M | re.S
)


class PageFault(AssertionError):
    """A block of a page does not do what its mark promises."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code."""

    page: str
    line: int
    """The line its text begins at, from 1."""
    language: str
    mark: str
    """`run`, `test`, `output`, or nothing for what is only shown or written."""
    file: str | None
    text: str

    @property
    def place(self) -> str:
        """Where it is, as editors take it."""
        return f"{self.page}:{self.line}"

    @property
    def in_place(self) -> str:
        """Its text behind so many empty lines that tracebacks have the page's line numbers."""
        return "\n" * (self.line - 1) + self.text


def read_blocks(page: str, text: str) -> list[Block]:
    """Return the blocks of a page, in order.

    Raises:
        PageFault: A block has a mark that is none, or two of them write one file.
    """
    blocks: list[Block] = []
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start(4)) + 1
        language, *words = fence[3].split() or [""]
        mark, file = "", None
        for word in words:
            if word.startswith("file="):
                file = word.removeprefix("file=")
            elif word in MARKS and not mark:
                mark = word
            else:
                allowed = ", ".join(MARKS)
                raise PageFault(f"{page}:{line}: {word!r} is not a mark; there are {allowed}")
        indent = re.compile(f"^ {{0,{len(fence[1])}}}", re.MULTILINE)
        blocks.append(Block(page, line, language, mark, file, indent.sub("", fence[4])))
    _check(blocks)
    return blocks


def _check(blocks: Sequence[Block]) -> None:
    files: set[str] = set()
    before = ""
    for block in blocks:
        if block.file is not None and block.file in files:
            raise PageFault(f"{block.place}: {block.file} is written twice")
        if block.mark == "output" and before != "run":
            raise PageFault(f"{block.place}: there is no program whose output this is")
        files |= {block.file} if block.file is not None else set()
        before = block.mark


def run_blocks(blocks: Sequence[Block], folder: Path) -> int:
    """Do in `folder` what the blocks of a page are marked for; return how many were run.

    Raises:
        PageFault: One of them failed; the message has its place and what it printed.
    """
    tests: list[str] = []
    printed = ""
    for block in blocks:
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        if block.mark == "run":
            program = _write(block, folder, f"line_{block.line}.py")
            printed = _run(block, folder, program)
        elif block.mark == "output" and printed.strip() != block.text.strip():
            raise PageFault(f"{block.place}: the program printed\n{printed}")
        elif block.mark == "test":
            tests.append(_write(block, folder, f"test_line_{block.line}.py"))
    if tests:
        _run(blocks[0], folder, "-m", "pytest", *PYTEST, *tests)
    return sum(block.mark in ("run", "test") for block in blocks)


def _write(block: Block, folder: Path, name: str) -> str:
    (folder / name).write_text(block.in_place)
    return name


def _run(block: Block, folder: Path, *command: str) -> str:
    """Run Python in `folder` and return what it printed."""
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    if ran.returncode != 0:
        raise PageFault(f"{block.place}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout
