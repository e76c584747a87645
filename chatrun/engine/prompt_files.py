"""`prompts/<id>.toml`: other versions of a prompt, and an override, without touching the code.

current = 2                    # instead of the text in the code

[versions.1]
text = "You are terse."
labels = ["stable"]

[versions.2]
text = "You are terse and kind."
model = "openai:gpt-4o"
config = { temperature = 0.2 }

[override]                     # instead of whatever else would be taken
text = "You are down for maintenance, and say so."
active = false
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from chatrun.engine.prompt_text import Template, parse_template
from chatrun.errors import InvalidInput, SettingInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CODE: Final = "code"
"""The name of the version that the code has."""
OVERRIDE: Final = "override"
CURRENT: Final = "current"
"""The label of the version that is taken when nothing else is asked for."""

_FILE_KEYS: Final = ("current", "override", "versions")
_VERSION_KEYS: Final = ("text", "model", "config", "labels")
_OVERRIDE_KEYS: Final = ("text", "model", "config", "active")


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """A version of a prompt. What is None is as in the code."""

    name: str
    template: Template | None = None
    model: str | None = None
    config: Mapping[str, Any] | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptFile:
    """What the file of a prompt says; without a file, nothing."""

    versions: Mapping[str, PromptVersion] = field(default_factory=dict)
    current: str = CODE
    """The name of the current version."""
    override: PromptVersion | None = None
    """What is taken instead of any version that is not asked for by its name."""

    def labelled(self, label: str) -> PromptVersion | None:
        """Return the version with this label, None when there is none."""
        found = (version for version in self.versions.values() if label in version.labels)
        return next(found, None)


def read_prompt_file(path: Path) -> PromptFile:
    """Return what the file at `path` says.

    Raises:
        SettingInvalid: It cannot be read, or a line of it makes no sense; the message has both.
    """
    try:
        return _file(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, InvalidInput) as exc:
        raise SettingInvalid(f"{path}: {exc}") from exc


def _file(table: dict[str, Any]) -> PromptFile:
    _check_keys(table, _FILE_KEYS, "the file")
    tables = _table(table, "versions")
    versions = {name: _version(name, _table(tables, name)) for name in tables}
    _check_names(versions)
    current = str(table.get("current", CODE))
    if current != CODE and current not in versions:
        raise InvalidInput(f"current is {current!r}, and there is no [versions.{current}]")
    return PromptFile(versions, current, _override(_table(table, OVERRIDE)))


def _version(name: str, table: dict[str, Any]) -> PromptVersion:
    where = f"[versions.{name}]"
    _check_keys(table, _VERSION_KEYS, where)
    labels = table.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InvalidInput(f"labels of {where} must be a list of texts")
    return _made(name, table, where, labels=tuple(labels))


def _override(table: dict[str, Any]) -> PromptVersion | None:
    if not table:
        return None
    _check_keys(table, _OVERRIDE_KEYS, "[override]")
    made = _made(OVERRIDE, table, "[override]", labels=(OVERRIDE,))
    return made if table.get("active", True) else None


def _made(
    name: str, table: dict[str, Any], where: str, *, labels: tuple[str, ...]
) -> PromptVersion:
    text, model = _text(table, "text", where), _text(table, "model", where)
    try:
        template = parse_template(text) if text is not None else None
    except InvalidInput as exc:
        raise InvalidInput(f"text of {where}, {exc}") from exc
    config = _table(table, "config") if "config" in table else None
    return PromptVersion(name, template, model, config, labels)


def _check_names(versions: Mapping[str, PromptVersion]) -> None:
    owners: dict[str, str] = {}
    for name, version in versions.items():
        if name in (CODE, OVERRIDE):
            raise InvalidInput(f"a version cannot be called {name!r}")
        for label in version.labels:
            if label == CURRENT:
                raise InvalidInput(f"write current = {name!r} instead of that label")
            if owners.setdefault(label, name) != name:
                raise InvalidInput(
                    f"versions {owners[label]!r} and {name!r} both have the label {label!r}"
                )


def _check_keys(table: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise InvalidInput(f"{where} has {key!r}; there may be {', '.join(allowed)}")


def _table(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise InvalidInput(f"{key} must be a table")
    return found


def _text(table: Mapping[str, Any], key: str, where: str) -> str | None:
    found = table.get(key)
    if found is None or isinstance(found, str):
        return found
    raise InvalidInput(f"{key} of {where} must be text")
