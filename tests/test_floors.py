"""The floors of the house: who may import whom, and which packages load only when needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUSE = Path(__file__).parent.parent / "chatrun"

# Low to high. What stands on a floor sees the floors beneath it and nothing beside or above it.
FLOORS = (
    {"errors", "aio"},
    {"wire"},
    {"messages"},
    {"store", "models"},
    {"ai"},
    {"engine"},
    {"worker", "server", "client", "config"},
    {"testing", "dev", "chat"},
    {"cli"},
    {"__main__"},
)
LEVEL = {part: level for level, parts in enumerate(FLOORS) for part in parts}
BESIDE = {("server", "worker")}  # the server minds the workers

# Heavy packages, and the files of chatrun that may import them.
HEAVY = {
    "aiohttp": ("server/**", "client/**"),
    "typer": ("cli/**",),
    "rich": ("cli/**",),
    "prompt_toolkit": ("cli/**",),
    "anthropic": ("models/anthropic*",),
    "openai": ("models/openai*",),
    "asyncpg": ("store/postgres*",),
    "sqlite3": ("store/sqlite*",),
    "watchfiles": ("dev/watch*",),
    "opentelemetry": ("ai/otel*",),
}

FILES = sorted(path.relative_to(HOUSE) for path in HOUSE.rglob("*.py"))


def imported_names(file: PurePath) -> Iterator[str]:
    """Yield every dotted name that `file` imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse((HOUSE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str | None:
    """Return which part of chatrun a name belongs to; None if not ours or just the version."""
    package, _, rest = name.partition(".")
    part = rest.partition(".")[0]
    return part if package == "chatrun" and not part.startswith("__") and part else None


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_only_go_down_the_floors(file: PurePath) -> None:
    part = PurePath(file.parts[0]).stem
    if part == "__init__":
        return  # the public names, gathered from every floor
    assert part in LEVEL, f"{part} has no place in FLOORS"

    wrong = [
        name
        for name in imported_names(file)
        if (other := part_of(name)) not in {None, part}
        and (part, other) not in BESIDE
        and LEVEL.get(other or "", len(FLOORS)) >= LEVEL[part]
    ]

    assert wrong == []


@pytest.mark.parametrize("file", FILES, ids=str)
def test_heavy_packages_are_imported_only_where_they_belong(file: PurePath) -> None:
    wrong = [
        name
        for name in imported_names(file)
        if (places := HEAVY.get(name.partition(".")[0])) is not None
        and not any(belongs(file, place) for place in places)
    ]

    assert wrong == []


def belongs(file: PurePath, place: str) -> bool:
    """Tell whether `file` is `place`, which may end in `*`, or in the folder `place` (`…/**`)."""
    if place.endswith("/**"):
        return file.parts[0] == place.removesuffix("/**")
    return file.match(place) or file.match(f"{place}/*.py")


def test_importing_chatrun_loads_no_heavy_package() -> None:
    program = f"import sys, chatrun; print(*sorted(set(sys.modules) & {set(HEAVY)!r}))"

    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert loaded.stdout.split() == []
