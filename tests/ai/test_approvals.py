"""Tools that wait for the user: the question, the answer, and going on."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from chatrun.ai.stream_text import stream_text
from chatrun.ai.tools import ToolCall, tool
from chatrun.messages.convert import convert_to_model_messages
from chatrun.messages.fold import MessageFold
from chatrun.messages.heal import INTERRUPTED, UNANSWERED, heal
from chatrun.messages.merge import overlay
from chatrun.messages.types import is_tool_part
from tests.support.models import HI, named_alike
from tests.support.prompts import assistant, call, result, tools
from tests.support.scripted import Scripted, calls, says

STRING = "Input should be a valid string"
UNKNOWN = "Model tried to call unavailable tool 'gone'."
NOT_SAID: dict[str, Any] = {"type": "error-text", "value": UNANSWERED}
INTERRUPTED_CALL: dict[str, Any] = {"type": "error-text", "value": INTERRUPTED}
USER: Any = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
UI_QUESTIONS: Any = {
    "id": "m",
    "role": "assistant",
    "parts": [
        {"type": "step-start"},
        *(
            {
                "type": "tool-delete",
                "toolCallId": f"c{number}",
                "state": "approval-requested",
                "input": {"path": str(number)},
                "approval": {"id": f"a{number}"},
            }
            for number in range(3)
        ),
    ],
}
RUNS: list[dict[str, object]] = []


@pytest.fixture(autouse=True)
def _nothing_was_run() -> None:
    RUNS.clear()


@tool(needs_approval=True)
async def delete(path: str = "x") -> str:
    RUNS.append({"path": path})
    return f"deleted {path}"


@tool(needs_approval=True, client=True)
def sign() -> None: ...


@tool
async def look() -> str:
    return "seen"


@tool(client=True)
def ask() -> None: ...


def answered_in_page(message: Any, number: int, approved: bool) -> Any:
    """Return a message as a page sends it once the user has answered one of its questions."""
    place = number + 1
    given = {"id": f"a{number}", "approved": approved}
    part = {**message["parts"][place], "state": "approval-responded", "approval": given}
    parts = [*message["parts"][:place], part, *message["parts"][place + 1 :]]
    sent: Any = {**message, "parts": parts}
    return overlay(message, sent)


def asked(call_id: str, approval_id: str) -> dict[str, Any]:
    return {"type": "tool-approval-request", "approvalId": approval_id, "toolCallId": call_id}


def answer(approval_id: str, approved: bool, **fields: Any) -> dict[str, Any]:
    head = {"type": "tool-approval-response", "approvalId": approval_id, "approved": approved}
    return {**head, **fields}


async def go_on(model: Scripted, *messages: Any, using: Any = (delete, look)) -> list[Any]:
    stream = stream_text(model, messages=[*HI, *messages], tools=using)
    return [chunk async for chunk in stream]


async def test_a_tool_that_needs_approval_is_asked_about_and_not_run() -> None:
    model = Scripted(calls("delete", "look", delete={"path": "a"}))
    stream = stream_text(model, messages=HI, tools=[delete, look])

    chunks = named_alike([chunk async for chunk in stream])

    assert chunks[3:] == [
        {"type": "tool-approval-request", "toolCallId": "c0", "approvalId": "0"},
        {"type": "tool-output-available", "toolCallId": "c1", "output": "seen"},
        {"type": "finish-step"},
    ]
    assert RUNS == []
    assert stream.finish_reason == "tool-calls"
    approval_id = stream.steps[0].calls[0].approval_id
    assert stream.new_messages == [
        assistant(
            call("c0", {"path": "a"}, name="delete"),
            call("c1", {}, name="look"),
            asked("c0", str(approval_id)),
        ),
        tools(result("c1", "seen", name="look")),
    ]


async def test_only_the_calls_that_need_it_are_asked_about() -> None:
    @tool(needs_approval=lambda call: call.input["amount"] == 11)
    async def pay(amount: int) -> str:
        return f"paid {amount}"

    model = Scripted(calls("pay", pay={"amount": 5}), calls("pay", pay={"amount": 11}))

    kinds = [chunk["type"] for chunk in await go_on(model, using=[pay])]

    assert kinds.count("tool-output-available") == 1
    assert kinds.count("tool-approval-request") == 1


async def test_asking_whether_to_ask_may_fail() -> None:
    def policy(call: ToolCall) -> bool:
        raise PermissionError("nobody may")

    @tool(needs_approval=policy)
    async def pay() -> None: ...

    chunks = await go_on(Scripted(calls("pay"), says("Sorry.")), using=[pay])

    error = {"type": "tool-output-error", "toolCallId": "c0", "errorText": "nobody may"}
    assert error in chunks


async def test_what_was_allowed_runs_first_and_the_model_goes_on() -> None:
    model = Scripted(says("Done."))
    made = assistant(call("c0", {"path": "a"}, name="delete"), asked("c0", "a0"))

    chunks = await go_on(model, made, tools(answer("a0", True)))

    assert chunks[:2] == [
        {"type": "tool-output-available", "toolCallId": "c0", "output": "deleted a"},
        {"type": "start-step"},
    ]
    assert RUNS == [{"path": "a"}]
    assert model.requests[0].messages == [
        *HI,
        made,
        tools(answer("a0", True), result("c0", "deleted a", name="delete")),
    ]


async def test_what_was_denied_is_not_run_and_the_model_is_told_why() -> None:
    model = Scripted(says("All right."))
    made = assistant(call("c0", name="delete"), asked("c0", "a0"))

    chunks = await go_on(model, made, tools(answer("a0", False, reason="not today")))

    assert chunks[:2] == [
        {"type": "tool-output-denied", "toolCallId": "c0"},
        {"type": "start-step"},
    ]
    assert RUNS == []
    denied = {"type": "execution-denied", "reason": "not today"}
    told: Any = model.requests[0].messages[-1]["content"]
    assert told[1:] == [result("c0", denied, name="delete")]


async def test_a_denial_that_is_in_the_history_already_is_told_to_the_model_once() -> None:
    denied = result("c0", {"type": "execution-denied"}, name="delete")
    made = assistant(call("c0", name="delete"), asked("c0", "a0"))
    model = Scripted(says(""))

    chunks = await go_on(model, made, tools(answer("a0", False), denied))

    assert chunks[0] == {"type": "tool-output-denied", "toolCallId": "c0"}
    assert model.requests[0].messages[-1] == tools(answer("a0", False), denied)


async def test_results_come_in_the_order_of_the_calls() -> None:
    made = assistant(
        *(call(f"c{n}", {"path": str(n)}, name="delete") for n in range(3)),
        *(asked(f"c{n}", f"a{n}") for n in range(3)),
    )
    model = Scripted(says(""))

    await go_on(model, made, tools(answer("a2", True), answer("a0", True), answer("a1", False)))

    told: Any = model.requests[0].messages[-1]["content"]
    settled = [part["toolCallId"] for part in told if part["type"] == "tool-result"]
    assert settled == ["c0", "c2", "c1"]


async def test_while_one_answer_is_missing_the_model_is_not_asked() -> None:
    made = assistant(
        call("c0", name="delete"), call("c1", name="delete"), asked("c0", "a0"), asked("c1", "a1")
    )
    model = Scripted()
    history: list[Any] = [*HI, made, tools(answer("a0", True))]
    stream = stream_text(model, messages=history, tools=[delete])

    chunks = [chunk async for chunk in stream]

    assert [chunk["type"] for chunk in chunks] == ["tool-output-available"]
    assert stream.finish_reason == "tool-calls"
    assert stream.steps == []
    assert stream.new_messages == [tools(result("c0", "deleted x", name="delete"))]


@pytest.mark.parametrize(
    "rest",
    [
        [],
        [tools(answer("other", True))],
        [tools(result("c1", "seen", name="look"))],
        [tools(result("c0", NOT_SAID, name="delete"), result("c1", "seen", name="look"))],
        [tools(result("c1", "seen", name="look"), answer("other", False))],
    ],
    ids=["nothing-said", "other-question", "result-of-another", "healed", "both"],
)
async def test_a_question_that_nobody_answered_keeps_the_model_from_being_asked(
    rest: list[Any],
) -> None:
    made = assistant(call("c0", name="delete"), call("c1", {}, name="look"), asked("c0", "a0"))
    history: list[Any] = [*HI, made, *rest]
    stream = stream_text(Scripted(), messages=history, tools=[delete, look])

    assert [chunk async for chunk in stream] == []
    assert stream.finish_reason == "tool-calls"
    assert RUNS == []


@pytest.mark.parametrize("healed", [True, False])
async def test_a_client_that_has_not_answered_all_of_its_calls_is_waited_for(healed: bool) -> None:
    made = assistant(call("c0", {}, name="ask"), call("c1", {}, name="ask"))
    open_call = [result("c1", INTERRUPTED_CALL, name="ask")] if healed else []
    rest = tools(result("c0", "blue", name="ask"), *open_call)

    assert await go_on(Scripted(), made, rest, using=[ask]) == []


async def test_what_the_user_has_written_past_is_not_waited_for() -> None:
    made = assistant(call("c0", name="delete"), asked("c0", "a0"))
    healed = tools(result("c0", NOT_SAID, name="delete"))
    model = Scripted(says("Hello"))

    chunks = await go_on(model, made, healed, *HI)

    assert chunks[0] == {"type": "start-step"}
    assert model.requests[0].messages == [*HI, made, healed, *HI]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_questions_are_answered_one_by_one_in_any_order(order: tuple[int, ...]) -> None:
    verdicts = [True, False, True]
    message: Any = UI_QUESTIONS
    told: list[Any] = []
    for place, number in enumerate(order):
        message = answered_in_page(message, number, verdicts[number])
        model = Scripted(*([says("Done.")] if place == 2 else []))
        history = heal(convert_to_model_messages([USER, message]))
        fold = MessageFold(message)

        for chunk in await go_on(model, *history[1:]):
            fold.apply(chunk)

        assert fold.message is not None
        message = fold.message
        told += [request.messages[-1]["content"] for request in model.requests]
        assert len(told) == (1 if place == 2 else 0)

    results = {p["toolCallId"]: p["output"] for p in told[0] if p["type"] == "tool-result"}
    assert results["c0"] == {"type": "text", "value": "deleted 0"}
    assert results["c1"]["type"] in ("execution-denied", "error-text")
    assert results["c2"] == {"type": "text", "value": "deleted 2"}
    assert {str(run["path"]) for run in RUNS} == {"0", "2"}
    states = [part["state"] for part in message["parts"] if is_tool_part(part)]
    assert states == ["output-available", "output-denied", "output-available"]


async def test_what_the_client_runs_stays_open_once_it_is_allowed() -> None:
    made = assistant(call("c0", {}, name="sign"), asked("c0", "a0"))
    model = Scripted()

    chunks = await go_on(model, made, tools(answer("a0", True)), using=[sign])

    assert chunks == []


@pytest.mark.parametrize(
    ("name", "given", "problem"),
    [
        (
            "delete",
            {"path": 7},
            "Invalid input for tool delete: path: Input should be a valid string",
        ),
        ("gone", {}, "Model tried to call unavailable tool 'gone'. Available tools: delete, look."),
    ],
)
async def test_a_call_is_checked_again_before_it_runs(name: str, given: Any, problem: str) -> None:
    made = assistant(call("c0", given, name=name), asked("c0", "a0"))
    model = Scripted(says("Sorry."))

    chunks = await go_on(model, made, tools(answer("a0", True)))

    assert chunks[0] == {"type": "tool-output-error", "toolCallId": "c0", "errorText": problem}
    assert RUNS == []
    told: Any = model.requests[0].messages[-1]["content"]
    assert told[-1] == result("c0", {"type": "error-text", "value": problem}, name=name)


CALL = call("c0", name="delete")
NOT_OURS = {**CALL, "providerExecuted": True}


@pytest.mark.parametrize(
    "history",
    [
        [assistant(CALL), tools(answer("a0", True))],
        [
            assistant(CALL, asked("c0", "a0")),
            tools(answer("a0", True), result("c0", "done before", name="delete")),
        ],
        [
            assistant({**CALL, "providerExecuted": True}, asked("c0", "a0")),
            tools(answer("a0", True)),
        ],
        [assistant(CALL, asked("c0", "a0")), tools(answer("a0", True)), assistant("and then")],
        [assistant(call("c1", {}, name="look")), tools(result("c1", "seen", name="look"))],
    ],
    ids=["never-asked", "has-a-result", "providers-own", "not-last", "none"],
)
async def test_an_answer_that_fits_no_open_question_runs_nothing(history: list[Any]) -> None:
    model = Scripted(says("Hello"))

    chunks = await go_on(model, *history)

    assert chunks[0] == {"type": "start-step"}
    assert RUNS == []
    assert model.requests[0].messages == [*HI, *history]


async def test_of_two_answers_the_first_counts() -> None:
    made = assistant(CALL, asked("c0", "a0"))

    await go_on(Scripted(says("")), made, tools(answer("a0", False), answer("a0", True)))

    assert RUNS == []
