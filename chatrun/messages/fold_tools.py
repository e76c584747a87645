"""The tool calls of a message that is being built: one part for each, from input to result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from chatrun.errors import ChunkInvalid
from chatrun.messages.partial_json import parse_partial_json
from chatrun.messages.parts import ABSENT, picked, put
from chatrun.messages.types import ToolState, is_tool_part, tool_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatrun.messages.parts import Part, Parts
    from chatrun.messages.types import ToolUIPart
    from chatrun.wire.chunks import Profile

    Chunk = Mapping[str, object]

# What an update of a tool part sets anew, removing what it has no value for.
_REPLACED: Final = ("input", "output", "errorText", "rawInput", "inputEncoding", "preliminary")


@dataclass(slots=True)
class _Call:
    """A call whose input streams in. The input is parsed only when somebody looks."""

    name: str
    dynamic: bool
    carried: Part
    """Title and metadata from the start, repeated with every piece."""
    encoding: object
    pieces: list[str]
    part: Part | None = None
    """The part that has yet to be given the input as it stands."""
    step_at: int = 0
    """The step in which that part was found."""
    keeps_raw: bool = True


class ToolFold:
    """Takes the chunks that are about tool calls. Each handler returns whether a page redraws."""

    def __init__(self, parts: Parts, profile: Profile) -> None:
        """Go on with the calls of the last step whose input was still streaming."""
        self._parts = parts
        self._profile: Profile = profile
        self._calls: dict[object, _Call] = {}
        self.restart()

    def handlers(self) -> dict[str, Callable[[Chunk], bool]]:
        """Return the handler of each chunk type that the profile knows."""
        handlers: dict[str, Callable[[Chunk], bool]] = {
            "tool-input-start": self._input_start,
            "tool-input-delta": self._input_delta,
            "tool-input-available": self._input_available,
            "tool-input-error": self._input_error,
            "tool-approval-request": self._approval_request,
            "tool-output-available": self._output_available,
            "tool-output-error": self._output_error,
            "tool-output-denied": self._output_denied,
        }
        if self._profile == "v7":
            handlers["tool-approval-response"] = self._approval_response
        return handlers

    def restart(self) -> None:
        """Find anew the calls whose input streams, from the parts of the current step."""
        self._calls = {
            part["toolCallId"]: _resumed(part)
            for part in self._parts.step()
            if is_tool_part(part) and part["state"] == "input-streaming"
        }

    def settle(self) -> None:
        """Bring the inputs of all parts up to date."""
        for call in self._calls.values():
            self._settle(call)

    def forget(self) -> None:
        """Know no call any more; their parts are gone."""
        self._calls.clear()

    def _input_start(self, chunk: Chunk) -> bool:
        self._settle_id(chunk["toolCallId"])
        call = _Call(
            name=str(chunk["toolName"]),
            dynamic=bool(chunk.get("dynamic")),
            carried=picked(chunk, "title", "toolMetadata"),
            encoding=chunk.get("inputEncoding"),
            pieces=[],
        )
        self._calls[chunk["toolCallId"]] = call
        self._update_call(call, chunk)
        return True

    def _input_delta(self, chunk: Chunk) -> bool:
        call = self._calls.get(chunk["toolCallId"])
        if call is None:
            raise ChunkInvalid(
                f'a "tool-input-delta" chunk came for the tool call "{chunk["toolCallId"]}", '
                'which streams no input: send "tool-input-start" first'
            )
        if call.part is not None and call.step_at == self._parts.step_at:
            call.keeps_raw = True
        else:
            self._settle(call)
            known = len(self._parts.items)
            call.part = self._update_call(call, {"toolCallId": chunk["toolCallId"]})
            call.step_at = self._parts.step_at
            call.keeps_raw = not call.dynamic or len(self._parts.items) == known
        call.pieces.append(cast("str", chunk["inputTextDelta"]))
        return True

    def _input_available(self, chunk: Chunk) -> bool:
        self._settle_id(chunk["toolCallId"])
        self._update(
            chunk,
            "input-available",
            picked(chunk, "title", "toolMetadata") | {"input": chunk.get("input", ABSENT)},
            name=str(chunk["toolName"]),
            dynamic=bool(chunk.get("dynamic")),
        )
        return True

    def _input_error(self, chunk: Chunk) -> bool:
        self._settle_id(chunk["toolCallId"])
        known = self._in_step(chunk["toolCallId"])
        dynamic = known["type"] == "dynamic-tool" if known else bool(chunk.get("dynamic"))
        key = "input" if dynamic or self._profile == "v7" else "rawInput"
        self._update(
            chunk,
            "output-error",
            picked(chunk, "toolMetadata", "errorText") | {key: chunk.get("input", ABSENT)},
            name=str(chunk["toolName"]),
            dynamic=dynamic,
        )
        return True

    def _approval_request(self, chunk: Chunk) -> bool:
        part = self._of(chunk)
        approval: Part = {"id": chunk["approvalId"]}
        put(approval, "inputSchemaInput", chunk.get("inputSchemaInput", ABSENT))
        approval |= picked(chunk, "signature")
        approval |= _renamed(chunk, "approvalDescriptor", "descriptor")
        if self._profile == "v7":
            approval |= _renamed(chunk, "reason", "requestReason")
            if chunk.get("isAutomatic") is True:
                approval["isAutomatic"] = True
        part["state"] = "approval-requested"
        part["approval"] = approval
        return True

    def _approval_response(self, chunk: Chunk) -> bool:
        part = self._awaiting(chunk["approvalId"])
        self._settle_id(part["toolCallId"])
        part["state"] = "approval-responded"
        part["approval"] = {
            **cast("Part", part["approval"]),
            "approved": chunk["approved"],
            **picked(chunk, "reason"),
        }
        part |= picked(chunk, "providerExecuted")
        part |= _renamed(chunk, "providerMetadata", "callProviderMetadata")
        return True

    def _output_available(self, chunk: Chunk) -> bool:
        part = self._of(chunk)
        values: Part = picked(chunk, "preliminary", "toolMetadata")
        values["output"] = chunk.get("output", ABSENT)
        values["input"] = part.get("input", ABSENT)
        self._update(chunk, "output-available", values, target=part)
        return True

    def _output_error(self, chunk: Chunk) -> bool:
        part = self._of(chunk)
        values = picked(chunk, "errorText", "toolMetadata")
        values["input"] = part.get("input", ABSENT)
        if part["type"] != "dynamic-tool":
            values["rawInput"] = part.get("rawInput", ABSENT)
        self._update(chunk, "output-error", values, target=part)
        return True

    def _output_denied(self, chunk: Chunk) -> bool:
        self._of(chunk)["state"] = "output-denied"
        return True

    def _update_call(self, call: _Call, chunk: Chunk) -> Part:
        values = call.carried | {"inputEncoding": call.encoding or ABSENT}
        return self._update(chunk, "input-streaming", values, name=call.name, dynamic=call.dynamic)

    def _update(
        self,
        chunk: Chunk,
        state: ToolState,
        values: Part,
        *,
        name: str = "",
        dynamic: bool = False,
        target: Part | None = None,
    ) -> Part:
        """Bring a call's part up to date and return it.

        That is `target`, else the part of the current step with the chunk's call id and of the
        same kind, else a new one.
        """
        part = target or self._in_step(chunk["toolCallId"], dynamic=dynamic)
        if part is None:
            part = {"type": "", "toolCallId": chunk["toolCallId"]}
            self._parts.push(part)
        part["state"] = state
        if target is None:
            part |= _named(name, dynamic=dynamic)
        for key in _REPLACED:
            put(part, key, values.get(key, ABSENT))
        part |= picked(values, "title", "toolMetadata")
        part |= picked(chunk, "providerExecuted")
        has_result = state in ("output-available", "output-error")
        owner = "resultProviderMetadata" if has_result else "callProviderMetadata"
        part |= _renamed(chunk, "providerMetadata", owner)
        return part

    def _of(self, chunk: Chunk) -> Part:
        """Return the part, its input up to date, of the call that a later chunk is about."""
        call_id = chunk["toolCallId"]
        self._settle_id(call_id)
        found = self._in_step(call_id)
        if found is None:
            everywhere = reversed(self._parts.items)
            found = next((part for part in everywhere if _is_call(part, call_id)), None)
        if found is None:
            raise ChunkInvalid(
                f'a "{chunk["type"]}" chunk came for the tool call "{call_id}", '
                'which this message does not have: send "tool-input-available" first'
            )
        return found

    def _awaiting(self, approval_id: object) -> Part:
        for part in self._parts.items:
            approval = part.get("approval")
            if isinstance(approval, dict) and approval.get("id") == approval_id:
                return part
        raise ChunkInvalid(
            f'a "tool-approval-response" chunk came for the approval "{approval_id}", '
            "which nobody asked for in this message"
        )

    def _in_step(self, call_id: object, *, dynamic: bool | None = None) -> Part | None:
        """Return the first part of a call in the current step, of one kind if that is given."""
        for part in self._parts.step():
            if _is_call(part, call_id) and dynamic in (None, part["type"] == "dynamic-tool"):
                return part
        return None

    def _settle_id(self, call_id: object) -> None:
        call = self._calls.get(call_id)
        if call is not None:
            self._settle(call)

    def _settle(self, call: _Call) -> None:
        """Give the call's part the input as it stands, if it has not got it."""
        if call.part is None:
            return
        text = "".join(call.pieces)
        call.pieces[:] = [text]
        if call.encoding == "text":
            call.part["input"] = text
        else:
            value, state = parse_partial_json(text, profile=self._profile)
            put(call.part, "input", ABSENT if state == "failed-parse" else value)
        if call.keeps_raw:
            call.part["rawInput"] = text
        call.part = None


def _resumed(part: ToolUIPart) -> _Call:
    return _Call(
        name=tool_name(part),
        dynamic=part["type"] == "dynamic-tool",
        carried=picked(part, "title", "toolMetadata"),
        encoding=part.get("inputEncoding"),
        pieces=[str(part.get("rawInput") or "")],
    )


def _is_call(part: Part, call_id: object) -> bool:
    return is_tool_part(part) and part["toolCallId"] == call_id


def _named(name: str, *, dynamic: bool) -> Part:
    return {"type": "dynamic-tool", "toolName": name} if dynamic else {"type": f"tool-{name}"}


def _renamed(source: Chunk, key: str, name: str) -> Part:
    value = source.get(key)
    return {} if value is None else {name: value}
