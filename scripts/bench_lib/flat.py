"""One stream as fast as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench_lib.report import Findings, Table, middle, number
from bench_lib.subjects import CHAT, SESSION, all_subjects, check, fake_model, run_load

if TYPE_CHECKING:
    from bench_lib.context import Context


def run(context: Context) -> Findings:
    """Measure every subject, round by round."""
    found = Findings("flat: one stream as fast as it goes")
    count = int(context.pick(15_000, 60_000))
    rates: dict[str, list[float]] = {}
    with (
        fake_model() as url,
        all_subjects(url, with_peers=context.peers, bare=False) as subjects,
    ):
        for _ in context.each_round():
            for subject in subjects:
                load = run_load(subject, f"flat-{count}", chats=1, tokens_each=count)
                streamed_s = check(load, subject).result["streamed_s"]
                rates.setdefault(subject.name, []).append(count / max(streamed_s, 1e-6))
    rows = [(name, number(round(middle(found)))) for name, found in rates.items()]
    found.tables.append(Table(f"{count:,} tokens", ("", "tokens/s"), rows))
    for ours in (CHAT, SESSION):
        found.at_least(f"{ours}: one stream flat out", rates[ours], 25_000, "tokens/s")
    return found
