"""How many chats at 50 tokens a second are held before tokens come late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench_lib.report import Findings, Table, middle, number
from bench_lib.subjects import (
    AI_SDK,
    CHAT,
    FASTAPI,
    MODEL,
    SESSION,
    all_subjects,
    fake_model,
    run_paced,
)

if TYPE_CHECKING:
    from bench_lib.context import Context
    from bench_lib.subjects import Subject

RATE = 50
LATE_MS = 100
FIRST_GUESS = 80
MOST = 1600


def run(context: Context) -> Findings:
    """Search the limit of every subject, round by round."""
    found = Findings(f"held: chats × {RATE} tokens a second with p99 < {LATE_MS} ms")
    limits: dict[str, list[float]] = {}
    with (
        fake_model() as url,
        all_subjects(url, with_peers=context.peers, bare=False) as subjects,
    ):
        for _ in context.each_round():
            for subject in subjects:
                limits.setdefault(subject.name, []).append(_limit(subject))
    rows = [(name, number(middle(held))) for name, held in limits.items()]
    found.tables.append(Table("held", ("", "chats"), rows))
    found.notes.append(f"client and model take part of the cores; alone they hold {rows[0][1]}")
    for ours in (CHAT, SESSION):
        found.plain(f"{ours}: chats held", limits[ours], "chats")
        for peer, times in ((AI_SDK, 2.0), (FASTAPI, 3.0)):
            if peer in limits:
                ratios = [a / max(b, 1) for a, b in zip(limits[ours], limits[peer], strict=True)]
                found.at_least(f"{ours}: chats held, × {peer}", ratios, times, "×")
    return found


def _limit(subject: Subject) -> int:
    """Return the largest number of chats that was held, to about a tenth."""
    held, failed = 0, 0
    level = FIRST_GUESS * (4 if subject.name == MODEL else 1)
    while not failed or (failed - held) / failed > 0.12:
        # Twice: what others do on the machine must not pass for the limit.
        if _holds(subject, level) or _holds(subject, level):
            held = level
            if held >= MOST:
                break
        else:
            failed = level
        level = (held + failed) // 2 if failed else min(int(held * 1.6), MOST)
        if level < 5:
            break
    return held


def _holds(subject: Subject, level: int) -> bool:
    """Tell whether so many chats are answered in full and in time."""
    load = run_paced(subject, RATE, chats=level, ramp_s=1.5, window_s=2.0, limit_s=20)
    in_time: bool = load.result["age_ms"]["p99"] < LATE_MS
    return in_time and not load.result["broken"]
