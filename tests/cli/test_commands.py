"""The commands that need no server."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import chatrun as package
from chatrun.cli.main import main
from chatrun.wire.tokens import verify
from tests.cli.running import Ran, chatrun
from tests.support.talkative import OTHER, TALKATIVE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Invoke = Callable[..., Ran]


@pytest.fixture
def invoke(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Invoke:
    """Runs the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHATRUN_SECRET_KEY", raising=False)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))

    def run(*args: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["chatrun", *args])
        with pytest.raises(SystemExit) as exit_:
            main()
        out, err = capsys.readouterr()
        return Ran(int(exit_.value.code or 0), out, err)

    return run


def test_the_version_is_the_packages(invoke: Invoke) -> None:
    ran = invoke("--version")

    assert (ran.code, ran.out) == (0, f"chatrun {package.__version__}\n")


def test_without_arguments_the_commands_are_listed(invoke: Invoke) -> None:
    ran, asked = invoke(), invoke("-h")

    for name in ("dev", "chat", "token", "init", "tasks", "sessions", "logs", "serve"):
        assert f"\n  {name} " in ran.out + ran.err
        assert f"\n  {name} " in asked.out
    assert (ran.code, asked.code) == (2, 0)


HEAVY = {"aiohttp", "anthropic", "asyncio", "jwt", "openai", "orjson", "prompt_toolkit", "rich"}


@pytest.mark.parametrize(
    ("args", "heavy"),
    [
        (["--help"], HEAVY | {"pydantic"}),
        # typer itself checks values with pydantic.
        (["dev", "--help"], HEAVY),
        (["chat", "--help"], HEAVY),
        (["--version"], HEAVY),
    ],
)
def test_help_loads_nothing_heavy(args: list[str], heavy: set[str]) -> None:
    program = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print('LOADED', *({heavy!r} & set(sys.modules))))\n"
        f"sys.argv = ['chatrun', *{args!r}]\n"
        "from chatrun.cli.main import main\n"
        "main()\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[-1] == "LOADED"


def test_what_cannot_be_used_is_named_in_a_sentence(tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / "chatrun.toml").write_text("[server]\nprot = 1\n")

    for args in (["dev"], ["serve"], ["tasks"]):
        ran = invoke(*args)
        assert ran.code == 2
        assert ran.err == (
            f"chatrun: {tmp_path}/chatrun.toml: [server] prot is not a setting; "
            "did you mean [server] port?\n"
        )


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["dev", "nowhere"], "'nowhere' is no folder"),
        (["dev", "--port", "many"], "Invalid value for '--port'"),
        (["token", "my-chat", "--ttl", "soon"], "'soon' is no span of time"),
        (["token", "my chat"], "'my chat' cannot be a task's id"),
        (["token", "my-chat", "--read-only"], "needs --session"),
        (["chat", "a", "b", "--session", "x", "--continue"], "cannot be used with --continue"),
        (["chat", "a"], "is empty: give MESSAGE, or pipe one in"),
    ],
)
def test_wrong_usage_is_exit_code_2(invoke: Invoke, args: list[str], complaint: str) -> None:
    ran = invoke(*args)

    assert ran.code == 2
    assert complaint in ran.err
    assert "Traceback" not in ran.err


def test_a_token_alone_goes_to_stdout(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATRUN_SECRET_KEY", "s")

    ran = invoke("token", "my-chat", "--ttl", "15m")

    assert ran.code == 0
    assert verify(ran.out.removesuffix("\n"), "s").scopes == ("trigger:tasks:my-chat",)
    assert ran.err.startswith("permits trigger:tasks:my-chat; good until 20")
    assert not (tmp_path / ".chatrun").exists()


def test_a_token_of_a_session_reads_and_unless_told_otherwise_writes(
    tmp_path: Path, invoke: Invoke
) -> None:
    args = ["token", "my-chat", "--session", "c:1", "--json"]
    whole = invoke(*args)
    reading = invoke(*args, "--read-only")
    secret = (tmp_path / ".chatrun/secret").read_text().strip()

    told = json.loads(whole.out)
    assert told["scopes"] == ["read:sessions:c:1", "write:sessions:c:1"]
    assert verify(told["token"], secret).scopes == tuple(told["scopes"])
    assert set(told) == {"token", "scopes", "expiresAt"}
    assert json.loads(reading.out)["scopes"] == ["read:sessions:c:1"]


def test_the_secret_may_stand_in_the_env_file(tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / ".env").write_text("CHATRUN_SECRET_KEY=from-file\n")

    ran = invoke("token", "my-chat")

    assert verify(ran.out.strip(), "from-file").scopes == ("trigger:tasks:my-chat",)


async def test_a_starter_project_is_written_and_nothing_in_it_overwritten(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new/README.md").write_text("mine")

    ran = await chatrun("init", "new", folder=tmp_path)

    written = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert written == [
        "new/.env.example",
        "new/.gitignore",
        "new/README.md",
        "new/chatrun.toml",
        "new/tasks/chat.py",
    ]
    assert ran.code == 0
    assert "kept   new/README.md" in ran.err
    assert (tmp_path / "new/README.md").read_text() == "mine"
    listed = await chatrun("tasks", "new", folder=tmp_path)
    assert (listed.code, listed.out.split()[0]) == (0, "my-chat")


async def test_tasks_are_listed_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALKATIVE)
    (tmp_path / "other.py").write_text("print('noise')\n" + OTHER)

    ran, as_json = (
        await chatrun("tasks", folder=tmp_path),
        await chatrun("tasks", "--json", folder=tmp_path),
    )

    assert ran.code == 0
    assert ran.out.splitlines() == ["other  other.py:6", "talk   talk.py:11  Does what it is told."]
    assert ran.err == "noise\n"
    assert [task["id"] for task in json.loads(as_json.out)["tasks"]] == ["other", "talk"]


async def test_a_broken_file_is_told_and_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALKATIVE)
    (tmp_path / "bad.py").write_text("import chatrun\nx = (\n")

    ran = await chatrun("tasks", folder=tmp_path)

    assert ran.code == 1
    assert ran.out.startswith("talk ")
    assert ran.err.startswith("chatrun: bad.py:2 cannot be imported: SyntaxError")


async def test_sessions_are_read_from_the_store_where_no_server_runs(tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(TALKATIVE)
    asked = await chatrun("chat", "talk", "hello", folder=tmp_path)
    listed = await chatrun("sessions", "list", "--json", folder=tmp_path)
    chat_id = json.loads(listed.out)["externalId"]
    shown = await chatrun("sessions", "show", chat_id, folder=tmp_path)
    closed = await chatrun("sessions", "close", chat_id, "--reason", "done", folder=tmp_path)
    missing = await chatrun("sessions", "show", "nope", folder=tmp_path)

    assert (asked.code, asked.out, asked.err) == (0, "You said: hello\n", "")
    assert not (tmp_path / ".chatrun/server.json").exists(), "the server ended with the chat"
    assert shown.out.splitlines()[1:] == ["", "you: hello", "", "task: You said: hello"]
    assert "closed (done)" in closed.out
    assert missing.code == 1
    assert missing.err.startswith("chatrun: ")
    assert "nope" in missing.err
