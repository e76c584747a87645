"""The step loop: ask the model, run the tools it calls, ask again, until it has answered."""

from __future__ import annotations

import asyncio
import inspect
import random
import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, cast

from chatrun.ai.approvals import answered_calls
from chatrun.ai.settings import NextStep, changed
from chatrun.ai.step import Step, StepContent, result_part
from chatrun.ai.watch import StepWatch
from chatrun.errors import ProviderTruncated, ProviderUnavailable
from chatrun.models.base import ModelFinish, Usage
from chatrun.models.find import find_model

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from chatrun.ai.scope import TurnScope
    from chatrun.ai.settings import PrepareStep, Settings, StopCondition
    from chatrun.ai.step import Call
    from chatrun.ai.toolbox import Toolbox
    from chatrun.messages.types import ModelMessage, ToolModelMessage
    from chatrun.wire.chunks import Chunk, FinishReason

_TOOLS_RUN: Final = frozenset(("stop", "tool-calls"))
"""The reasons behind which the calls of a step are whole and meant."""
_PAUSED: Final = "pause_turn"
"""Anthropic's word for: send this back as it is, and I shall go on."""
_LONGEST_WAIT_S: Final = 60.0


class StepLoop:
    """One answer, step by step."""

    def __init__(
        self,
        settings: Settings,
        *,
        messages: Sequence[ModelMessage],
        toolbox: Toolbox,
        stop_when: Sequence[StopCondition],
        prepare_step: PrepareStep | None,
        scope: TurnScope | None,
        together: int,
        retry_delay_s: float,
    ) -> None:
        self.steps: list[Step] = []
        self.usage = Usage()
        self.finish_reason: FinishReason | None = None
        self.new_messages: list[ModelMessage] = []
        """What the answer has added to the conversation so far."""
        self._settings = settings
        self._messages = list(messages)
        self._toolbox = toolbox
        self._stop_when = stop_when
        self._prepare_step = prepare_step
        self._scope = scope
        self._together = together
        self._retry_delay_s = retry_delay_s
        # Ids must differ between all steps that go into one message, also of other answers.
        self._token = secrets.token_hex(2)
        self._finish: ModelFinish | None = None

    async def run(self) -> AsyncGenerator[Chunk]:
        """Yield the chunks of all steps, each between `start-step` and `finish-step`."""
        async with aclosing(self._settle_approvals()) as chunks:
            async for chunk in chunks:
                yield chunk
        if self.finish_reason is not None:
            return
        while True:
            async with aclosing(self._step()) as chunks:
                async for chunk in chunks:
                    yield chunk
            if not await self._goes_on():
                return

    async def _step(self) -> AsyncGenerator[Chunk]:
        if self._scope is not None:
            shown = await self._scope.at_step(self._messages, step=len(self.steps))
            self._messages = list(shown)
        settings = await self._prepare()
        toolbox = self._toolbox.chosen(settings.active_tools)
        content = StepContent()
        number = len(self.steps)
        prefix = f"{self._token}{number}:"
        messages = list(self._messages)  # who keeps a request may not see it grow
        request = settings.request(messages, toolbox, id_prefix=prefix)
        started = False
        with StepWatch(self._scope, settings.model, request, number=number) as watch:
            async with aclosing(self._ask(watch, settings.max_retries)) as chunks:
                async for chunk in chunks:
                    if not started:
                        started = True
                        yield {"type": "start-step"}
                    checked = toolbox.checked(chunk)
                    content.add(checked)
                    yield checked
        if not started:
            yield {"type": "start-step"}
        finish = self._finished(settings)
        if finish.reason in _TOOLS_RUN:
            open_calls = [call for call in content.calls.values() if call.result is None]
            outputs = toolbox.run(open_calls, messages=messages, together=self._together)
            async with aclosing(outputs):
                async for chunk in outputs:
                    yield chunk
        self._record(number, content, finish)
        yield {"type": "finish-step"}

    async def _ask(self, watch: StepWatch, max_retries: int) -> AsyncGenerator[Chunk]:
        """Yield what the model says; ask again if it fails before it has said anything."""
        self._finish = None
        attempt = 0
        while True:
            # Until the model has begun to answer, sending again is its own business.
            again = False
            try:
                async with watch.asking() as items:
                    again = attempt < max_retries
                    async for item in items:
                        watch.heard(item)
                        if isinstance(item, ModelFinish):
                            self._finish = item
                            continue
                        again = False
                        yield item
                return
            except ProviderUnavailable:
                if not again:
                    raise
            await asyncio.sleep(self._wait_s(attempt))
            attempt += 1

    def _wait_s(self, attempt: int) -> float:
        """Return how long to wait after a failed attempt; many chats must not come back at once."""
        wait_s = self._retry_delay_s * 2.0**attempt * random.uniform(0.75, 1.25)
        return min(wait_s, _LONGEST_WAIT_S)

    def _finished(self, settings: Settings) -> ModelFinish:
        """Return how the model ended, and count what it used."""
        finish = self._finish
        if finish is None:
            model = settings.model.name
            raise ProviderTruncated(f"{model} did not say how its answer ended", model=model)
        self.usage = self.usage + finish.usage
        if self._scope is not None:
            self._scope.report_usage(finish.usage)
        return finish

    def _record(self, number: int, content: StepContent, finish: ModelFinish) -> None:
        messages = content.messages()
        self._messages += messages
        self.new_messages += messages
        self.finish_reason = finish.reason
        self.steps.append(
            Step(
                number=number,
                text=content.text(),
                reasoning=content.text("reasoning"),
                calls=tuple(content.calls.values()),
                finish=finish,
                messages=messages,
            )
        )

    async def _goes_on(self) -> bool:
        """Tell whether there is another step: something to tell the model, and no reason not to."""
        step = self.steps[-1]
        answered = bool(step.calls) and all(call.result is not None for call in step.calls)
        if step.finish.raw_reason != _PAUSED and not (
            answered and step.finish_reason in _TOOLS_RUN
        ):
            return False
        for condition in self._stop_when:
            stops = condition(self.steps)
            if await stops if inspect.isawaitable(stops) else stops:
                return False
        return True

    async def _prepare(self) -> Settings:
        """Return the settings of the next step; changes of the conversation hold from here on."""
        if self._prepare_step is None:
            return self._settings
        settings, messages = self._settings, tuple(self._messages)
        step = NextStep(len(self.steps), tuple(self.steps), messages, settings.model)
        changes = self._prepare_step(step)
        if inspect.isawaitable(changes):
            changes = await changes
        if changes is None:
            return settings
        if changes.messages is not None:
            self._messages = list(changes.messages)
        model = settings.model if changes.model is None else find_model(changes.model)
        result = changed(settings, changes, model=model)
        if changes.system is not None:
            self._settings = changed(settings, changes.only_system(), model=settings.model)
        return result

    # --- approvals --------------------------------------------------------------------------

    async def _settle_approvals(self) -> AsyncGenerator[Chunk]:
        """Run what the user has allowed and tell of what was denied, ahead of the first step.

        The model is asked when nothing is left to be answered: until then the results are in the
        answer, and the open questions stay in it.
        """
        answered = answered_calls(self._messages, client_tools=self._toolbox.of_client())
        if answered.waiting:
            self.finish_reason = "tool-calls"
        if not answered.calls:
            return
        for call in answered.denied:
            yield {"type": "tool-output-denied", "toolCallId": call.tool_call_id}
        runnable: list[Call] = []
        for call in answered.approved:
            problem = self._toolbox.problem(call.tool_name, call.input)
            if problem is None:
                runnable.append(call)
                continue
            call.result = {"type": "error-text", "value": problem}
            error = {"type": "tool-output-error", "toolCallId": call.tool_call_id}
            yield cast("Chunk", {**error, "errorText": problem})
        outputs = self._toolbox.run(
            runnable, messages=list(self._messages), approved=True, together=self._together
        )
        async with aclosing(outputs):
            async for chunk in outputs:
                yield chunk
        self._tell(answered.calls)
        if any(call.result is None for call in answered.calls):  # the client's to run
            self.finish_reason = "tool-calls"

    def _tell(self, calls: Sequence[Call]) -> None:
        """Put the results of approved and denied calls behind the answers they came from."""
        last = cast("ToolModelMessage", self._messages[-1])
        known = {p["toolCallId"] for p in last["content"] if p["type"] == "tool-result"}
        results = [
            result_part(call)
            for call in calls
            if call.result is not None and call.tool_call_id not in known
        ]
        self._messages[-1] = {**last, "content": [*last["content"], *results]}
        if results:
            self.new_messages.append({"role": "tool", "content": [*results]})
