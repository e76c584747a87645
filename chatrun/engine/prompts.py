"""Prompts: templates with names, whose text and model may be changed without the code.

    greeting = prompts.define("greeting", "You help {{name}}.", model="openai:gpt-4o")

    @my_chat.system
    def system(turn):
        return greeting.resolve({"name": turn.client_data.name}).text

`prompts/greeting.toml`, beside the code or in a folder above it, may hold versions and an override
(see `chatrun.engine.prompt_files`). It is looked at anew at every `resolve`, so a change of it
takes effect with the next turn.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from chatrun.engine.project import folders_above
from chatrun.engine.prompt_files import (
    CODE,
    CURRENT,
    PromptFile,
    PromptVersion,
    read_prompt_file,
)
from chatrun.engine.prompt_text import Template, parse_template
from chatrun.engine.prompt_values import PromptValues
from chatrun.errors import InvalidInput, SettingInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatrun.models.base import Model

__all__ = ["Prompt", "ResolvedPrompt", "define"]

Variables = TypeVar("Variables")

FOLDER: Final = "prompts"
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class ResolvedPrompt:
    """A prompt with its values filled in, of the version that was chosen."""

    prompt_id: str
    text: str
    version: str
    """The version's name: that of the file, "code" for the text in the code, or "override"."""
    labels: tuple[str, ...] = ()
    """The version's labels; the current one has "current"."""
    model: str | Model | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """Parameters for the model, as `stream_text` calls them: `stream_text(..., **config)`."""

    def __str__(self) -> str:
        return self.text


