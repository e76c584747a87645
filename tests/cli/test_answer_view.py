"""An answer on the screen, as it is when all of it has come."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from chatrun.cli.chat.answer_view import AnswerView
from chatrun.cli.chat.prose import markdown
from chatrun.cli.chat.screen import Screen
from tests.cli.test_safe import PAYLOADS

CLOCK = iter(range(10_000))


def screen(*, width: int = 60, terminal: bool = True, dumb: bool = False) -> Screen:
    """Return a screen that keeps what stays on it, without colours."""
    console = Console(
        file=io.StringIO(),
        width=width,
        height=20,
        force_terminal=terminal,
        color_system=None,
        highlight=False,
        _environ={"TERM": "dumb" if dumb else "xterm"},
    )
    return Screen(console)


def shown(screen: Screen) -> str:
    assert isinstance(screen.console.file, io.StringIO)
    return screen.console.file.getvalue()


def show(*chunks: dict[str, Any], outcome: str | None = "finished", **options: Any) -> str:
    """Return what stays on the screen of an answer of these chunks; no time passes."""
    target = screen(**options)
    view = AnswerView(target, clock=lambda: 0.0)
    for chunk in chunks:
        view.take(chunk)
    view.end(outcome)
    return shown(target)


def text(*deltas: str, part_id: str = "t") -> list[dict[str, Any]]:
    return [
        {"type": "text-start", "id": part_id},
        *({"type": "text-delta", "id": part_id, "delta": delta} for delta in deltas),
        {"type": "text-end", "id": part_id},
    ]


def test_text_is_shown_as_markdown() -> None:
    answer = text("Some **bold** text and `co", "de`.\n\n- one\n- two\n\n", "[site](http://a.test)")

    assert show(*answer) == (
        "Some bold text and code.\n\n • one\n • two\n\nsite (http://a.test)\n\n"
    )


def test_what_looks_like_html_is_shown_as_it_stands() -> None:
    assert show(*text("use List<int> or <model> & co")) == "use List<int> or <model> & co\n\n"


def test_code_keeps_its_lines() -> None:
    assert show(*text("```\na  b\n\n  c\n```")) == "a  b\n\n  c\n\n"


def test_a_dumb_terminal_gets_the_text_as_it_comes() -> None:
    assert show(*text("Some **bo", "ld** text"), dumb=True) == "Some **bold** text\n\n"


def test_reasoning_is_one_line() -> None:
    chunks: list[dict[str, Any]] = [
        {"type": "reasoning-start", "id": "r"},
        {"type": "reasoning-delta", "id": "r", "delta": "long\nthoughts"},
        {"type": "reasoning-end", "id": "r"},
    ]

    assert show(*chunks, *text("So.")) == "✻ thought for 0.0 s\nSo.\n\n"


CALL = {"toolCallId": "c", "toolName": "weather"}
INPUT = {"type": "tool-input-available", **CALL, "input": {"city": "Oslo", "days": [1, 2]}}


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (
            {"type": "tool-output-available", "output": {"degrees": 12}},
            '✓ weather(city=Oslo, days=[1, 2]) → {"degrees": 12}',
        ),
        (
            {"type": "tool-output-error", "errorText": "no\nnet"},
            "✗ weather(city=Oslo, days=[1, 2]) failed: no net",
        ),
        (
            {"type": "tool-output-denied"},
            "✗ weather(city=Oslo, days=[1, 2]) was not allowed",
        ),
    ],
)
def test_a_tool_is_one_line(end: dict[str, Any], line: str) -> None:
    chunks: list[dict[str, Any]] = [
        {"type": "tool-input-start", **CALL},
        {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": '{"city'},
        INPUT,
        {"type": "tool-output-available", "toolCallId": "c", "output": 0, "preliminary": True},
        {**end, "toolCallId": "c"},
    ]

    assert show(*chunks) == f"{line}\n\n"


def test_a_line_is_one_line_however_narrow_the_terminal() -> None:
    output = {"type": "tool-output-available", "toolCallId": "c", "output": "x" * 500}

    assert show(INPUT, output, width=20) == "✓ weather(city=Oslo…\n\n"


def test_a_call_that_never_ended_is_told_at_the_end() -> None:
    assert show(INPUT) == "· weather(city=Oslo, days=[1, 2])\n\n"


def test_a_call_that_cannot_be_made_is_told() -> None:
    broken = {"type": "tool-input-error", **CALL, "input": "{", "errorText": "no such tool"}

    assert show(broken) == "✗ weather({) failed: no such tool\n\n"


def test_sources_and_files_are_a_line_each() -> None:
    chunks: list[dict[str, Any]] = [
        {"type": "source-url", "sourceId": "s", "url": "http://a.test", "title": "A"},
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA"},
    ]

    assert show(*chunks) == "↗ A http://a.test\n▪ file, image/png\n\n"


def test_how_a_turn_ended_is_told_when_it_did_not_finish() -> None:
    half: list[dict[str, Any]] = text("half")[:2]

    assert show(*half, outcome="stopped") == "half\nstopped\n\n"
    assert show(*half, outcome="timed-out").endswith("the turn took too long and was ended\n\n")
    assert show({"type": "error", "errorText": "It broke."}, outcome="failed") == "It broke.\n\n"


def test_kinds_that_are_not_for_people_show_nothing() -> None:
    assert show({"type": "start"}, {"type": "data-x", "data": 1}, {"type": "finish"}) == "\n"


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("dumb", [True, False])
def test_nothing_that_steers_a_terminal_gets_through(payload: tuple[str, str], dumb: bool) -> None:
    hostile = payload[0]
    for cut in range(len(hostile) + 1):
        output = show(
            *text(hostile[:cut], hostile[cut:]),
            {**INPUT, "input": {hostile: hostile}},
            {"type": "tool-output-error", "toolCallId": "c", "errorText": hostile},
            {"type": "source-url", "sourceId": "s", "url": hostile, "title": hostile},
            {"type": "file", "mediaType": hostile, "url": hostile},
            {"type": "error", "errorText": hostile},
            dumb=dumb,
        )
        assert [char for char in output if char < " " and char not in "\n\t"] == []
        assert not set(output) & set("\x7f\x9b\x9d\x90\x9c\u202e\u2066\u061c\u200f")


@pytest.mark.parametrize("entity", ["&#27;[2J", "&#x202e;", "&rlm;", "&#x9b;2J", "&#13;"])
def test_controls_written_as_entities_are_dropped(entity: str) -> None:
    output = show(*text(f"a{entity}b"))

    assert not set(output) & set("\x1b\r\x9b\u202e\u200f")


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_any_text_can_be_shown(anything: str) -> None:
    target = screen()

    target.print(markdown(anything))

    assert "\x1b" not in shown(target)


def test_what_is_growing_is_drawn_below_what_stays_and_no_higher_than_the_screen() -> None:
    target = screen()
    view = AnswerView(target, clock=lambda: 0.0)
    with target.growing():
        view.take({"type": "text-start", "id": "t"})
        for number in range(100):
            view.take({"type": "text-delta", "id": "t", "delta": f"line {number}  \n"})
        view.stopping()
        drawn = shown(target)
        assert "stopping; Ctrl-C again leaves" in drawn
        assert "line 99" in drawn
        assert drawn.rpartition("\x1b[")[2].count("\n") < target.console.height
    view.end("stopped")

    assert all(f"line {number}\n" in shown(target) for number in range(100))
