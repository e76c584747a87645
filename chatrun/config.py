"""Settings: a flag, else `CHATRUN_*`, else `chatrun.toml`, else the default.

Everything that may be set is a field of `Settings`. Its name in upper case behind `CHATRUN_` is the
environment variable; its place in `chatrun.toml` stands in its declaration. The environment is
the process's own, filled up from the `.env` file of the project's folder.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from chatrun.errors import SettingInvalid

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "chatrun.toml"
DEFAULT_PORT: Final = 2428

Environ = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Form:
    """Which values a setting takes."""

    allowed: str
    """Ends the sentence "it must be ..."."""
    accepts: Callable[[object], bool]
    """Tells whether a value as TOML has it will do."""
    parse: Callable[[str], object]
    """Reads it from text, as in an environment variable; `ValueError` when it cannot be."""


def _is_whole(value: object, low: int, high: int | None) -> bool:
    if not isinstance(value, int) or isinstance(value, bool):
        return False
    return low <= value and (high is None or value <= high)


def _whole(low: int, high: int | None = None) -> _Form:
    span = f"of at least {low}" if high is None else f"from {low} to {high}"
    return _Form(f"a whole number {span}", lambda value: _is_whole(value, low, high), int)


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e9


def _parse_switch(text: str) -> bool:
    switches = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in switches:
        raise ValueError(text)
    return switches[text.lower()]


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _parse_texts(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _one_of(*names: str) -> _Form:
    quoted = [f'"{name}"' for name in names]
    allowed = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    return _Form(allowed, lambda value: value in names, str)


def _is_store(value: object) -> bool:
    if not isinstance(value, str) or not value:
        return False
    scheme, found, _ = value.partition(":")
    return not found or scheme in _STORES or len(scheme) == 1  # a drive's letter is no scheme


_STORES: Final = ("memory",)
_SECONDS: Final = _Form("a number of seconds above 0", _is_seconds, float)
_SWITCH: Final = _Form("true or false", lambda value: isinstance(value, bool), _parse_switch)
_TEXT: Final = _Form("text", lambda value: isinstance(value, str) and value != "", str)
_TEXTS: Final = _Form('a list of texts, as in ["a", "b"]', _is_texts, _parse_texts)
_STORE: Final = _Form('a folder or "memory:"', _is_store, str)


def _key(place: str, form: _Form, default: object) -> Any:
    section, name = place.split(".")
    return field(default=default, metadata={"section": section, "name": name, "form": form})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that may be set, read once at the start and handed on."""

    folder: Path
    """The project's folder, absolute: where tasks are found and `.chatrun/` is kept."""

    host: str = _key("server.host", _TEXT, "127.0.0.1")
    """The address to listen on. Others than loopback are reachable from the network."""
    port: int = _key("server.port", _whole(0, 65535), DEFAULT_PORT)
    """The port to listen on; 0 takes any free one."""
    allowed_hosts: tuple[str, ...] = _key("server.allowed_hosts", _TEXTS, ())
    """Names besides loopback that a request's `Host` may have, as in "chat.example.com"."""
    allowed_origins: tuple[str, ...] = _key("server.allowed_origins", _TEXTS, ())
    """Origins besides loopback that pages may call from, as in "https://example.com"."""
    task_tokens_open_sessions: Literal["dev", "always", "never"] = _key(
        "server.task_tokens_open_sessions", _one_of("dev", "always", "never"), "dev"
    )
    """Whether a token of a task opens every session of that task; "dev": only in `chatrun dev`."""

    discover_include: tuple[str, ...] = _key("discover.include", _TEXTS, ())
    """Which files may hold tasks, as patterns relative to the project's folder (`*` crosses
    folders); none: every `*.py` but those in hidden folders, virtual environments,
    `node_modules` and `tests`, which are always passed over."""
    discover_exclude: tuple[str, ...] = _key("discover.exclude", _TEXTS, ())
    """Which of them do not, as such patterns."""

    store_url: str = _key("store.url", _STORE, ".chatrun")
    """Where sessions live: a folder, relative to the project's, for the embedded database; or
    "memory:", which forgets everything at the end."""

    workers: int = _key("workers.count", _whole(1, 64), 2)
    """How many processes run the tasks."""

    reload: bool = _key("dev.reload", _SWITCH, True)
    """Whether `chatrun dev` takes up saved files at once."""
    in_process: bool = _key("dev.in_process", _SWITCH, False)
    """Whether `chatrun dev` runs the tasks in the server's own process, for debuggers."""

    max_append_bytes: int = _key("limits.max_append_bytes", _whole(1024), 1024 * 1024)
    """How large a record that a client appends may be."""
    max_request_bytes: int = _key("limits.max_request_bytes", _whole(1024), 8 * 1024 * 1024)
    """How large any other request may be; head starts and `useChat` send whole conversations."""
    stop_grace_s: float = _key("limits.stop_grace_s", _SECONDS, 2.0)
    """How long a stopped turn may take to end before its worker is replaced."""
    slow_reader_s: float = _key("limits.slow_reader_s", _SECONDS, 30.0)
    """How long a reader may take nothing of what is sent before it is disconnected."""


