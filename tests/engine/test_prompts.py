"""Prompts: what their templates make of values, and which version of them is taken."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from chatrun import Turn, chat
from chatrun.engine import prompts
from chatrun.engine.project import folders_above
from chatrun.engine.prompt_text import parse_template
from chatrun.engine.prompts import Prompt, ResolvedPrompt
from chatrun.errors import InvalidInput, SettingInvalid
from chatrun.testing import harness

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# --- templates ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("Plain.", {}, "Plain."),
        ("Hi {{name}}, {{ name }}!", {"name": "Ada"}, "Hi Ada, Ada!"),
        ("{{a}}", {"a": "{{b}}", "b": "no"}, "{{b}}"),
        ("{{#plan}}On {{plan}}.{{/plan}}", {"plan": "Pro"}, "On Pro."),
        ("{{#plan}}On {{plan}}.{{/plan}}", {"plan": ""}, ""),
        ("{{#plan}}On {{plan}}.{{/plan}}", {}, ""),
        ("{{#a}}1{{#b}}2{{/b}}3{{/a}}4", {"a": True, "b": 0}, "134"),
        ("{{#a}}1{{#a}}2{{/a}}3{{/a}}4", {"a": [0]}, "1234"),
        ("{{n}} {{t}} {{f}} {{x}}|", {"n": 3, "t": True, "f": 0.5, "x": None}, "3 true 0.5 |"),
        ("{{d}} {{l}}", {"d": date(2026, 1, 2), "l": ["é"]}, '2026-01-02 ["é"]'),
        ('{"a": {{}}, {{"b": 1}}, {{ a b }}}', {}, '{"a": {{}}, {{"b": 1}}, {{ a b }}}'),
        ("{{{name}}}", {"name": "Ada"}, "{Ada}"),
    ],
)
def test_a_template_is_filled(template: str, values: Mapping[str, object], text: str) -> None:
    assert parse_template(template).fill(values) == text


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("a\n{{#b}}", "line 2: the section 'b' is never closed"),
        ("{{/b}}", "line 1: '{{/b}}' closes no section that is open here"),
        ("{{#a}}{{#b}}{{/a}}{{/b}}", "line 1: '{{/a}}' closes no section that is open here"),
        ("{{user.name}}", "line 1: '{{user.name}}' is not one of {{name}}"),
        ("{{^b}}{{/b}}", "line 1: '{{^b}}' is not one of {{name}}"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused_with_its_line(template: str, fault: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        prompts.define("p", template)

    assert str(refused.value).startswith(f"prompt 'p', {fault}")


# --- variables ------------------------------------------------------------------------------


class Customer(BaseModel):
    name: str
    seats: int = 1
    plan: str | None = None


@dataclass
class Person:
    name: str


class Named(TypedDict, total=False):
    name: str


TEXT = "{{name}} has {{seats}}{{#plan}} on {{plan}}{{/plan}}."


@pytest.mark.parametrize(
    "given", [Customer(name="Ada", seats=2), {"name": "Ada", "seats": "2"}], ids=["model", "dict"]
)
def test_variables_have_the_type_that_was_declared(given: Any) -> None:
    prompt = prompts.define("p", TEXT, variables=Customer)

    assert prompt.resolve(given).text == "Ada has 2."


@pytest.mark.parametrize("kind", [Person, Named])
def test_dataclasses_and_typed_dicts_may_declare_them_too(kind: Any) -> None:
    prompt: Prompt[Any] = prompts.define("p", "{{name}}", variables=kind)

    assert prompt.resolve({"name": "Ada"}).text == "Ada"
    with pytest.raises(InvalidInput, match="place for 'nme', and its variables are name"):
        prompts.define("p", "{{nme}}", variables=kind)


def test_a_type_that_cannot_be_checked_is_named() -> None:
    class Odd:
        pass

    with pytest.raises(InvalidInput, match="of prompt 'p' are not valid: Unable to generate"):
        prompts.define("p", "", variables=Odd).resolve({})


def test_an_object_with_fields_will_do_where_nothing_is_declared() -> None:
    prompt: Prompt[Any] = prompts.define("p", "{{name}}")

    assert prompt.resolve(Person("Ada")).text == "Ada"


def test_a_prompt_without_places_needs_no_values() -> None:
    plain: Prompt[Any] = prompts.define("plain", "Be kind.", description="Manners.")

    assert (plain.resolve().text, plain.description) == ("Be kind.", "Manners.")
    assert repr(plain) == "<Prompt 'plain'>"


def test_variables_that_do_not_fit_are_refused_by_name() -> None:
    typed = prompts.define("p", TEXT, variables=Customer)
    untyped: Prompt[Any] = prompts.define("q", "{{name}}")

    with pytest.raises(InvalidInput, match="of prompt 'p' are not valid: name: Field required"):
        typed.resolve()
    with pytest.raises(InvalidInput, match="prompt 'q' needs the variable 'name'"):
        untyped.resolve({"nme": "Ada"})
    with pytest.raises(InvalidInput, match="'q' are not valid: they must be a mapping"):
        untyped.resolve(3)
    with pytest.raises(InvalidInput, match="'q' are not valid: 'name' is of the type object"):
        untyped.resolve({"name": object()})


@pytest.mark.parametrize("prompt_id", ["", "a/b", "../x", ".x", "x" * 129])
def test_what_cannot_name_a_file_cannot_name_a_prompt(prompt_id: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a prompt's id"):
        prompts.define(prompt_id, "")


# --- versions -------------------------------------------------------------------------------

CODE = """
from chatrun.engine import prompts

