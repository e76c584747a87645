"""The packages of tests/npm: whether they are there, and the driver bundled with one major."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal, NoReturn

import pytest

Major = Literal[5, 6, 7]
MAJORS: tuple[Major, ...] = (5, 6, 7)

FOLDER = Path(__file__).parent.parent / "npm"
BUNDLES = FOLDER / "build"


def require_npm() -> None:
    """Skip the running test, or fail it in CI, where Node or the npm packages are missing."""
    if shutil.which("node") is None or not (FOLDER / "node_modules").is_dir():
        _missing("Node.js and the packages of tests/npm are needed: scripts/test installs them")


def require_chromium() -> str:
    """Return where chromium is; skip the running test, or fail it in CI, where it is missing."""
    require_npm()
    return shutil.which("chromium") or _missing("chromium is needed: scripts/test installs it")


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def bundle(major: Major) -> Path:
    """Return the folder that holds `driver.cjs` and `page/` for one major of the AI SDK.

    Made when it is not there yet for the sources as they are; processes may ask at once.
    """
    sources = [FOLDER / "package-lock.json", FOLDER / "bundle.mjs"]
    sources += sorted((FOLDER / "drive").iterdir()) + sorted((FOLDER / "page").iterdir())
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    folder = BUNDLES / f"{major}-{digest}"
    if not folder.is_dir():
        _make_bundle(major, folder)
    return folder


def _make_bundle(major: Major, folder: Path) -> None:
    BUNDLES.mkdir(exist_ok=True)
    outdated = [path for path in BUNDLES.glob(f"{major}-*") if path != folder]
    with tempfile.TemporaryDirectory(dir=BUNDLES) as work:
        made = Path(work, "made")
        subprocess.run(["node", FOLDER / "bundle.mjs", str(major), made], check=True)
        with suppress(OSError):  # another process was faster
            made.rename(folder)
    for path in outdated:
        shutil.rmtree(path, ignore_errors=True)
