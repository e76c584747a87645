"""Packages of agents, which only the tests of bringing them need."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def brought(module: str) -> Any:
    """Return a module of the `agents` group; without it skip the test, or fail it in CI."""
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        what = f"{exc}: scripts/test installs it"
        if os.environ.get("CI"):
            pytest.fail(what, pytrace=False)
        pytest.skip(what)
