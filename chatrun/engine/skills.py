"""Skills: what a task's model can learn to do when it is asked to.

A skill is a folder with a SKILL.md. Of each the model is told the name and when to use it; with
`loadSkill` it reads the rest, with `readFile` and `bash` it uses what else the folder holds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatrun.engine.project import folders_above
from chatrun.engine.skill_files import Skill, find_skills
from chatrun.engine.skill_tools import Bash, skill_tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chatrun.ai.tools import Tool


class Skills:
    """Which skills a task has: `skills=["skills/*"]` is short for `skills=Skills("skills/*")`.

    The patterns name folders that have a SKILL.md, relative to the task's file or to a folder
    above it, up to the project's. `bash` says whether the model may run commands in them, with
    the rights of the worker: "run" lets it, "ask" has the user allow each one, "off" does not.
    """

    def __init__(self, *patterns: str | Path, bash: Bash = "run") -> None:
        self.patterns = patterns
        self.bash: Bash = bash


@dataclass(frozen=True, slots=True)
class LoadedSkills:
    """The skills of one turn."""

    skills: tuple[Skill, ...]
    tools: tuple[Tool, ...]
    """What the model uses them with."""

    @property
    def preamble(self) -> str:
        """What the model is told of them, behind the task's own instructions."""
        lines = (f"- {skill.name}: {skill.description}" for skill in self.skills)
        head = "Available skills (call `loadSkill` to read the full instructions before using one):"
        return "\n".join((head, *lines))


class TaskSkills:
    """The skills of one task, where its file is."""

    def __init__(self, skills: Skills, folders: tuple[Path, ...]) -> None:
        self._skills = skills
        self._folders = folders
        self._loaded: LoadedSkills | None = None

    async def load(self) -> LoadedSkills:
        """Return the skills as they are on disk now.

        Raises:
            InvalidInput: A pattern matches no skill, a SKILL.md makes no sense, or two skills
                have one name.
        """
        return await asyncio.to_thread(self.read)

    def read(self) -> LoadedSkills:
        """Do what `load` does, in this thread."""
        found = find_skills(self._skills.patterns, self._folders)
        loaded = self._loaded
        if loaded is None or loaded.skills != found:  # tools are costly to describe: kept
            loaded = LoadedSkills(found, skill_tools(found, bash=self._skills.bash))
            self._loaded = loaded
        return loaded


def skills_of(
    skills: Skills | str | Path | Iterable[str | Path], function: Callable[..., Any]
) -> TaskSkills | None:
    """Return the skills of the task that is `function`; None when there are to be none.

    They are looked at once, so that what is wrong with them is known when the task is declared.

    Raises:
        InvalidInput: As `TaskSkills.load` does.
    """
    if isinstance(skills, str | Path):
        skills = (skills,)
    wanted = skills if isinstance(skills, Skills) else Skills(*skills)
    if not wanted.patterns:
        return None
    code = getattr(function, "__code__", None)
    folders = (
        folders_above(code.co_filename, function.__module__) if code is not None else (Path.cwd(),)
    )
    found = TaskSkills(wanted, folders)
    found.read()
    return found
