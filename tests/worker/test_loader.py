"""Finding the user's files, importing them, and saying what is wrong with which."""

from __future__ import annotations

import os
import py_compile
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatrun.worker.discover import find_task_files
from chatrun.worker.loader import (
    hinted_modules,
    load_tasks,
    module_name,
    project_files,
    task_info,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TASK = """
from chatrun import chat

@chat.task("{id}")
async def answer(turn):
    "Answers."
    return "{id}"
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A project's folder; what was imported from it is forgotten afterwards."""
    before, path, hooks = set(sys.modules), list(sys.path), list(sys.path_hooks)
    yield tmp_path
    sys.path[:], sys.path_hooks[:] = path, hooks
    sys.path_importer_cache.clear()
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(root: Path, **options: tuple[str, ...]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_task_files(root, **options)]


def test_files_that_mention_chatrun_are_found_but_in_folders_that_are_not_the_users(
    root: Path,
) -> None:
    code = "import chatrun"
    write(root, a=code, b__c__d=code, no_mention="x = 1", tests__t=code, node_modules__n=code)
    write(root, venv__lib__v=code, **{".hidden__h": code})
    write(root, mine__lib__w=code)
    (root / "mine" / "pyvenv.cfg").touch()

    assert found(root) == ["a.py", "b/c/d.py"]


def test_include_and_exclude_are_patterns_relative_to_the_folder(root: Path) -> None:
    write(root, a="chatrun", agents__b="chatrun", agents__deep__c="chatrun")

    assert found(root, include=("agents/*",)) == ["agents/b.py", "agents/deep/c.py"]
    assert found(root, exclude=("agents/deep/*",)) == ["a.py", "agents/b.py"]


def test_a_file_is_imported_as_the_module_that_its_place_names() -> None:
    assert module_name(Path("/p"), Path("/p/tasks/chat.py")) == "tasks.chat"
    assert module_name(Path("/p"), Path("/p/pkg/__init__.py")) == "pkg"


def test_tasks_are_collected_with_their_places(root: Path) -> None:
    write(root, tasks__one=TASK.format(id="one"), two=TASK.format(id="two"))

    loaded = load_tasks(root, find_task_files(root))

    infos = {id: task_info(task, root) for id, task in loaded.tasks.items()}
    assert {id: (info.file, info.line, info.description) for id, info in infos.items()} == {
        "one": ("tasks/one.py", 4, "Answers."),
        "two": ("two.py", 4, "Answers."),
    }
    assert loaded.broken == []
    assert project_files(root) == ["tasks/one.py", "two.py"]


def test_a_broken_file_is_named_with_its_line_and_hides_no_other(root: Path) -> None:
    write(root, bad_syntax="import chatrun\ndef x(:\n", good=TASK.format(id="good"))
    write(
        root, bad_name="import chatrun\n\nnot_there\n", bad_exit="import sys, chatrun\nsys.exit(3)"
    )

    loaded = load_tasks(root, find_task_files(root))

    assert list(loaded.tasks) == ["good"]
    broken = {fault.file: (fault.line, fault.code) for fault in loaded.broken}
    assert broken == {
        "bad_exit.py": (2, "sys.exit(3)"),
        "bad_name.py": (3, "not_there"),
        "bad_syntax.py": (2, "def x(:"),
    }
    assert "NameError" in next(f.message for f in loaded.broken if f.file == "bad_name.py")


def test_a_provider_that_the_code_mentions_in_any_spelling_is_to_be_imported_ahead(
    root: Path,
) -> None:
    write(root, task="# from chatrun import OpenAI\nimport chatrun\n")
    load_tasks(root, find_task_files(root))
    missing = {name for name in ("openai",) if name not in sys.modules}

    assert set(hinted_modules(root)) == missing


def test_a_fault_in_a_shared_module_is_shown_where_it_is(root: Path) -> None:
    write(root, shared="value = 1 / 0\n", uses="import chatrun, shared\n")

    (fault,) = load_tasks(root, find_task_files(root)).broken

    assert (fault.file, fault.line, fault.code) == ("shared.py", 1, "value = 1 / 0")


def test_of_two_tasks_with_one_id_the_second_is_refused_and_both_files_are_named(
    root: Path,
) -> None:
    write(root, a=TASK.format(id="same"), b=TASK.format(id="same"))

    loaded = load_tasks(root, find_task_files(root))

    assert task_info(loaded.tasks["same"], root).file == "a.py"
    assert "a.py:4" in loaded.broken[0].message
    assert "b.py:4" in loaded.broken[0].message


def test_a_cached_compilation_of_another_save_is_not_believed(root: Path) -> None:
    write(root, quick="from chatrun import chat\nvalue = 1\n")
    path = root / "quick.py"
    py_compile.compile(str(path))
    stat = path.stat()
    path.write_text(path.read_text().replace("value = 1", "value = 2"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    load_tasks(root, find_task_files(root))

    assert sys.modules["quick"].value == 2


def test_loading_again_in_the_same_process_takes_up_what_was_saved(root: Path) -> None:
    write(root, tasks__one=TASK.format(id="before"))
    before = load_tasks(root, find_task_files(root))
    write(root, tasks__one=TASK.format(id="after"))
    after = load_tasks(root, find_task_files(root))

    assert (list(before.tasks), list(after.tasks)) == (["before"], ["after"])