class Prompt(Generic[Variables]):
    """A prompt; see `define`."""

    def __init__(
        self,
        prompt_id: str,
        template: Template,
        *,
        model: str | Model | None,
        config: Mapping[str, Any],
        description: str,
        variables: type[Variables] | None,
        folders: tuple[Path, ...],
    ) -> None:
        self.id = prompt_id
        self.description = description
        self._template = template
        self._model = model
        self._config = config
        self._variables = PromptValues(variables)
        self._folders = folders
        self._read: tuple[object, PromptFile] | None = None
        """The file as it was read last, and what it looked like then."""
        self._check_names(template, f"prompt {prompt_id!r}")

    def __repr__(self) -> str:
        return f"<Prompt {self.id!r}>"

    def resolve(
        self,
        variables: Variables | Mapping[str, object] | None = None,
        *,
        version: str | int | None = None,
        label: str | None = None,
    ) -> ResolvedPrompt:
        """Return the prompt with `variables` filled in.

        Taken is the `version` that is asked for; else the override, while there is one; else the
        version with the `label`; else the current one, which is the code's unless the file says
        otherwise.

        Raises:
            InvalidInput: There is no such version or label, or the variables do not fit.
            SettingInvalid: The prompt's file makes no sense.
        """
        file = self._file()
        chosen = self._choose(file, None if version is None else str(version), label)
        template = chosen.template if chosen.template is not None else self._template
        labels = chosen.labels
        if chosen.name == file.current:
            labels = (CURRENT, *labels)
        return ResolvedPrompt(
            prompt_id=self.id,
            text=self._filled(template, variables),
            version=chosen.name,
            labels=labels,
            model=chosen.model if chosen.model is not None else self._model,
            config=chosen.config if chosen.config is not None else self._config,
        )

    def versions(self) -> Mapping[str, tuple[str, ...]]:
        """Return the names of all versions with their labels; the override is none.

        Raises:
            SettingInvalid: The prompt's file makes no sense.
        """
        file = self._file()
        found = {CODE: (), **{name: version.labels for name, version in file.versions.items()}}
        return {
            name: (CURRENT, *labels) if name == file.current else labels
            for name, labels in found.items()
        }

    # --- which version ----------------------------------------------------------------------

    def _choose(self, file: PromptFile, version: str | None, label: str | None) -> PromptVersion:
        if version is not None:
            return self._named(file, version)
        if file.override is not None:
            return file.override
        if label is None or label == CURRENT:
            return self._named(file, file.current)
        labelled = file.labelled(label)
        if labelled is None:
            labels = [name for found in file.versions.values() for name in found.labels]
            known = ", ".join(map(repr, (CURRENT, *labels)))
            raise InvalidInput(f"prompt {self.id!r} has no label {label!r}; there are {known}")
        return labelled

    def _named(self, file: PromptFile, version: str) -> PromptVersion:
        found = PromptVersion(CODE) if version == CODE else file.versions.get(version)
        if found is None:
            known = ", ".join(map(repr, (CODE, *file.versions)))
            raise InvalidInput(f"prompt {self.id!r} has no version {version!r}; there are {known}")
        return found

    def _file(self) -> PromptFile:
        """Return what the prompt's file says now; it is read again when it has changed."""
        for folder in self._folders:
            path = folder / FOLDER / f"{self.id}.toml"
            try:
                stat = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as exc:
                raise SettingInvalid(f"{path}: {exc}") from exc
            looks = (path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._read is None or self._read[0] != looks:
                self._read = (looks, self._checked(path, read_prompt_file(path)))
            return self._read[1]
        return PromptFile()

    def _checked(self, path: Path, file: PromptFile) -> PromptFile:
        """Return `file` when every name in it is one of the prompt's variables."""
        override = (file.override,) if file.override is not None else ()
        for version in (*file.versions.values(), *override):
            if version.template is not None:
                try:
                    self._check_names(version.template, f"version {version.name!r}")
                except InvalidInput as exc:
                    raise SettingInvalid(f"{path}: {exc}") from exc
        return file

    # --- values -----------------------------------------------------------------------------

    def _check_names(self, template: Template, what: str) -> None:
        known = self._variables.names
        unknown = sorted(template.names - known) if known is not None else []
        if unknown:
            raise InvalidInput(
                f"{what} has a place for {unknown[0]!r}, and its variables are "
                f"{', '.join(sorted(known or ())) or 'none'}"
            )

    def _filled(self, template: Template, variables: object) -> str:
        try:
            return template.fill(self._variables.by_name(variables))
        except KeyError as exc:
            raise InvalidInput(f"prompt {self.id!r} needs the variable {exc.args[0]!r}") from None
        except (TypeError, InvalidInput) as exc:
            text = f"the variables of prompt {self.id!r} are not valid: {exc}"
            raise InvalidInput(text) from exc


@overload
def define(
    prompt_id: str,
    text: str,
    *,
    model: str | Model | None = None,
    config: Mapping[str, Any] | None = None,
    description: str = "",
) -> Prompt[Mapping[str, object]]: ...


@overload
def define(
    prompt_id: str,
    text: str,
    *,
    variables: type[Variables],
    model: str | Model | None = None,
    config: Mapping[str, Any] | None = None,
    description: str = "",
) -> Prompt[Variables]: ...


def define(
    prompt_id: str,
    text: str,
    *,
    variables: type[Any] | None = None,
    model: str | Model | None = None,
    config: Mapping[str, Any] | None = None,
    description: str = "",
) -> Prompt[Any]:
    """Return the prompt `prompt_id`.

    Args:
        prompt_id: Names it, and its file: 1 to 128 letters, digits, `.`, `_`, `-`.
        text: The template: `{{name}}` stands for a value, `{{#name}}...{{/name}}` for what is
            between if the value is there and neither false, 0 nor empty.
        variables: A pydantic model, a dataclass or a `TypedDict` of the values (before Python
            3.12 that of `typing_extensions`). They are validated, and a name in the text that it
            does not have is an error at once.
        model: The model that it was written for; a version may name another.
        config: Parameters for the model, as `stream_text` calls them.
        description: What it is for.

    Raises:
        InvalidInput: The id cannot be one, or the template makes no sense.
    """
    if not _ID.fullmatch(prompt_id):
        raise InvalidInput(
            f"{prompt_id!r} cannot be a prompt's id: use 1 to 128 letters, digits, '.', '_' or "
            "'-', beginning with a letter or a digit"
        )
    try:
        template = parse_template(text)
    except InvalidInput as exc:
        raise InvalidInput(f"prompt {prompt_id!r}, {exc}") from exc
    return Prompt(
        prompt_id,
        template,
        model=model,
        config=dict(config or {}),
        description=description,
        variables=variables,
        folders=_folders_of_caller(),
    )


def _folders_of_caller() -> tuple[Path, ...]:
    """Return the folders of who calls `define`."""
    names = sys._getframe(2).f_globals
    file = names.get("__file__")
    return folders_above(file, names.get("__name__", "")) if file else (Path.cwd(),)
