"""Imports the user's files and collects the tasks they declare."""

from __future__ import annotations

import importlib
import linecache
import sys
import traceback
from dataclasses import dataclass, field
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from chatrun.engine.declare import collect_tasks
from chatrun.worker.protocol import BrokenFile, TaskInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import PathEntryFinder
    from types import TracebackType

    from chatrun.engine.task import ChatTask


@dataclass(slots=True)
class Loaded:
    """What came of importing a project."""

    tasks: dict[str, ChatTask[Any]] = field(default_factory=dict)
    broken: list[BrokenFile] = field(default_factory=list)


def load_tasks(root: Path, files: Sequence[Path]) -> Loaded:
    """Import `files`, each as the module that its place under `root` names.

    `root` goes first on `sys.path`. A file that cannot be imported never hides the others: it is
    reported. So is the second of two tasks with one id, with both places.
    """
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    _read_sources_of(root)
    _forget_modules_of(root)
    importlib.invalidate_caches()
    loaded = Loaded()
    for path in files:
        with collect_tasks() as declared:
            try:
                importlib.import_module(module_name(root, path))
            except KeyboardInterrupt:
                raise
            except BaseException as exc:  # a module may raise anything, SystemExit included
                loaded.broken.append(describe_failure(exc, root=root, path=path))
                continue
        for task in declared:
            _add(loaded, task, root)
    return loaded


class _SourceLoader(SourceFileLoader):
    """Compiles the source as it is now.

    A cached compilation counts as fresh when its source has the same size and was saved within
    the same second: two quick saves, and the old code would run.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code = self.source_to_code(self.get_data(path), path)
        assert isinstance(code, CodeType)
        return code


def _forget_modules_of(root: Path) -> None:
    """Have the project imported anew, where an earlier version lives in the same process."""
    for name, module in list(sys.modules.items()):
        if name != "__main__" and is_users(getattr(module, "__file__", None) or "/", root):
            del sys.modules[name]


def _read_sources_of(root: Path) -> None:
    """Have modules under `root` compiled from their sources in this process, always."""
    find = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES), (_SourceLoader, SOURCE_SUFFIXES)
    )

    def hook(folder: str) -> PathEntryFinder:
        if not is_users(folder or str(Path.cwd()), root):
            raise ImportError("not of the project")
        return find(folder)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


def module_name(root: Path, path: Path) -> str:
    """Return the dotted name that imports `path` with `root` on `sys.path`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _add(loaded: Loaded, task: ChatTask[Any], root: Path) -> None:
    first = loaded.tasks.setdefault(task.id, task)
    if first is not task:
        message = (
            f"task {task.id!r} is declared twice: {_place(first, root)} has it, so this one at "
            f"{_place(task, root)} is not served; give one of them another id"
        )
        loaded.broken.append(BrokenFile(relative(task.file, root), task.line, message))


def _place(task: ChatTask[Any], root: Path) -> str:
    return f"{relative(task.file, root)}:{task.line}"


def task_info(task: ChatTask[Any], root: Path) -> TaskInfo:
    """Return what the server is told of `task`; its file is relative to `root`."""
    return TaskInfo(
        id=task.id,
        file=relative(task.file, root),
        line=task.line,
        description=task.description,
        on_disconnect=task.options.on_disconnect,
        busy=task.options.busy,
    )


def relative(file: str, root: Path) -> str:
    """Return `file` as it is written from `root`; as it is when it lies elsewhere."""
    try:
        return Path(file).resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return file


def project_files(root: Path) -> list[str]:
    """Return the files under `root` that imported modules came from, relative to it."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return sorted({relative(file, root) for file in files if file and is_users(file, root)})


def other_modules(root: Path) -> list[str]:
    """Return the modules that were imported from elsewhere, in the order of their imports."""
    return [
        name
        for name, module in list(sys.modules.items())
        if getattr(module, "__spec__", None) is not None
        and name != "__main__"
        and not is_users(getattr(module, "__file__", None) or "/", root)
    ]


def hinted_modules(root: Path) -> list[str]:
    """Return the provider packages that the project's files mention but have not imported.

    They are imported by the first model call, which takes a second.
    """
    files = project_files(root)
    text = "".join((root / file).read_text("utf-8", "ignore") for file in files).lower()
    return [name for name in ("anthropic", "openai") if name in text and name not in sys.modules]


def is_users(file: str, root: Path) -> bool:
    """Tell whether `file` is the project's own, and not of a virtual environment within it."""
    path = Path(file)
    return path.is_relative_to(root) and "site-packages" not in path.relative_to(root).parts


def describe_failure(exc: BaseException, *, root: Path, path: Path) -> BrokenFile:
    """Return what is wrong with `path` in one sentence, with the line of the user's at fault."""
    if isinstance(exc, SyntaxError) and exc.filename is not None:
        file, line, code = relative(exc.filename, root), exc.lineno, (exc.text or "").strip()
        text = f"{type(exc).__name__}: {exc.msg}"
    else:
        file, line = _user_frame(exc.__traceback__, root) or (relative(str(path), root), None)
        code = linecache.getline(str(root / file), line).strip() if line is not None else ""
        text = "".join(traceback.format_exception_only(exc)).strip()
    where = f"{file}:{line}" if line is not None else file
    return BrokenFile(file, line, f"{where} cannot be imported: {text}", code, _trace(exc, root))


def _user_frame(trace: TracebackType | None, root: Path) -> tuple[str, int] | None:
    """Return file and line of the innermost frame that is the user's."""
    found: tuple[str, int] | None = None
    for frame, line in traceback.walk_tb(trace):
        name = frame.f_code.co_filename
        if is_users(name, root):
            found = (relative(name, root), line)
    return found


def _trace(exc: BaseException, root: Path) -> str:
    frames = [
        frame for frame in traceback.extract_tb(exc.__traceback__) if is_users(frame.filename, root)
    ]
    return "".join(traceback.format_list(frames))
