"""The tools of one answer, and the running of their calls, side by side."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from chatrun.ai.calls import enter_call
from chatrun.ai.tools import Tool, ToolCall
from chatrun.ai.watch import ToolWatch
from chatrun.aio import end_within
from chatrun.errors import InvalidInput
from chatrun.wire.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from chatrun.ai.step import Call
    from chatrun.messages.types import ModelMessage
    from chatrun.wire.chunks import Chunk

logger = logging.getLogger(__name__)

TOGETHER = 8
"""How many calls of one step run at a time."""
CLOSE_S = 1.0
"""How long tools may take to end when the answer is stopped."""


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The tools that an answer may use, by name."""

    tools: dict[str, Tool]

    @classmethod
    def of(cls, tools: Iterable[Tool]) -> Toolbox:
        """Return a toolbox of `tools`.

        Raises:
            InvalidInput: Something in it is no tool, or two have one name.
        """
        by_name: dict[str, Tool] = {}
        for tool in tools:
            if not isinstance(tool, Tool):
                raise InvalidInput(
                    f"{getattr(tool, '__name__', tool)!r} is not a tool: decorate it with @tool"
                )
            if tool.name in by_name:
                raise InvalidInput(f"there are two tools with the name {tool.name!r}")
            by_name[tool.name] = tool
        return cls(by_name)

    def chosen(self, names: Sequence[str] | None) -> Toolbox:
        """Return a toolbox with only the tools in `names`; with all of them for None."""
        if names is None:
            return self
        unknown = [name for name in names if name not in self.tools]
        if unknown:
            raise InvalidInput(f"there is no tool {unknown[0]!r} to choose")
        return Toolbox({name: self.tools[name] for name in names})

    def of_client(self) -> frozenset[str]:
        """Return the names of the tools that the client runs."""
        return frozenset(
            name for name, tool in self.tools.items() if tool.client and tool.native is None
        )

    def problem(self, tool_name: str, given: object) -> str | None:
        """Return why a call cannot be run, in words for the model; None when it can."""
        tool = self.tools.get(tool_name)
        if tool is None or tool.native is not None:
            names = [name for name, tool in self.tools.items() if tool.native is None]
            offer = f"Available tools: {', '.join(names)}." if names else "No tools are available."
            return f"Model tried to call unavailable tool '{tool_name}'. {offer}"
        problem = tool.check(given)
        return None if problem is None else f"Invalid input for tool {tool_name}: {problem}"

    def checked(self, chunk: Chunk) -> Chunk:
        """Return a chunk of a model; a call that cannot be run comes back as its error."""
        kind = chunk["type"]
        if kind not in ("tool-input-available", "tool-input-error"):
            return chunk
        told = cast("dict[str, Any]", chunk)
        if told.get("providerExecuted"):
            return chunk
        unknown = told["toolName"] not in self.tools
        if kind == "tool-input-error":
            return cast("Chunk", {**told, "dynamic": True}) if unknown else chunk
        problem = self.problem(told["toolName"], told["input"])
        if problem is None:
            return chunk
        error = {**told, "type": "tool-input-error", "errorText": problem}
        return cast("Chunk", {**error, "dynamic": True} if unknown else error)

    def run(
        self,
        calls: Sequence[Call],
        *,
        messages: Sequence[ModelMessage],
        approved: bool = False,
        together: int = TOGETHER,
    ) -> AsyncGenerator[Chunk]:
        """Run `calls`, yield what comes of them as it comes, and put their results into them.

        A call that needs the user's approval is asked about instead, unless all are `approved`;
        one that the client answers is left open. What a tool raises becomes its result. Closing
        the generator cancels the tools that still run.
        """
        return _Running(self, messages, approved=approved, together=together).outputs(calls)


class _Running:
    """Calls that run side by side."""

    def __init__(
        self, box: Toolbox, messages: Sequence[ModelMessage], *, approved: bool, together: int
    ) -> None:
        self._box = box
        self._messages = messages
        self._approved = approved
        self._free = asyncio.Semaphore(together)
        self._out: asyncio.Queue[Chunk | None] = asyncio.Queue()
        """Chunks; None for each call that is over."""

    async def outputs(self, calls: Sequence[Call]) -> AsyncGenerator[Chunk]:
        """Yield the chunks of all calls until the last one is over."""
        # Not a TaskGroup: one that is left because its generator is closed raises a group of its
        # own, and nothing that a tool does may cancel the other ones.
        tasks = [
            asyncio.create_task(self._run(call), name=f"tool {call.tool_name}") for call in calls
        ]
        try:
            running = len(tasks)
            while running:
                chunk = await self._out.get()
                if chunk is None:
                    running -= 1
                else:
                    yield chunk
        finally:
            await asyncio.gather(
                *(
                    end_within(task, grace_s=CLOSE_S, what=f"the {task.get_name()}")
                    for task in tasks
                )
            )

    async def _run(self, call: Call) -> None:
        try:
            async with self._free:
                await self._settle(call)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            self._fail(call, "the tool cancelled itself")
        except BaseException as exc:  # SystemExit included: a tool must not end its worker
            logger.warning("the tool %s failed: %s", call.tool_name, type(exc).__name__)
            logger.debug("the tool %s failed", call.tool_name, exc_info=True)
            self._fail(call, str(exc) or type(exc).__name__)
        finally:
            self._out.put_nowait(None)

    async def _settle(self, call: Call) -> None:
        """Bring a call as far as it can be brought here."""
        tool = self._box.tools[call.tool_name]
        given = cast("dict[str, object]", call.input)
        told = ToolCall(call.tool_call_id, call.tool_name, given, self._messages)
        enter_call(told)  # each call has an asyncio.Task of its own
        if not self._approved and await tool.wants_approval(told):
            call.approval_id = new_id("approval")
            self._send("tool-approval-request", call, approvalId=call.approval_id)
        elif not tool.client:
            await self._perform(tool, call, told)

    async def _perform(self, tool: Tool, call: Call, told: ToolCall) -> None:
        with ToolWatch(tool, call):
            output = await self._output(tool, call, told)
        self._send("tool-output-available", call, output=output)

    async def _output(self, tool: Tool, call: Call, told: ToolCall) -> object:
        """Run the tool, put its result into the call, and return what clients are shown of it."""
        output: object = None
        async with aclosing(tool.run(told)) as outputs:
            async for output in outputs:
                if tool.streams:
                    self._send("tool-output-available", call, output=output, preliminary=True)
        call.result = tool.model_output(output, input=call.input, tool_call_id=call.tool_call_id)
        return output

    def _fail(self, call: Call, text: str) -> None:
        call.result = {"type": "error-text", "value": text}
        self._send("tool-output-error", call, errorText=text)

    def _send(self, kind: str, call: Call, **fields: object) -> None:
        chunk = {"type": kind, "toolCallId": call.tool_call_id, **fields}
        self._out.put_nowait(cast("Chunk", chunk))
