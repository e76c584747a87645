"""`scripts/bench` runs and says what it found; how fast anything is, is not tested."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

BENCH = Path(__file__).parent.parent / "scripts/bench"
LIMIT_S = 60


def test_a_benchmark_prints_what_it_found_as_json() -> None:
    done = subprocess.run(
        [BENCH, "start", "--rounds", "1", "--json"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [found["name"] for found in report["findings"]] == [
        "start: how long the first look takes"
    ]
    assert report["failed"] == {}
    measured = {row["what"]: row["raw"] for found in report["findings"] for row in found["rows"]}
    assert measured["chatrun --help"] > 0
    assert measured["chatrun dev: ready line"] > 0
    assert report["machine"]["cores"] >= 1


def test_an_unknown_benchmark_is_wrong_usage() -> None:
    done = subprocess.run(
        [BENCH, "nothing-of-the-kind"], capture_output=True, text=True, timeout=LIMIT_S, check=False
    )

    assert done.returncode == 2
    assert "there is no benchmark 'nothing-of-the-kind'" in done.stderr
