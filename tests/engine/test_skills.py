"""Skills: which folders are some, what the model is told of them, and what it can do with them."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chatrun import ChatTask, Turn, chat, stream_text, tool
from chatrun.engine.skill_files import Skill, find_skills, read_front_matter, read_skill
from chatrun.engine.skill_shell import CommandResult, run_command
from chatrun.engine.skill_tools import beside, read_within
from chatrun.engine.skills import LoadedSkills, Skills, TaskSkills, skills_of
from chatrun.errors import InvalidInput
from chatrun.testing import ScriptedModel, TurnResult, call, harness

if TYPE_CHECKING:
    from collections.abc import Mapping


def write_skill(folder: Path, name: str, description: str = "Does things.") -> Path:
    folder.mkdir(parents=True)
    text = f"---\nname: {name}\ndescription: {description}\n---\n\n# How\n\nLike this.\n"
    (folder / "SKILL.md").write_text(text)
    return folder


# --- SKILL.md -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("name: pdf\ndescription: Reads PDFs.", {"name": "pdf", "description": "Reads PDFs."}),
        ("# a comment\n\nname:   pdf  # not this", {"name": "pdf"}),
        ("description: Use it: always, C# too", {"description": "Use it: always, C# too"}),
        (r'description: "a \"b\" # c" # d', {"description": 'a "b" # c'}),
        ("description: 'it''s # so' # d", {"description": "it's # so"}),
        (r'description: "\d"', {"description": r"\d"}),
        (
            "description: one\n  two\n\n  three\nname: x",
            {"description": "one two\nthree", "name": "x"},
        ),
        ("description:\n  one\n  two", {"description": "one two"}),
        ("description: >-\n  one\n  two\n\n  three", {"description": "one two\nthree"}),
        ("description: |\n    one\n      two\n", {"description": "one\n  two"}),
        ("metadata:\n  name: inner\nname: outer", {"metadata": "name: inner", "name": "outer"}),
        ("allowed-tools:\n- a\nname: # none", {"allowed-tools": "", "name": ""}),
    ],
)
def test_front_matter_is_read_as_yaml_has_it(text: str, fields: Mapping[str, str]) -> None:
    assert read_front_matter(text) == fields


def test_a_skill_is_its_name_its_description_in_one_line_and_the_rest(tmp_path: Path) -> None:
    text = "\ufeff---\r\nname: pdf\r\ndescription: |\r\n  One\r\n  two.\r\n---\r\n\r\n# How\r\n"
    (tmp_path / "SKILL.md").write_bytes(text.encode())

    assert read_skill(tmp_path) == Skill("pdf", "One two.", "# How", tmp_path.resolve())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("# How", "must begin with a line '---', its front matter, and '---'"),
        ("---\nname: a\n", "must begin with a line '---', its front matter, and '---'"),
        ("---\ndescription: a\n---\n", "has no name in its front matter"),
        ("---\nname: a\ndescription:\n---\n", "has no description in its front matter"),
        (b"\xff", "cannot be read: 'utf-8' codec can't decode"),
    ],
)
def test_a_skill_md_that_makes_no_sense_is_refused_by_its_path(
    tmp_path: Path, text: str | bytes, fault: str
) -> None:
    path = tmp_path / "SKILL.md"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(InvalidInput) as refused:
        read_skill(tmp_path)

    assert str(refused.value).startswith(f"{path} {fault}")


# --- which folders --------------------------------------------------------------------------


def test_patterns_name_folders_beside_the_task_or_above_it(tmp_path: Path) -> None:
    write_skill(tmp_path / "skills" / "b", "bee")
    write_skill(tmp_path / "skills" / "a", "ant")
    write_skill(tmp_path / "tasks" / "own", "own")
    (tmp_path / "skills" / "drafts").mkdir()
    (tmp_path / "skills" / "notes.md").touch()
    folders = (tmp_path / "tasks", tmp_path)

    wanted: list[list[str | Path]] = [
        ["skills/*"],
        ["own", "skills/b"],
        ["skills/*", tmp_path / "skills" / "a"],
        [str(tmp_path / "s*" / "b")],
    ]
    names = [[skill.name for skill in find_skills(patterns, folders)] for patterns in wanted]

    assert names == [["ant", "bee"], ["bee", "own"], ["ant", "bee"], ["bee"]]


def test_what_matches_nothing_and_names_given_twice_are_refused(tmp_path: Path) -> None:
    write_skill(tmp_path / "a", "same")
    write_skill(tmp_path / "b", "same")

    with pytest.raises(InvalidInput, match=r"no folder with a SKILL\.md matches the skills 'c'"):
        find_skills(["c"], (tmp_path,))
    with pytest.raises(InvalidInput, match="two skills are called 'same': .*a and .*b"):
        find_skills(["*"], (tmp_path,))


def test_a_task_without_skills_has_none_and_one_with_broken_ones_is_not_declared() -> None:
    def function(turn: Turn[Any]) -> None: ...

    assert skills_of([], function) is None
    for skills in ("no-such-folder/*", ["no-such-folder/*"], Skills(Path("no-such-folder"))):
        with pytest.raises(InvalidInput, match=r"no-such-folder.* in .*tests/engine, .*tests, "):
            skills_of(skills, function)


def test_the_skills_of_a_task_are_those_where_its_file_is(tmp_path: Path) -> None:
    write_skill(tmp_path / "skills" / "clock", "clock")
    program: dict[str, Any] = {"__name__": "tasks.chat"}
    source = compile("def function(turn): ...", str(tmp_path / "tasks" / "chat.py"), "exec")
    exec(source, program)

    found = skills_of("skills/*", program["function"])

    assert found is not None
    assert [skill.name for skill in found.read().skills] == ["clock"]


# --- in a turn ------------------------------------------------------------------------------


class Project:
    """A project with the skill `clock`, and a task that has it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = write_skill(folder / "skills" / "clock", "clock", "Tells the time.")
        (self.clock / "zones.txt").write_text("UTC\n")
        self.skills = TaskSkills(Skills("skills/*", **options), (folder,))

    def task(self, model: ScriptedModel, *own: Any) -> ChatTask[Any]:
        @chat.task("my-chat")
        async def my_chat(turn: Turn[Any]) -> object:
            loaded = await self.skills.load()
            tools = beside(own, loaded.tools)
            return stream_text(model, system=loaded.preamble, tools=tools)

        return my_chat

    async def use(self, tool_name: str, **given: object) -> TurnResult:
        """Have the model call a tool once."""
        model = ScriptedModel([call(tool_name, given), "Done."])
        async with harness(self.task(model)) as h:
            return await h.send("go")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def output_of(turn: TurnResult) -> Any:
    """Return what the turn's tool gave, or the text of its error."""
    for chunk in turn.chunks:
        if chunk["type"] == "tool-output-available":
            return chunk["output"]
        if chunk["type"] == "tool-output-error":
            return chunk["errorText"]
    raise AssertionError(f"no tool has answered: {turn}")