greeting = prompts.define("greeting", "Code, {{name}}.", model="demo", config={"top_p": 1})
"""
VERSIONS = """
current = 2

[versions.1]
text = "One, {{name}}."
labels = ["stable", "old"]

[versions.2]
model = "openai:gpt-4o"
config = { temperature = 0.5 }
"""
OVERRIDE = """
[override]
text = "Closed."
"""
ADA = {"name": "Ada"}


class Project:
    """A project whose file in `tasks` defines the prompt `greeting`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "prompts" / "greeting.toml"
        source = folder / "tasks" / "chat.py"
        source.parent.mkdir()
        source.write_text(CODE)
        spec = importlib.util.spec_from_file_location("tasks.chat", source)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.greeting: Prompt[Any] = module.greeting

    def write(self, text: str) -> None:
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_without_a_file_the_text_in_the_code_is_taken(project: Project) -> None:
    assert project.greeting.resolve(ADA) == ResolvedPrompt(
        prompt_id="greeting",
        text="Code, Ada.",
        version="code",
        labels=("current",),
        model="demo",
        config={"top_p": 1},
    )
    assert project.greeting.versions() == {"code": ("current",)}


def test_the_file_says_which_version_is_current_and_leaves_the_rest_to_the_code(
    project: Project,
) -> None:
    project.write(VERSIONS)

    assert project.greeting.resolve(ADA) == ResolvedPrompt(
        prompt_id="greeting",
        text="Code, Ada.",
        version="2",
        labels=("current",),
        model="openai:gpt-4o",
        config={"temperature": 0.5},
    )
    assert project.greeting.versions() == {"code": (), "1": ("stable", "old"), "2": ("current",)}


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        ({}, "2"),
        ({"label": "current"}, "2"),
        ({"label": "stable"}, "1"),
        ({"version": 1}, "1"),
        ({"version": "1", "label": "current"}, "1"),
        ({"version": "code"}, "code"),
    ],
)
def test_a_version_is_asked_for_by_name_or_by_label(
    project: Project, asked: dict[str, Any], version: str
) -> None:
    project.write(VERSIONS)

    assert project.greeting.resolve(ADA, **asked).version == version


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({}, "Closed."),
        ({"label": "stable"}, "Closed."),
        ({"version": 1}, "One, Ada."),
    ],
)
def test_an_override_goes_before_all_but_a_version_by_name(
    project: Project, asked: dict[str, Any], text: str
) -> None:
    project.write(VERSIONS + OVERRIDE)

    assert project.greeting.resolve(ADA, **asked).text == text


def test_an_override_is_labelled_and_can_be_switched_off(project: Project) -> None:
    project.write(OVERRIDE)
    on = project.greeting.resolve(ADA)
    project.write(OVERRIDE + "active = false\n")
    off = project.greeting.resolve(ADA)

    assert (on.version, on.labels, on.model) == ("override", ("override",), "demo")
    assert off.version == "code"


def test_what_is_not_there_is_refused_with_what_is(project: Project) -> None:
    project.write(VERSIONS)

    with pytest.raises(InvalidInput, match="no version '3'; there are 'code', '1', '2'"):
        project.greeting.resolve(ADA, version=3)
    with pytest.raises(InvalidInput, match="no label 'new'; there are 'current', 'stable', 'old'"):
        project.greeting.resolve(ADA, label="new")


