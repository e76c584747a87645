"""The real `ai` package as a judge: jobs in, what it says out.

`oracle.mjs` of tests/npm answers about messages and chunks, `providers.mjs` about the wires of
models.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Literal

from tests.support.npm import FOLDER, require_npm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chatrun.wire.chunks import Profile

Sdk = Literal[6, 7]
PROFILES: dict[Sdk, Profile] = {6: "v6", 7: "v7"}

CASES = int(os.environ.get("CHATRUN_FUZZ", "2000"))
"""How many random cases a comparison has."""
SEED = os.environ.get("CHATRUN_FUZZ_SEED", "1")
"""What the random cases are made from; the same seed makes the same cases."""


def ask(jobs: Sequence[dict[str, Any]], *, script: str = "oracle.mjs") -> list[Any]:
    """Return the package's answers to `jobs`, in order.

    Half a surrogate pair, which Python cannot write as JSON, comes back as U+FFFD.
    """
    require_npm()
    # One Node for each 5,000: its answers are held in memory.
    batches = (jobs[start:][:5000] for start in range(0, len(jobs), 5000))
    return [answer for batch in batches for answer in _ask(batch, script)]


def _ask(jobs: Iterable[dict[str, Any]], script: str) -> Iterable[Any]:
    done = subprocess.run(
        ["node", FOLDER / script],
        input="".join(f"{json.dumps(job)}\n" for job in jobs).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    for line in done.stdout.splitlines():
        answer = json.loads(line)
        yield _well_formed(answer) if b"\\ud" in line else answer


def _well_formed(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case list():
            return [_well_formed(item) for item in value]
        case dict():
            return {_well_formed(key): _well_formed(item) for key, item in value.items()}
        case _:
            return value