async def test_the_model_is_told_of_the_skills_and_gets_their_tools(project: Project) -> None:
    model = ScriptedModel(["Hello."])
    async with harness(project.task(model)) as h:
        await h.send("hi")
    (request,) = model.requests

    assert request.system == (
        "Available skills (call `loadSkill` to read the full instructions before using one):\n"
        "- clock: Tells the time."
    )
    assert [(spec.name, [*_properties(spec.input_schema)]) for spec in request.tools] == [
        ("loadSkill", ["name"]),
        ("readFile", ["skill", "path"]),
        ("bash", ["skill", "command"]),
    ]


def _properties(schema: Mapping[str, Any]) -> Mapping[str, object]:
    properties: Mapping[str, object] = schema["properties"]
    assert all(isinstance(told, dict) and told["description"] for told in properties.values())
    return properties


async def test_a_skill_s_instructions_are_loaded_by_its_name(project: Project) -> None:
    assert output_of(await project.use("loadSkill", name="clock")) == {
        "name": "clock",
        "description": "Tells the time.",
        "body": "# How\n\nLike this.",
    }
    assert output_of(await project.use("loadSkill", name="lock")) == (
        "there is no skill 'lock'; there are 'clock'"
    )


async def test_a_file_of_a_skill_is_read(project: Project) -> None:
    turn = await project.use("readFile", skill="clock", path="zones.txt")

    assert output_of(turn) == {"content": "UTC\n"}