def test_the_nearest_file_is_taken_and_read_anew_when_it_changes(project: Project) -> None:
    seen = [project.greeting.resolve(ADA).text]
    project.write("[override]\ntext = 'A'\n")
    seen.append(project.greeting.resolve(ADA).text)
    project.write("[override]\ntext = 'B'\n")
    stat = project.file.stat()
    os.utime(project.file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    seen.append(project.greeting.resolve(ADA).text)
    nearer = project.file.parent.parent / "tasks" / "prompts" / "greeting.toml"
    nearer.parent.mkdir()
    nearer.write_text("[override]\ntext = 'near'\n")
    seen.append(project.greeting.resolve(ADA).text)
    nearer.unlink()
    project.file.unlink()
    seen.append(project.greeting.resolve(ADA).text)

    assert seen == ["Code, Ada.", "A", "B", "near", "Code, Ada."]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a b", "Expected '='"),
        ("x = 1", "the file has 'x'; there may be current, override, versions"),
        ("current = 3", "current is '3', and there is no [versions.3]"),
        ("versions = 3", "versions must be a table"),
        ("[versions]\n1 = 2", "1 must be a table"),
        ("[versions.1]\ntxt = ''", "[versions.1] has 'txt'; there may be text, model"),
        ("[versions.1]\ntext = 3", "text of [versions.1] must be text"),
        ("[versions.1]\ntext = '{{#a}}'", "text of [versions.1], line 1: the section 'a'"),
        ("[versions.1]\nlabels = 'a'", "labels of [versions.1] must be a list of texts"),
        ("[versions.1]\nlabels = ['current']", "write current = '1' instead"),
        ("[versions.1]\nconfig = 1", "config must be a table"),
        ("[versions.code]\ntext = ''", "a version cannot be called 'code'"),
        (
            "[versions.1]\nlabels = ['a']\n[versions.2]\nlabels = ['a']",
            "versions '1' and '2' both have the label 'a'",
        ),
        ("[override]\nlabels = ['a']", "[override] has 'labels'; there may be text, model"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_place(
    project: Project, text: str, fault: str
) -> None:
    project.write(text)

    with pytest.raises(SettingInvalid) as refused:
        project.greeting.resolve(ADA)

    assert str(refused.value).startswith(f"{project.file}: ")
    assert fault in str(refused.value)


def test_a_name_in_the_file_that_is_no_variable_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompts" / "p.toml"
    path.parent.mkdir()
    path.write_text("[override]\ntext = '{{nme}}'\n")
    typed = Prompt(
        "p",
        parse_template("{{name}}"),
        model=None,
        config={},
        description="",
        variables=Customer,
        folders=(tmp_path,),
    )

    with pytest.raises(SettingInvalid, match=r"p\.toml: version 'override' has a place for 'nme'"):
        typed.resolve(Customer(name="Ada"))


def test_a_file_that_cannot_be_read_is_refused(project: Project) -> None:
    project.file.mkdir(parents=True)
    with pytest.raises(SettingInvalid, match="Is a directory"):
        project.greeting.resolve(ADA)

    project.file.rmdir()
    project.file.symlink_to(project.file)
    with pytest.raises(SettingInvalid, match="symbolic links"):
        project.greeting.resolve(ADA)


# --- where files are ------------------------------------------------------------------------


def test_a_project_ends_where_its_marker_or_its_modules_begin(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    unmarked = [
        folders_above(inner / "c.py", "b.c"),
        folders_above(inner / "__init__.py", "b"),
        folders_above(inner / "c.py", "__main__"),
    ]
    inner.mkdir(parents=True)
    (tmp_path / "chatrun.toml").touch()
    marked = folders_above(inner / "c.py", "__main__")

    assert unmarked == [(inner, inner.parent), (inner, inner.parent), (inner,)]
    assert marked == (inner, inner.parent, tmp_path)


async def test_a_task_may_take_its_instructions_and_its_answer_from_a_prompt() -> None:
    greeting = prompts.define("greeting", "Hello {{name}}.", variables=Customer)

    @chat.task("my-chat", client_data=Customer)
    async def my_chat(turn: Turn[Customer]) -> str:
        return str(greeting.resolve(turn.client_data))

    async with harness(my_chat, client_data={"name": "Ada"}) as h:
        assert (await h.send("hi")).text == "Hello Ada."
