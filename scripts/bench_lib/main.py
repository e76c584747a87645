"""Which benchmarks to run, how often, and what to print."""

from __future__ import annotations

import argparse
import http.client
import importlib
import json
import sys
import time
from typing import Any

from bench_lib import peers
from bench_lib.context import Context
from bench_lib.processes import BenchFailed
from bench_lib.report import Findings, print_findings, print_noise

BENCHES = {
    "chunk": "cost per chunk, added latency and time to first token",
    "flat": "one stream as fast as it goes",
    "replay": "a long answer from the store to one client",
    "held": "how many chats at once before tokens come late (with --full or by name)",
    "reload": "save → the next reply from the new code, with a stream open",
    "stop": "stop → the model's socket closed",
    "start": "--help, ready to serve, imports, install size",
    "idle": "memory of idle streams and sessions",
    "isolation": "other sessions while one task blocks",
    "append": "a durable append over HTTP",
    "history": "cost of a turn against the number of turns before it",
}
ONLY_FULL = {"held"}
FAULTS = (BenchFailed, OSError, http.client.HTTPException)
"""What ends one benchmark and not the others: a server that does not answer, on the whole."""


def main() -> int:
    """Run what was asked for; 1 when something could not be measured, never for being slow."""
    options = _options()
    if options.peers:
        peers.install()
    context = Context(rounds=options.rounds, full=options.full, peers=options.peers)
    names = options.names or [n for n in BENCHES if options.full or n not in ONLY_FULL]
    done: list[Findings] = []
    failed: dict[str, str] = {}
    for name in names:
        began = time.monotonic()
        _say(f"{name}: {BENCHES[name]} …")
        try:
            found: Findings = importlib.import_module(f"bench_lib.{name}").run(context)
        except FAULTS as exc:
            failed[name] = f"{type(exc).__name__}: {exc}"
            _say(f"{name} could not be measured: {exc}")
            continue
        found.notes.append(f"measured in {time.monotonic() - began:.0f} s")
        done.append(found)
        if not options.json:
            print_findings(found)
    _finish(context, done, failed, as_json=options.json)
    return 1 if failed else 0


def _options() -> Any:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure what chatrun promises. Nothing is asserted.",
        epilog="\n".join(f"  {name:10} {text}" for name, text in BENCHES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which ones; all when none is given"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--full", action="store_true", help="measure longer, and more of it")
    parser.add_argument(
        "--peers",
        action="store_true",
        help=f"compare with the AI SDK, FastAPI, pydantic-ai and uvicorn; installs them in "
        f"{peers.cache_folder()}",
    )
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(BENCHES)):
        parser.error(f"there is no benchmark {unknown[0]!r}")
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def _finish(
    context: Context, done: list[Findings], failed: dict[str, str], *, as_json: bool
) -> None:
    context.noise.look()
    noise = context.noise.report()
    if as_json:
        found = [findings.to_json() for findings in done]
        print(json.dumps({"findings": found, "failed": failed, "machine": noise}, indent=2))
        return
    rows = [row for findings in done for row in findings.rows if row.stands is not None]
    missed = [row for row in rows if not row.stands]
    print_noise(noise)
    print(f"{len(rows) - len(missed)} of {len(rows)} goals stand.")
    for row in missed:
        print(f"  missed: {row.what}: {row.value}, goal {row.goal}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
