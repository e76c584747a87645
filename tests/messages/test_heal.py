from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.heal import INTERRUPTED, UNANSWERED, heal
from tests.support.random_messages import random_messages

if TYPE_CHECKING:
    from chatrun.messages.types import ModelMessage

USER: Any = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}


def call(call_id: str = "c", **more: Any) -> dict[str, Any]:
    return {"type": "tool-call", "toolCallId": call_id, "toolName": "t", "input": {}, **more}


def result(
    call_id: str = "c", value: str | None = None, kind: str = "error-text"
) -> dict[str, Any]:
    output = {"type": kind} if value is None else {"type": kind, "value": value}
    return {"type": "tool-result", "toolCallId": call_id, "toolName": "t", "output": output}


def asked(call_id: str = "c") -> dict[str, Any]:
    return {"type": "tool-approval-request", "approvalId": f"a-{call_id}", "toolCallId": call_id}


def answered(approved: bool, call_id: str = "c", **more: Any) -> dict[str, Any]:
    answer = {"approvalId": f"a-{call_id}", "approved": approved}
    return {"type": "tool-approval-response", **answer, **more}


def assistant(*content: dict[str, Any]) -> Any:
    return {"role": "assistant", "content": list(content)}


def tool(*content: dict[str, Any]) -> Any:
    return {"role": "tool", "content": list(content)}


def test_a_list_in_which_nothing_is_missing_stays_as_it_is() -> None:
    messages: list[ModelMessage] = [
        {"role": "system", "content": "Be brief."},
        USER,
        assistant(call(), asked()),
        tool(answered(True), result(value="done", kind="text")),
        {"role": "assistant", "content": "Done."},
        assistant(call("p", providerExecuted=True), result("p", "found", "text")),
    ]

    assert heal(messages) == messages


@pytest.mark.parametrize("after", [[], [USER], [{"role": "system", "content": "x"}]])
def test_a_call_that_nobody_finished_gets_an_error(after: list[Any]) -> None:
    messages = [USER, assistant(call()), *after]

    assert heal(messages) == [USER, assistant(call()), tool(result(value=INTERRUPTED)), *after]
    assert messages == [USER, assistant(call()), *after]


def test_a_missing_result_joins_those_that_are_there() -> None:
    healed = heal([assistant(call("a"), call("b")), tool(result("b", "done", "text")), USER])

    assert healed[1] == tool(result("a", INTERRUPTED), result("b", "done", "text"))


def test_a_result_is_given_before_the_next_step() -> None:
    healed = heal([assistant(call()), assistant({"type": "text", "text": "So"}), USER])

    assert healed[1] == tool(result(value=INTERRUPTED))


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        ((), result(value=UNANSWERED)),
        ((answered(True),), result(value=INTERRUPTED)),
        ((answered(False),), result(kind="execution-denied")),
    ],
)
def test_an_approval_that_the_user_wrote_past_is_settled(answer: Any, output: Any) -> None:
    healed = heal([assistant(call(), asked()), *([tool(*answer)] if answer else []), USER])

    assert healed == [assistant(call(), asked()), tool(output, *answer), USER]


def test_the_model_is_told_why_the_user_said_no() -> None:
    healed: Any = heal([assistant(call(), asked()), tool(answered(False, reason="no")), USER])

    assert healed[1]["content"][0]["output"] == {"type": "execution-denied", "reason": "no"}


@pytest.mark.parametrize("approved", [True, False])
def test_a_call_whose_approval_was_just_answered_is_left_to_be_run(approved: bool) -> None:
    messages = [USER, assistant(call(), asked()), tool(answered(approved))]

    assert heal(messages) == messages


def test_a_call_that_still_waits_does_not_hold_up_the_model() -> None:
    assert heal([USER, assistant(call(), asked())])[2] == tool(result(value=UNANSWERED))


def test_a_result_without_its_call_is_taken_out() -> None:
    late = [assistant(call("b")), USER, tool(result("b", "late", "text")), USER]

    assert heal([tool(result("a", "x", "text")), USER]) == [USER]
    assert heal(late) == [assistant(call("b")), tool(result("b", INTERRUPTED)), USER, USER]


def test_a_call_that_the_provider_never_ran_is_taken_out_once_the_user_wrote_on() -> None:
    abandoned = assistant(call(providerExecuted=True))
    text = {"type": "text", "text": "Searching"}
    waiting = assistant(call(providerExecuted=True), asked())
    said: Any = {"role": "assistant", "content": "Done."}

    assert heal([said, abandoned]) == [said, abandoned]
    assert heal([said, abandoned, USER]) == [said, USER]
    assert heal([abandoned, USER]) == [USER]
    assert heal([assistant(text, *abandoned["content"]), USER]) == [assistant(text), USER]
    assert heal([waiting, USER]) == [waiting, USER]


def test_every_call_is_followed_by_its_results() -> None:
    for seed in range(300):
        chat: Any = [*random_messages(Random(seed)), {"id": "u", "role": "user", "parts": []}]
        for number, part in enumerate(part for message in chat for part in message["parts"]):
            if "toolCallId" in part:
                part["toolCallId"] = str(number)

        healed: Any = heal(convert_to_model_messages(chat))

        for message, following in zip(healed, healed[1:], strict=False):
            assert own_calls(message) == results(following), seed


def own_calls(message: Any) -> set[str]:
    if message["role"] != "assistant":
        return set()
    calls = [part for part in message["content"] if part["type"] == "tool-call"]
    return {part["toolCallId"] for part in calls if not part.get("providerExecuted")}


def results(message: Any) -> set[str]:
    if message["role"] != "tool":
        return set()
    return {part["toolCallId"] for part in message["content"] if part["type"] == "tool-result"}
