"""The tools by which a model uses skills; a task's own tools go before them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, Literal

import orjson

from chatrun.ai.tools import Tool
from chatrun.engine.skill_shell import run_command
from chatrun.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from chatrun.engine.skill_files import Skill

Bash = Literal["run", "ask", "off"]

READ_LIMIT_BYTES: Final = 1_000_000
"""How much of a file is read, as JSON: it has to fit into one chunk."""


def skill_tools(skills: Sequence[Skill], *, bash: Bash = "run") -> tuple[Tool, ...]:
    """Return `loadSkill`, `readFile` and, unless it is "off", `bash`, over `skills`.

    With "ask", the user must allow each command.
    """
    by_name = {skill.name: skill for skill in skills}

    async def load_skill(name: str) -> dict[str, str]:
        """Load the full instructions of a skill. Call this first before using a skill.

        Args:
            name: The skill's name, as it is listed.
        """
        skill = _named(by_name, name)
        return {"name": skill.name, "description": skill.description, "body": skill.body}

    async def read_file(skill: str, path: str) -> dict[str, str]:
        """Read a file of a skill's folder.

        Args:
            skill: The skill's name.
            path: The file's path, relative to the skill's folder, as in `references/style.md`.
        """
        folder = _named(by_name, skill).folder
        return {"content": await asyncio.to_thread(read_within, folder, path)}

    async def run_bash(skill: str, command: str) -> dict[str, object]:
        """Run a bash command in a skill's folder, to use its scripts.

        What it leaves running in the background ends with it.

        Args:
            skill: The skill's name.
            command: The command; relative paths begin at the skill's folder.
        """
        ran = await run_command(command, _named(by_name, skill).folder)
        return {"exitCode": ran.exit_code, "stdout": ran.stdout, "stderr": ran.stderr}

    tools = (Tool(load_skill, name="loadSkill"), Tool(read_file, name="readFile"))
    if bash == "off":
        return tools
    return (*tools, Tool(run_bash, name="bash", needs_approval=bash == "ask"))


def beside(own: Iterable[Tool], more: Iterable[Tool]) -> tuple[Tool, ...]:
    """Return `own` and those of `more` whose names `own` does not have."""
    kept = tuple(own)
    taken = {tool.name for tool in kept}
    return (*kept, *(tool for tool in more if tool.name not in taken))


def _named(skills: dict[str, Skill], name: str) -> Skill:
    skill = skills.get(name)
    if skill is None:
        known = ", ".join(map(repr, skills))
        raise InvalidInput(f"there is no skill {name!r}; there are {known}")
    return skill


def read_within(folder: Path, relative: str) -> str:
    """Return the text of a file in `folder`, a real path, cut where it gets too long.

    Bytes that are no UTF-8 are replaced.

    Raises:
        InvalidInput: The path leads out of the folder, by whatever links, or to no file.
    """
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder):
        raise InvalidInput(f"{relative!r} is not within the skill's folder")
    if not path.is_file():
        raise InvalidInput(f"{relative!r} is not a file of the skill")
    with path.open("rb") as file:
        head = file.read(READ_LIMIT_BYTES + 1)
        size = os.fstat(file.fileno()).st_size
    text = head[:READ_LIMIT_BYTES].decode("utf-8", "replace")
    kept = _fitting(text)
    whole = kept == text and len(head) <= READ_LIMIT_BYTES
    return kept if whole else f"{kept}\n…[truncated: the file has {size} bytes]"


def _fitting(text: str) -> str:
    """Return as much of `text` as its limit allows."""
    while (size := len(orjson.dumps(text))) > READ_LIMIT_BYTES:
        text = text[: min(len(text) * READ_LIMIT_BYTES // size, len(text) - 1)]
    return text
