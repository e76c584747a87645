from __future__ import annotations

from typing import Any

from chatrun.messages.clean import close_partial


def message(*parts: dict[str, Any]) -> Any:
    return {"id": "m", "role": "assistant", "metadata": {"a": 1}, "parts": list(parts)}


def call(state: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool-search", "toolCallId": state, "state": state, **more}


def test_what_was_said_is_kept_and_done() -> None:
    stopped = message(
        {"type": "step-start"},
        {"type": "reasoning", "text": "Hm", "state": "streaming"},
        {
            "type": "text",
            "text": "Half an ans",
            "state": "streaming",
            "providerMetadata": {"p": {}},
        },
        {"type": "data-x", "data": {"state": "streaming"}, "state": "streaming"},
    )

    assert close_partial(stopped) == message(
        {"type": "step-start"},
        {"type": "reasoning", "text": "Hm", "state": "done"},
        {"type": "text", "text": "Half an ans", "state": "done", "providerMetadata": {"p": {}}},
        {"type": "data-x", "data": {"state": "streaming"}, "state": "streaming"},
    )
    assert stopped["parts"][1]["state"] == "streaming"


def test_calls_without_a_result_are_dropped_whoever_was_to_run_them() -> None:
    kept = [
        call("approval-requested", approval={"id": "a"}),
        call("approval-responded", approval={"id": "b", "approved": True}),
        call("output-available", output=1, preliminary=True),
        call("output-error", errorText="broke"),
        call("output-denied", approval={"id": "c", "approved": False}),
    ]
    dropped = [
        call("input-streaming", rawInput="{"),
        call("input-available", input={}),
        call("input-available", input={}, providerExecuted=True),
        call("input-available", input={}) | {"type": "dynamic-tool", "toolName": "t"},
    ]

    assert close_partial(message(*dropped, *kept)) == message(*kept)


def test_a_message_of_nothing_but_borders_is_none() -> None:
    assert close_partial(message()) is None
    assert close_partial(message({"type": "step-start"}, call("input-available"))) is None
    assert close_partial(message({"type": "data-x", "data": 1})) is not None
