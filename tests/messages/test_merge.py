from __future__ import annotations

from typing import Any

import pytest

from chatrun.messages.merge import overlay

FINAL = ("output-available", "output-error", "output-denied")


def message(*parts: dict[str, Any], message_id: str = "m") -> Any:
    return {"id": message_id, "role": "assistant", "parts": list(parts)}


def call(state: str, call_id: str = "c", **more: Any) -> dict[str, Any]:
    return {"type": "tool-ask", "toolCallId": call_id, "state": state, **more}


def test_an_answer_is_laid_over_its_call_and_nothing_else_changes() -> None:
    said = {"type": "text", "text": "Which one?", "state": "done"}
    signed = {"type": "reasoning", "text": "Hm", "providerMetadata": {"anthropic": {"s": "x"}}}
    stored = message(signed, said, call("input-available", input={"q": 1}), call("output-denied"))
    slim = message(call("output-available", output={"a": 2}), message_id="another")
    slim["metadata"] = slim["parts"][0]["input"] = "forged"
    slim["parts"].append({"type": "text", "text": "Forged"})

    merged = overlay(stored, slim)

    answered = call("output-available", input={"q": 1}, output={"a": 2})
    assert merged == message(signed, said, answered, call("output-denied"))
    assert stored["parts"][2] == call("input-available", input={"q": 1})


def test_an_answer_may_be_null_or_an_error() -> None:
    stored = message(
        call("input-available"), call("input-streaming", "d"), call("input-available", "e")
    )
    incoming = message(
        call("output-available"),
        call("output-error", "d", errorText="closed the window"),
        call("output-error", "e"),
    )

    assert overlay(stored, incoming) == message(
        call("output-available", output=None),
        call("output-error", "d", errorText="closed the window"),
        call("output-error", "e", errorText="The tool failed."),
    )


@pytest.mark.parametrize("state", FINAL)
@pytest.mark.parametrize("incoming", [*FINAL, "approval-responded", "input-available"])
def test_a_final_state_is_never_left(state: str, incoming: str) -> None:
    asked = {"id": "a", "approved": False}
    stored = message(call(state, output=1, errorText="e", approval=asked))
    answer = call(incoming, output=2, errorText="f", approval={"id": "a", "approved": True})

    assert overlay(stored, message(answer)) is stored


@pytest.mark.parametrize("state", ["input-streaming", "input-available", "approval-requested"])
def test_states_that_only_the_server_gives_are_not_taken(state: str) -> None:
    stored = message(call("input-available", input=1))

    assert overlay(stored, message(call(state, input=2))) is stored


@pytest.mark.parametrize(
    ("state", "approved"), [("approval-responded", True), ("output-denied", False)]
)
def test_an_approval_is_answered_and_what_was_asked_stays(state: str, approved: bool) -> None:
    asked = {"id": "a", "signature": "s", "inputSchemaInput": {"amount": 5}}
    stored = message(call("approval-requested", input={"amount": 5}, approval=asked))
    given = {"id": "a", "approved": approved, "reason": "because", "signature": "forged"}

    merged = overlay(stored, message(call(state, approval=given, input={"amount": 9999})))

    assert merged == message(
        call(
            state,
            input={"amount": 5},
            approval={**asked, "approved": approved, "reason": "because"},
        )
    )


def test_an_answer_once_given_is_not_changed() -> None:
    said_no = {"id": "a", "approved": False, "reason": "too much"}
    stored = message(call("approval-responded", approval=said_no))
    changed = call("approval-responded", approval={"id": "a", "approved": True})

    assert overlay(stored, message(changed)) is stored


@pytest.mark.parametrize(
    "approval",
    [{"id": "b", "approved": True}, {"id": "a"}, {"id": "a", "approved": "yes"}, None, "a"],
)
def test_an_answer_to_another_question_is_not_taken(approval: object) -> None:
    stored = message(call("approval-requested", approval={"id": "a"}))

    assert overlay(stored, message(call("approval-responded", approval=approval))) is stored


def test_a_call_that_nobody_asked_about_cannot_be_approved() -> None:
    stored = message(call("input-available", input={}))
    approval = {"id": "a", "approved": True}

    assert overlay(stored, message(call("approval-responded", approval=approval))) is stored


def test_an_approved_call_of_the_clients_own_brings_its_result() -> None:
    stored = message(call("approval-requested", approval={"id": "a"}))
    approval = {"id": "a", "approved": True}

    merged = overlay(stored, message(call("output-available", output=1, approval=approval)))

    assert merged == message(call("output-available", output=1, approval=approval))


def test_parts_that_lack_their_ids_are_passed_over() -> None:
    stored = message(call("input-available"))
    odd = [{"type": "tool-ask"}, call("output-available", output=1) | {"toolCallId": ["c"]}]

    assert overlay(stored, message(*odd)) is stored
