"""What a worker reports of runs, turns, steps, tools and hooks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from chatrun import ChatTask, Turn, chat, stream_text, tool
from chatrun.server.live import Live
from chatrun.store.base import NewSession
from chatrun.store.memory import MemoryStore
from chatrun.testing import Harness
from chatrun.testing.waiting import Signal, plain_group
from chatrun.worker.launch import launch_in_process
from chatrun.worker.loader import Loaded
from chatrun.worker.pool import Pool
from chatrun.worker.protocol import Configure
from tests.support.scripted import Scripted, calls, says

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

WHERE = {"chat_id": "c1", "task_id": "my-chat", "turn": 0}


class Reports:
    """What a worker has reported so far."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self._signal = Signal()

    def take(self, report: Mapping[str, object]) -> None:
        self.all.append(dict(report))
        self._signal.tell()

    async def until(self, event: str) -> list[dict[str, Any]]:
        """Return all of them once the last one is of this event."""
        await self._signal.until(lambda: self.all[-1]["event"] == event, what=event)
        return self.all


@asynccontextmanager
async def reporting(task: ChatTask[Any]) -> AsyncIterator[tuple[Harness, Reports]]:
    """Yield a chat with `task`, and all that its worker reports."""
    reports = Reports()
    async with plain_group() as group:
        live = Live(MemoryStore(), group, on_report=reports.take)
        pool = Pool(
            group,
            launch_in_process(Loaded(tasks={task.id: task})),
            Configure(root="."),
            size=1,
            on_message=live.on_message,
            on_gone=live.on_gone,
            on_ready=live.on_ready,
        )
        live.use(pool)
        await pool.start()
        new = NewSession(task_id=task.id, external_id="c1")
        session, _ = await live.store.create_session(new)
        try:
            yield Harness(live, session), reports
        finally:
            await pool.aclose()


def plain(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report without what differs each time."""
    differs = ("session_id", "run_id", "took_s", "first_chunk_s")
    return {name: value for name, value in report.items() if name not in differs}


async def test_each_part_of_a_turn_is_told_in_its_order_without_what_was_said() -> None:
    @tool
    async def look(at: str) -> str:
        """Look."""
        return f"a secret at {at}"

    model = Scripted(calls("look", look={"at": "a secret"}), says("a secret"))

    @chat.task("my-chat", tools=[look], max_turns=1)
    async def my_chat(turn: Turn[Any]) -> Any:
        return stream_text(model)

    @my_chat.on_turn_start
    async def greet(event: Any) -> None:
        pass

    async with reporting(my_chat) as (h, reports):
        await h.send("a secret")
        told = await reports.until("run-ended")

    usage = {
        "inputTokens": 10,
        "inputTokenDetails": {},
        "outputTokens": 1,
        "outputTokenDetails": {},
        "totalTokens": 11,
    }
    step = {"model": "scripted", "ok": True, "usage": usage, "error_type": None}
    fine = {"ok": True, "error_type": None}
    assert [plain(report) for report in told] == [
        {"event": "run-started", **WHERE, "continuation": False, "preloaded": False},
        {"event": "turn-started", **WHERE},
        {
            "event": "hook-ended",
            **WHERE,
            "name": "on_turn_start",
            "function": greet.__qualname__,
            **fine,
        },
        {"event": "step-ended", **WHERE, "step": 0, "finish_reason": "tool-calls", **step},
        {"event": "tool-ended", **WHERE, "name": "look", **fine},
        {"event": "step-ended", **WHERE, "step": 1, "finish_reason": "stop", **step},
        {"event": "turn-ended", **WHERE, "outcome": "finished"},
        {"event": "turn-settled", **WHERE},
        {
            "event": "run-ended",
            **WHERE,
            "turn": 1,
            "reason": "max-turns",
            "turns": 1,
            "error_type": None,
        },
    ]
    assert {report["session_id"] for report in told} == {h.session.id}
    assert len({report["run_id"] for report in told}) == 1
    steps = [report for report in told if report["event"] == "step-ended"]
    assert all(0 <= step["first_chunk_s"] <= step["took_s"] for step in steps)
    assert "a secret" not in str(told)


async def test_what_fails_is_told_by_its_kind() -> None:
    @tool
    async def look() -> str:
        """Look."""
        raise KeyError("a secret")

    @chat.task("my-chat", tools=[look])
    async def my_chat(turn: Turn[Any]) -> Any:
        return stream_text(Scripted(calls("look"), []))

    @my_chat.on_turn_complete
    async def save(event: Any) -> None:
        raise OSError("a secret")

    async with reporting(my_chat) as (h, reports):
        await h.send("hi")
        told = await reports.until("turn-settled")
        failed = [(r["event"], r.get("error_type")) for r in told if r.get("error_type")]
        step = [r for r in told if r["event"] == "step-ended"][-1]

    assert failed == [
        ("tool-ended", "KeyError"),
        ("step-ended", "provider_truncated"),
        ("turn-ended", "provider_truncated"),
        ("hook-ended", "OSError"),
    ]
    assert (step["ok"], step["first_chunk_s"], step["finish_reason"]) == (False, None, None)