async def test_a_command_runs_in_the_skill_s_folder(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATRUN_SECRET_KEY", "hidden")
    monkeypatch.setenv("ZONE", "UTC")
    command = 'pwd; cat; echo "$ZONE$CHATRUN_SECRET_KEY" >&2; exit 3'

    turn = await project.use("bash", skill="clock", command=command)

    assert output_of(turn) == {
        "exitCode": 3,
        "stdout": f"{project.clock.resolve()}\n",
        "stderr": "UTC\n",
    }


async def test_a_tool_of_the_task_goes_before_one_of_the_skills(project: Project) -> None:
    @tool
    async def bash(command: str) -> str:
        """Do nothing."""
        return f"not run: {command}"

    model = ScriptedModel([call("bash", {"command": "ls"}), "Done."])
    async with harness(project.task(model, bash)) as h:
        turn = await h.send("go")

    assert output_of(turn) == "not run: ls"
    assert [spec.name for spec in model.requests[0].tools] == ["bash", "loadSkill", "readFile"]


async def test_commands_may_be_asked_about_or_left_out(tmp_path: Path) -> None:
    asking = Project(tmp_path / "ask", bash="ask")
    without = await Project(tmp_path / "off", bash="off").skills.load()
    model = ScriptedModel([call("bash", {"skill": "clock", "command": "echo hi"}), "Done."])
    async with harness(asking.task(model)) as h:
        asked = await h.send("go")
        allowed = await h.approve("call_1")

    assert [chunk["type"] for chunk in asked.chunks if "approval" in chunk["type"]] == [
        "tool-approval-request"
    ]
    assert output_of(allowed) == {"exitCode": 0, "stdout": "hi\n", "stderr": ""}
    assert [tool.name for tool in without.tools] == ["loadSkill", "readFile"]


async def test_what_changes_on_disk_holds_from_the_next_turn_on(project: Project) -> None:
    seen: list[LoadedSkills] = [await project.skills.load(), await project.skills.load()]
    write_skill(project.clock.parent / "abacus", "abacus")
    seen.append(await project.skills.load())
    (project.clock / "SKILL.md").write_text("broken")
    with pytest.raises(InvalidInput, match="must begin with"):
        await project.skills.load()

    assert seen[0] is seen[1]
    assert [skill.name for skill in seen[2].skills] == ["abacus", "clock"]


# --- files ----------------------------------------------------------------------------------


def test_no_path_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = (tmp_path / "skill").resolve()
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "in.txt").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "skill-too").write_text("a neighbour with the same beginning")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    (folder / "fine").symlink_to(folder / "sub")

    assert read_within(folder, "sub/../fine/in.txt") == "inside"
    for path in ("../secret", "../skill-too", "link", "up/secret", str(tmp_path / "secret"), "/"):
        with pytest.raises(InvalidInput, match="is not within the skill's folder"):
            read_within(folder, path)
    os.mkfifo(folder / "pipe")
    for path in ("", ".", "sub", "nothing", "pipe"):
        with pytest.raises(InvalidInput, match="is not a file of the skill"):
            read_within(folder, path)


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (b"x" * 999_998, "x" * 999_998),
        (b"x" * 2_000_000, "x" * 999_998 + "\n…[truncated: the file has 2000000 bytes]"),
        (b"\x01" * 400_000, "\x01" * 166_666 + "\n…[truncated: the file has 400000 bytes]"),
        (b"\xff ok", "\ufffd ok"),
    ],
    ids=["fits", "too long", "too long as JSON", "not text"],
)
def test_a_file_is_cut_to_what_a_chunk_can_hold(tmp_path: Path, content: bytes, kept: str) -> None:
    (tmp_path / "file").write_bytes(content)

    assert read_within(tmp_path.resolve(), "file") == kept


# --- commands -------------------------------------------------------------------------------


async def test_each_stream_is_cut_at_64_kilobytes(tmp_path: Path) -> None:
    command = "head -c 100000 /dev/zero | tr '\\0' x; printf 'é%.0s' $(seq 30000) >&2"

    ran = await run_command(command, tmp_path)

    assert ran == CommandResult(0, "x" * 65_536 + "\n…[truncated 34464 bytes]", "é" * 30_000)


async def test_a_killed_command_has_the_exit_code_that_shells_give_it(tmp_path: Path) -> None:
    assert await run_command("kill -KILL $$", tmp_path) == CommandResult(137, "", "")


async def test_what_a_command_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    began = time.monotonic()
    ran = await run_command("sleep 1000 & echo $!", tmp_path)

    assert ran.exit_code == 0
    assert await ended(int(ran.stdout))
    assert time.monotonic() - began < 10


async def test_output_held_open_by_another_session_is_not_waited_for(tmp_path: Path) -> None:
    command = "setsid sleep 1000 & echo $!; while ! kill -0 $! 2>/dev/null; do :; done"
    ran = await run_command(command, tmp_path)
    child = int(ran.stdout)
    os.kill(child, 9)

    assert ran == CommandResult(0, f"{child}\n", "")


async def test_a_stop_kills_the_command_and_all_that_it_started(project: Project) -> None:
    command = "sleep 1000 & echo $! $$ > ids.new; mv ids.new ids; wait"
    model = ScriptedModel([call("bash", {"skill": "clock", "command": command})])
    ids = project.clock / "ids"
    async with harness(project.task(model)) as h, h.begin("go") as turn:
        async with asyncio.timeout(20):
            while not ids.exists():
                await asyncio.sleep(0.005)
        await h.stop()
        stopped = await turn.done()

    assert stopped.outcome == "stopped"
    assert [await ended(int(process)) for process in ids.read_text().split()] == [True, True]


async def ended(process: int) -> bool:
    """Tell whether a process ends within a few seconds."""
    stat = Path(f"/proc/{process}/stat")
    for _ in range(1000):
        try:
            if stat.read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        await asyncio.sleep(0.005)
    return False