_KEYS: Final = {
    (item.metadata["section"], item.metadata["name"]): item
    for item in fields(Settings)
    if item.metadata
}
_FORMS: Final[Mapping[str, _Form]] = {key.name: key.metadata["form"] for key in _KEYS.values()}
_SECTIONS: Final = tuple(dict.fromkeys(section for section, _ in _KEYS))


def load_settings(
    folder: Path, *, flags: Mapping[str, object] | None = None, environ: Environ | None = None
) -> Settings:
    """Return the settings of the project in `folder`.

    `flags` are what the command line says, by the names of `Settings`; None means not given.
    `environ` is the process's environment unless given.

    Raises:
        SettingInvalid: A setting is unknown or has a value it cannot have, or a file cannot be
            read. The message names the place, the key, the value and what is allowed.
    """
    folder = folder.absolute()
    values = _from_file(folder / FILE)
    values.update(_from_environ(read_environ(folder, environ)))
    for name, value in (flags or {}).items():
        if value is not None:
            flag = f"--{name.replace('_', '-')}"
            values[name] = _checked(value, _FORMS[name], place=flag)
    return Settings(folder=folder, **values)


def read_environ(folder: Path, environ: Environ | None = None) -> dict[str, str]:
    """Return the environment, filled up with what it lacks from the `.env` file of `folder`.

    `environ` is the process's environment unless given; it is left as it is.

    Raises:
        SettingInvalid: The file cannot be read.
    """
    own = dict(os.environ if environ is None else environ)
    path = folder / ".env"
    if not path.is_file():
        return own
    from dotenv import dotenv_values

    try:
        found = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingInvalid(f"{path} cannot be read: {exc}") from exc
    return {name: value for name, value in found.items() if value is not None} | own


def _from_environ(environ: Environ) -> dict[str, Any]:
    found = {}
    for name, form in _FORMS.items():
        variable = f"CHATRUN_{name.upper()}"
        text = environ.get(variable)
        if text is None:
            continue
        try:
            found[name] = _checked(form.parse(text), form, place=variable)
        except ValueError:
            raise _unusable(variable, text, form) from None
    return found


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingInvalid(f"{path} cannot be read: {exc}") from exc
    found: dict[str, Any] = {}
    for section, keys in content.items():
        if section not in _SECTIONS or not isinstance(keys, dict):
            shown = f"[{section}]" if isinstance(keys, dict) else section
            raise _unknown(path, shown, near=section)
        found.update(_from_section(path, section, keys))
    return found


def _from_section(path: Path, section: str, keys: Mapping[str, object]) -> dict[str, Any]:
    found = {}
    for name, value in keys.items():
        if (section, name) not in _KEYS:
            raise _unknown(path, f"[{section}] {name}", near=name, section=section)
        target = _KEYS[section, name].name
        found[target] = _checked(value, _FORMS[target], place=f"{path}: [{section}] {name}")
    return found


def _checked(value: object, form: _Form, *, place: str) -> object:
    if not form.accepts(value):
        raise _unusable(place, value, form)
    if form is _SECONDS and isinstance(value, int):
        return float(value)
    return tuple(value) if isinstance(value, list) else value


def _unusable(place: str, value: object, form: _Form) -> SettingInvalid:
    return SettingInvalid(f"{place} is {value!r}; it must be {form.allowed}")


def _unknown(path: Path, shown: str, *, near: str, section: str = "") -> SettingInvalid:
    """Return the error for `shown`, naming what is most like `near`, else all there is."""
    sections = {name: f"[{name}]" for name in _SECTIONS}
    keys = {name: f"[{place}] {name}" for place, name in _KEYS}
    found = difflib.get_close_matches(near, [*sections, *keys], n=1)
    if found:
        hint = f"did you mean {(keys | sections)[found[0]]}?"
    elif section:
        hint = f"[{section}] has {', '.join(name for place, name in _KEYS if place == section)}"
    else:
        hint = f"there are {', '.join(sections.values())}"
    return SettingInvalid(f"{path}: {shown} is not a setting; {hint}")
