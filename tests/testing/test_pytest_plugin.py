"""The pytest plugin, in a pytest of its own, as a project that has chatrun installed runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

TASK = """
from chatrun import Turn, chat, stream_text

MODEL = "openai:gpt-4o"

@chat.task("my-chat")
async def my_chat(turn: Turn):
    return stream_text(MODEL)
"""
TEST = """
from tasks.chat import my_chat

async def test_it_greets(chat_harness, scripted_model, monkeypatch):
    monkeypatch.setattr("tasks.chat.MODEL", scripted_model(["Hello."]))
    async with chat_harness(my_chat) as chat:
        assert (await chat.send("hi")).text == "Hello."
"""


def run_pytest(folder: Path, *options: str) -> str:
    # Without the plugins that happen to be installed here: those of this test are named.
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.stdout + ran.stderr


def test_its_fixtures_drive_a_project_s_task(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "chat.py").write_text(TASK)
    (tmp_path / "test_chat.py").write_text(TEST)
    options = ("-p", "chatrun.testing.plugin", "-p", "anyio", "-o", "anyio_mode=auto")

    output = run_pytest(tmp_path, *options, "-W", "error", "-k", "asyncio or test_it")

    assert "1 passed" in output, output


def test_it_does_not_touch_tests_that_do_not_ask_for_it(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_nothing():\n    pass\n")

    output = run_pytest(tmp_path, "-p", "chatrun.testing.plugin", "-W", "error")

    assert "1 passed" in output, output


def test_loading_it_imports_nothing_but_itself() -> None:
    program = """
import sys, pytest
before = set(sys.modules)
import chatrun.testing.plugin
print(*sorted(set(sys.modules) - before))
"""
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )

    assert loaded.stdout.split() == ["chatrun", "chatrun.testing", "chatrun.testing.plugin"]


def test_pytest_finds_it_where_chatrun_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"chatrun": "chatrun.testing.plugin"}
