"""A model that says what the test wrote down, one script for each request."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from chatrun.models.base import ModelFinish, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from chatrun.models.base import ModelItem, ModelRequest

USAGE = Usage(input_tokens=10, output_tokens=1)


def says(text: str, **finish: Any) -> list[Any]:
    """Return the script of an answer in one piece of text."""
    return [
        {"type": "text-start", "id": "t"},
        {"type": "text-delta", "id": "t", "delta": text},
        {"type": "text-end", "id": "t"},
        done(**finish),
    ]


def calls(*names: str, **inputs: Any) -> list[Any]:
    """Return the script of calls of these tools; each has the input under its name, or `{}`."""
    chunks = [
        {
            "type": "tool-input-available",
            "toolCallId": f"c{number}",
            "toolName": name,
            "input": inputs.get(name, {}),
        }
        for number, name in enumerate(names)
    ]
    return [*chunks, done("tool-calls")]


def done(reason: Any = "stop", **fields: Any) -> ModelFinish:
    """Return the end of a script."""
    return ModelFinish(reason=reason, usage=USAGE, **fields)


class Scripted:
    """The model. An exception in a script is raised at its place; running out is an error."""

    name = "scripted"

    def __init__(self, *scripts: Sequence[Any]) -> None:
        self.requests: list[ModelRequest] = []
        self.open = 0
        """How many answers are being given at this moment."""
        self._scripts = list(scripts)

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelItem]]:
        """Answer with the next script."""
        return self._stream(request)

    @asynccontextmanager
    async def _stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelItem]]:
        self.requests.append(request)
        self.open += 1
        try:
            async with aclosing(self._items(self._scripts.pop(0))) as items:
                yield items
        finally:
            self.open -= 1

    async def _items(self, script: Sequence[Any]) -> AsyncGenerator[ModelItem]:
        for item in script:
            if isinstance(item, BaseException):
                raise item
            if callable(item):
                await item()
            else:
                yield item
