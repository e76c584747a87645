"""Settings: where they come from, and what is said when one cannot be used."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from chatrun.config import Settings, load_settings, read_environ
from chatrun.errors import SettingInvalid

EXAMPLE = Path(__file__).parent.parent / "chatrun.toml.example"


def write_toml(folder: Path, text: str) -> Path:
    path = folder / "chatrun.toml"
    path.write_text(text)
    return path


def test_without_files_and_variables_every_setting_has_its_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path, environ={}) == Settings(folder=tmp_path)


def test_the_example_shows_every_setting_with_its_default(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    write_toml(tmp_path, text)
    shown = sum(len(section) for section in tomllib.loads(text).values())

    assert load_settings(tmp_path, environ={}) == Settings(folder=tmp_path)
    assert shown == len(fields(Settings)) - 1, "all but the folder"
    for name in set(asdict(Settings(folder=tmp_path))) - {"folder"}:
        assert f"(CHATRUN_{name.upper()}" in text


def test_a_flag_goes_before_a_variable_and_that_before_the_file(tmp_path: Path) -> None:
    write_toml(tmp_path, '[server]\nhost = "a"\nport = 1\n[workers]\ncount = 5\n')
    environ = {"CHATRUN_HOST": "b", "CHATRUN_PORT": "2"}

    settings = load_settings(tmp_path, flags={"port": 3, "workers": None}, environ=environ)

    assert settings == Settings(folder=tmp_path, host="b", port=3, workers=5)


def test_variables_are_read_by_their_forms(tmp_path: Path) -> None:
    environ = {
        "CHATRUN_ALLOWED_ORIGINS": "https://a.test, https://b.test",
        "CHATRUN_RELOAD": "false",
        "CHATRUN_STOP_GRACE_S": "1.5",
        "CHATRUN_STORE_URL": "data/chat",
        "CHATRUN_SOMETHING_ELSE": "is not ours",
    }

    assert load_settings(tmp_path, environ=environ) == Settings(
        folder=tmp_path,
        allowed_origins=("https://a.test", "https://b.test"),
        reload=False,
        stop_grace_s=1.5,
        store_url="data/chat",
    )


def test_the_env_file_fills_up_the_environment_but_does_not_override_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CHATRUN_PORT=1\nCHATRUN_HOST=b\nOPENAI_API_KEY='k'\n")

    settings = load_settings(tmp_path, environ={"CHATRUN_PORT": "2"})

    assert settings == Settings(folder=tmp_path, host="b", port=2)
    assert read_environ(tmp_path, {"CHATRUN_PORT": "2"}) == {
        "CHATRUN_PORT": "2",
        "CHATRUN_HOST": "b",
        "OPENAI_API_KEY": "k",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[server]\nprot = 1", "[server] prot is not a setting; did you mean [server] port?"),
        ("[sever]\nport = 1", "[sever] is not a setting; did you mean [server]?"),
        (
            "[workers]\nzzz = 1",
            "[workers] zzz is not a setting; [workers] has count",
        ),
        (
            "port = 1",
            "port is not a setting; did you mean [server] port?",
        ),
        (
            "[zzz]",
            "[zzz] is not a setting; "
            "there are [server], [discover], [store], [workers], [dev], [limits]",
        ),
        (
            '[server]\nport = "2428"',
            "[server] port is '2428'; it must be a whole number from 0 to 65535",
        ),
        (
            "[server]\nport = 70000",
            "[server] port is 70000; it must be a whole number from 0 to 65535",
        ),
        ("[workers]\ncount = true", "[workers] count is True; it must be a whole number from 1 to"),
        ("[dev]\nreload = 1", "[dev] reload is 1; it must be true or false"),
        ('[server]\nhost = ""', "[server] host is ''; it must be text"),
        (
            '[discover]\ninclude = "a"',
            '[discover] include is \'a\'; it must be a list of texts, as in ["a", "b"]',
        ),
        (
            '[server]\ntask_tokens_open_sessions = "yes"',
            'is \'yes\'; it must be "dev", "always" or "never"',
        ),
        (
            '[store]\nurl = "mysql://a"',
            "[store] url is 'mysql://a'; it must be a folder or \"memory:\"",
        ),
        ("[limits]\nstop_grace_s = 0", "stop_grace_s is 0; it must be a number of seconds above 0"),
        ("[limits]\nmax_append_bytes = 1", "is 1; it must be a whole number of at least 1024"),
        ("[server", "cannot be read: "),
    ],
)
def test_a_wrong_line_of_the_file_is_named_with_what_is_allowed(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = write_toml(tmp_path, text)

    with pytest.raises(SettingInvalid) as caught:
        load_settings(tmp_path, environ={})

    assert str(caught.value).startswith(str(path))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("CHATRUN_PORT", "many", "a whole number from 0 to 65535"),
        ("CHATRUN_PORT", "-1", "a whole number from 0 to 65535"),
        ("CHATRUN_RELOAD", "maybe", "true or false"),
        ("CHATRUN_STOP_GRACE_S", "soon", "a number of seconds above 0"),
    ],
)
def test_a_wrong_variable_is_named_with_what_is_allowed(
    tmp_path: Path, variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingInvalid) as caught:
        load_settings(tmp_path, environ={variable: value})

    assert str(caught.value).startswith(f"{variable} is ")
    assert str(caught.value).endswith(f"; it must be {allowed}")


def test_a_wrong_flag_is_named_with_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid) as caught:
        load_settings(tmp_path, flags={"port": 99999}, environ={})

    assert str(caught.value) == "--port is 99999; it must be a whole number from 0 to 65535"


def test_an_env_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe\x00")

    with pytest.raises(SettingInvalid, match=r"\.env cannot be read"):
        load_settings(tmp_path, environ={})
