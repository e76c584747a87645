"""Agents of other packages: which of their values we know, and what their readers share.

None of the packages is imported: a value is known by the package that defines its type and by
its own attributes.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

from chatrun.models.converting import call_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatrun.models.base import ModelFinish
    from chatrun.wire.chunks import Chunk

EarlierCall: TypeAlias = "Callable[[str], Mapping[str, Any] | None]"
"""Finds the part of a tool call in the message that is being answered into."""

_HOMES: Final[Mapping[str, str]] = {
    "pydantic_ai": "pydantic-ai",
    "agents": "openai-agents",
    "langchain_core": "langchain",
    "langchain": "langchain",
    "langgraph": "langchain",
}


class Reader(Protocol):
    """Turns what one kind of agent tells of its run into chunks, in order."""

    def feed(self, item: Any) -> list[Chunk]:
        """Return the chunks of one item; what is of no interest has none.

        Raises:
            ProviderError: It is a provider's word that it failed, or an answer that broke off.
        """
        ...

    def close(self) -> list[Chunk]:
        """Return what is left to send once nothing more comes: the ends of parts and step."""
        ...


def family_of(value: object) -> str | None:
    """Return which family of agents a value belongs to, by the package that defines its type."""
    return _family_of_type(cast("Any", type(value)))


@lru_cache(maxsize=512)
def _family_of_type(kind: Any) -> str | None:
    homes = (home_of(base.__module__) for base in kind.__mro__)
    return next((home for home in homes if home is not None), None)


def home_of(module: str) -> str | None:
    """Return which family of agents a module is part of."""
    return _HOMES.get(module.partition(".")[0])


class Telling:
    """The chunks of a brought agent's answer: its steps, parts and tool calls, each told once."""

    def __init__(self, earlier: EarlierCall | None = None) -> None:
        """Tell into a new message, or go on with one whose calls `earlier` knows.

        Without `earlier`, results of calls that were not told here are taken to belong to the
        message that is gone on with.
        """
        self.finishes: list[ModelFinish] = []
        """How each model call ended that has ended, in order."""
        self._earlier = earlier
        self._token = secrets.token_hex(3)
        self._count = 0
        self._in_step = False
        self._begun: set[str] = set()
        self._complete: set[str] = set()
        """The calls whose whole input was told."""
        self._settled: set[str] = set()

    # --- steps and parts --------------------------------------------------------------------

    def begin_step(self) -> list[Chunk]:
        """Return the start of a step unless one is open."""
        if self._in_step:
            return []
        self._in_step = True
        return [{"type": "start-step"}]

    def end_step(self) -> list[Chunk]:
        """Return the end of the step that is open."""
        if not self._in_step:
            return []
        self._in_step = False
        return [{"type": "finish-step"}]

    def new_id(self) -> str:
        """Return an id that no other part of the message has."""
        self._count += 1
        return f"{self._token}{self._count}"

    def data(self, name: str, data: object, **fields: object) -> Chunk:
        """Return a data part."""
        return cast("Chunk", {"type": f"data-{name}", "data": plain(data), **fields})

    # --- tool calls -------------------------------------------------------------------------

    def knows(self, call_id: str) -> bool:
        """Tell whether the call was told here."""
        return call_id in self._begun

    def call_start(self, call_id: str, name: str, **fields: object) -> Chunk:
        """Return the start of a call whose input streams in."""
        self._begun.add(call_id)
        start = {"type": "tool-input-start", "toolCallId": call_id, "toolName": name, **fields}
        return cast("Chunk", start)

    def call_piece(self, call_id: str, text: str) -> list[Chunk]:
        """Return a piece of a call's input."""
        if not text:
            return []
        return [{"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": text}]

    def call_input(self, call_id: str, name: str, given: object, **fields: object) -> list[Chunk]:
        """Return the whole input of a call, JSON text or a value, if it was not told before."""
        if call_id in self._complete:
            return []
        self._begun.add(call_id)
        self._complete.add(call_id)
        common = {"toolCallId": call_id, "toolName": name, **fields}
        if isinstance(given, str):
            return [call_end(common, given)]
        return [call_end(common, "", plain(given))]

    def announce(self, call_id: str, name: str | None, given: object) -> list[Chunk] | None:
        """Return what must stand before anything is said of a call.

        That is nothing where the page knows it, and None where it does not and cannot: there is
        no name to show.
        """
        if call_id in self._begun or self._earlier is None or self._earlier(call_id) is not None:
            return []
        if not name:
            return None
        return [*self.begin_step(), *self.call_input(call_id, name, given)]

    def result(
        self,
        call_id: str,
        output: object = None,
        *,
        error: str | None = None,
        denied: bool = False,
        name: str | None = None,
        given: object = None,
        **fields: object,
    ) -> list[Chunk]:
        """Return what a call has brought, once: its output, its error, or that it was refused.

        A result without a value is null. `name` and `given` show a call that the page does not
        know; without a name such a call is passed over.
        """
        before = self.announce(call_id, name, given)
        if before is None or call_id in self._settled:
            return []
        self._settled.add(call_id)
        call = {"toolCallId": call_id, **fields}
        if self._was_denied(call_id) or (denied and call_id not in self._begun):
            last: dict[str, object] = {"type": "tool-output-denied", "toolCallId": call_id}
        elif error is not None or denied:
            text = error if error is not None else text_of(output)
            last = {"type": "tool-output-error", **call, "errorText": text}
        else:
            last = {"type": "tool-output-available", **call, "output": plain(output)}
        return [*before, cast("Chunk", last)]

    def approval(self, call_id: str, name: str | None, given: object) -> list[Chunk]:
        """Return the question to the user whether a call may run."""
        before = self.announce(call_id, name, given)
        if before is None:
            return []
        approval_id = f"approval_{secrets.token_hex(12)}"
        question = {"type": "tool-approval-request", "approvalId": approval_id}
        return [*before, cast("Chunk", {**question, "toolCallId": call_id})]

    def _was_denied(self, call_id: str) -> bool:
        part = self._earlier(call_id) if self._earlier is not None else None
        approval = part.get("approval") if part is not None else None
        return isinstance(approval, Mapping) and approval.get("approved") is False


def plain(value: object, *, fallback: Callable[[Any], object] = str) -> object:
    """Return `value` as JSON has it; what JSON has no form for becomes what `fallback` says."""
    if value is None or isinstance(value, str | int):
        return value
    from pydantic_core import to_jsonable_python

    result: object = to_jsonable_python(
        value, inf_nan_mode="null", bytes_mode="base64", fallback=fallback
    )
    return result


def text_of(value: object) -> str:
    """Return `value` as text: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
