"""Skills on disk: folders with a SKILL.md that says what is in them and how to use it.

Source: the Agent Skills format (agentskills.io): YAML front matter with `name` and `description`,
then instructions in Markdown. Of YAML only what such front matter needs is read: texts, plain,
quoted or in blocks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chatrun.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FILE: Final = "SKILL.md"

_FRONT: Final = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_KEY: Final = re.compile(r"([\w-]+)[ \t]*:(?:[ \t]+(.*)|[ \t]*)")
_BLOCK: Final = re.compile(r"([|>])[+-]?\d?[+-]?(?:[ \t]+#.*)?")
_DOUBLE: Final = re.compile(r'("(?:[^"\\]|\\.)*")(?:\s+#.*)?', re.DOTALL)
_SINGLE: Final = re.compile(r"'((?:[^']|'')*)'(?:\s+#.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill."""

    name: str
    description: str
    """When to use it, for the model; one line."""
    body: str
    """The instructions."""
    folder: Path
    """Where its files are: a real path, without links."""


def find_skills(patterns: Iterable[str | Path], folders: Sequence[Path]) -> tuple[Skill, ...]:
    """Return the skills whose folders match one of `patterns`, by name.

    A relative pattern is looked for in `folders`, one after another; where something matches it,
    the rest are not looked at.

    Raises:
        InvalidInput: A pattern matches no skill, a SKILL.md makes no sense, or two skills have
            one name.
    """
    found: dict[Path, Skill] = {}
    for pattern in patterns:
        for folder in _matching(Path(pattern).expanduser(), folders):
            if folder not in found:
                found[folder] = read_skill(folder)
    by_name: dict[str, Skill] = {}
    for skill in found.values():
        first = by_name.setdefault(skill.name, skill)
        if first is not skill:
            raise InvalidInput(
                f"two skills are called {skill.name!r}: {first.folder} and {skill.folder}"
            )
    return tuple(by_name[name] for name in sorted(by_name))


def _matching(pattern: Path, folders: Sequence[Path]) -> list[Path]:
    if pattern.is_absolute():
        folders, pattern = (Path(pattern.anchor),), pattern.relative_to(pattern.anchor)
    for folder in folders:
        found = sorted(
            {match.resolve() for match in folder.glob(str(pattern)) if (match / FILE).is_file()}
        )
        if found:
            return found
    places = ", ".join(map(str, folders))
    raise InvalidInput(f"no folder with a {FILE} matches the skills {str(pattern)!r} in {places}")


def read_skill(folder: Path) -> Skill:
    """Return the skill in `folder`.

    Raises:
        InvalidInput: Its SKILL.md cannot be read, or has no name or description.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"{path} cannot be read: {exc}") from exc
    front = _FRONT.match(text)
    if front is None:
        raise InvalidInput(f"{path} must begin with a line '---', its front matter, and '---'")
    fields = read_front_matter(front[1])
    missing = [key for key in ("name", "description") if not fields.get(key)]
    if missing:
        raise InvalidInput(f"{path} has no {missing[0]} in its front matter")
    return Skill(
        name=fields["name"],
        description=" ".join(fields["description"].split()),
        body=text[front.end() :].strip(),
        folder=folder.resolve(),
    )


def read_front_matter(text: str) -> dict[str, str]:
    """Return the texts at the top level of a YAML mapping; what else it holds is passed over."""
    fields: dict[str, str] = {}
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        key = _KEY.fullmatch(lines[number].rstrip())
        number += 1
        if key is None:
            continue
        more: list[str] = []
        while number < len(lines) and (not lines[number].strip() or lines[number][0] in " \t"):
            more.append(lines[number])
            number += 1
        fields[key[1]] = _scalar((key[2] or "").strip(), more)
    return fields


def _scalar(first: str, more: list[str]) -> str:
    """Return a text that begins behind its key and may go on in deeper lines."""
    block = _BLOCK.fullmatch(first)
    if block is not None:
        indent = min((len(line) - len(line.lstrip()) for line in more if line.strip()), default=0)
        kept = [line[indent:].rstrip() for line in more]
        return "\n".join(kept).strip() if block[1] == "|" else _folded(kept)
    whole = _folded([first, *more])
    if double := _DOUBLE.fullmatch(whole):
        return _unescaped(double[1])
    if single := _SINGLE.fullmatch(whole):
        return single[1].replace("''", "'")
    return "" if whole.startswith("#") else whole.split(" #")[0].rstrip()


def _folded(lines: Iterable[str]) -> str:
    """Return lines as one text: line breaks are spaces, empty lines are line breaks."""
    text = "\n".join(line.strip() for line in lines).strip()
    return re.sub(r"\n+", lambda breaks: breaks[0][1:] or " ", text)


def _unescaped(quoted: str) -> str:
    try:
        text: str = json.loads(quoted)
    except ValueError:
        return quoted[1:-1]
    return text
