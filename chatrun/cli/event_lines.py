"""An event as one line for people, from its JSON: that of `--json`, or a record of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatrun.cli.chat.safe import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Told = Mapping[str, Any]


def event_line(told: Told) -> str:
    """Return what happened, without the time; nothing in it can steer a terminal."""
    name = str(told["event"])
    say = _SAY.get(name)
    try:
        said = say(told) if say is not None else name
    except (KeyError, TypeError, ValueError):  # a record of another version
        said = name
    where = [str(told[key]) for key in ("task_id", "chat_id") if told.get(key)]
    return safe_line(" ".join([*where, said]))


def _run_started(told: Told) -> str:
    notes = [note for note in ("continuation", "preloaded") if told.get(note)]
    return f"run {told.get('run_id', '')} started{_behind(notes)}"


def _run_ended(told: Told) -> str:
    turns = told["turns"]
    counted = "1 turn" if turns == 1 else f"{turns} turns"
    notes = [f"{told['took_s']:.1f} s", counted]
    return f"run {told.get('run_id', '')} ended: {told['reason']}{_behind(notes)}{_why(told)}"


def _turn_started(told: Told) -> str:
    return f"turn {told['turn']} started"


def _turn_ended(told: Told) -> str:
    where = f" · {told['where']}" if told.get("where") else ""
    return f"turn {told['turn']} {told['outcome']} ({told['took_s']:.1f} s){_why(told)}{where}"


def _step_ended(told: Told) -> str:
    notes = [f"{told['took_s']:.1f} s"]
    if told.get("first_chunk_s") is not None:
        notes.append(f"first chunk {told['first_chunk_s']:.2f} s")
    usage = told.get("usage") or {}
    if usage:
        notes.append(f"{usage.get('inputTokens', '?')} → {usage.get('outputTokens', '?')} tokens")
    reason = told.get("finish_reason") or "broke off"
    step = f"turn {told['turn']} step {told['step']} {told['model']}"
    return f"{step} {reason}{_behind(notes)}{_why(told)}"


def _called(told: Told) -> str:
    kind = "tool" if told["event"] == "tool-ended" else "hook"
    function = f" {told['function']}" if told.get("function") else ""
    ended = "ran" if told["ok"] else "failed"
    took = f"({told['took_s']:.2f} s)"
    return f"turn {told['turn']} {kind} {told['name']}{function} {ended} {took}{_why(told)}"


def _ready(told: Told) -> str:
    return f"ready at {told['url']} ({told['took_s']:.2f} s): {', '.join(told['tasks'])}"


def _reloaded(told: Told) -> str:
    return f"reloaded {', '.join(told['changed'])} ({told['took_s'] * 1000:.0f} ms)"


def _not_reloaded(told: Told) -> str:
    return f"not reloaded, the last good code answers: {', '.join(told['where'])}"


_SAY: Mapping[str, Callable[[Told], str]] = {
    "run-started": _run_started,
    "run-ended": _run_ended,
    "turn-started": _turn_started,
    "turn-ended": _turn_ended,
    "step-ended": _step_ended,
    "tool-ended": _called,
    "hook-ended": _called,
    "ready": _ready,
    "reloaded": _reloaded,
    "reload-failed": _not_reloaded,
    "file-broken": lambda told: f"{told['where']} cannot be imported",
    "worker-died": lambda told: f"a worker {told['why']}; another takes over its chats",
    "stopping": lambda told: f"stopping with {told['open_turns']} open turns",
    "events-lost": lambda told: f"{told['count']} events were not logged: the disk was too slow",
}


def _behind(notes: list[str]) -> str:
    return f" ({', '.join(notes)})" if notes else ""


def _why(told: Told) -> str:
    return f": {told['error_type']}" if told.get("error_type") else ""
