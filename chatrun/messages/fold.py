"""From chunks to a UI message: the reducer that every AI SDK page runs, in Python.

Source: `process-ui-message-stream.ts` of the npm package `ai`, 6.0.326 and 7.0.173. What the
server keeps must be what the page shows, so the two are compared on random streams.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from chatrun.errors import ChunkInvalid
from chatrun.messages.fold_tools import ToolFold
from chatrun.messages.parts import Parts, merged, picked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chatrun.messages.parts import Part
    from chatrun.messages.types import UIMessage
    from chatrun.wire.chunks import FinishReason, Profile

    Chunk = Mapping[str, object]


@dataclass(slots=True)
class _Text:
    """A text or reasoning part that is open, with what of its text has not been joined yet."""

    part: Part
    pieces: list[str] = field(default_factory=list)

    def settle(self) -> None:
        """Bring the part's text up to date."""
        if self.pieces:
            self.part["text"] = "".join((cast("str", self.part["text"]), *self.pieces))
            self.pieces.clear()


class MessageFold:
    """The message that a stream of chunks makes, as far as it has come.

    Chunks must have passed `check_chunk`; values inside them are shared with the message, not
    copied. Taking a chunk costs the same however long the text or input before it is; looking at
    the message costs its length.
    """

    def __init__(
        self,
        message: UIMessage | None = None,
        *,
        message_id: str = "",
        profile: Profile = "v6",
        reset_on_new_id: bool = False,
        reset_on_first_start: bool = False,
    ) -> None:
        """Begin an empty message, or go on with `message` if that is an assistant's.

        `message` itself is left as it is. `profile` picks the AI SDK whose page is matched. The
        resets are for reading what may be a replay: `reset_on_new_id` begins anew at a `start`
        with another message's id, `reset_on_first_start` at the first `start` of all.
        """
        self._profile: Profile = profile
        self._reset_on_new_id = reset_on_new_id
        self._reset_on_first_start = reset_on_first_start
        begun = message if message is not None and message["role"] == "assistant" else None
        self._message: Part = {"id": message_id, "role": "assistant"}
        if begun is not None:
            self._message = {key: value for key, value in begun.items() if key != "parts"}
        self._finish_reason: FinishReason | None = None
        self._open: dict[tuple[str, object], _Text] = {}
        self._parts = Parts(begun["parts"] if begun is not None else ())
        self._tools = ToolFold(self._parts, profile)
        self._handlers = self._all_handlers()

    @property
    def finish_reason(self) -> FinishReason | None:
        """The reason that the last `finish` chunk gave, None while there was none."""
        return self._finish_reason

    @property
    def message(self) -> UIMessage:
        """The message so far, ready to be written as JSON. Later chunks do not change it."""
        for text in self._open.values():
            text.settle()
        self._tools.settle()
        parts = [part.copy() for part in self._parts.items]
        return cast("UIMessage", {**self._message, "parts": parts})

    def apply(self, chunk: Mapping[str, object]) -> bool:
        """Take the next chunk. Returns whether a page would draw the message again.

        Types that the profile does not know are passed over, as are chunks that leave the message
        as it is (`error`, `abort`, transient data).

        Raises:
            ChunkInvalid: It belongs to a part or a tool call that is not there. The message has
                not changed; a page reads no further.
        """
        kind = cast("str", chunk["type"])
        handler = self._handlers.get(kind)
        if handler is not None:
            return handler(chunk)
        return self._data(chunk) if kind.startswith("data-") else False

    def _all_handlers(self) -> dict[str, Callable[[Chunk], bool]]:
        handlers = {
            "start": self._start,
            "finish": self._finish,
            "message-metadata": self._metadata,
            "start-step": self._start_step,
            "text-start": self._text_start,
            "text-delta": self._text_delta,
            "text-end": self._text_end,
            "reasoning-start": self._text_start,
            "reasoning-delta": self._text_delta,
            "reasoning-end": self._text_end,
            "file": self._file,
            "source-url": self._source_url,
            "source-document": self._source_document,
            **self._tools.handlers(),
        }
        if self._profile == "v6":
            return handlers | {"finish-step": self._forget_texts}
        return handlers | {
            "reset-step": self._reset_step,
            "reasoning-file": self._file,
            "custom": self._custom,
            "steering-message": self._steering_message,
        }

    def _start(self, chunk: Chunk) -> bool:
        message_id = chunk.get("messageId")
        other = message_id is not None and message_id != self._message["id"]
        reset = self._reset_on_first_start or (self._reset_on_new_id and other)
        self._reset_on_first_start = False
        if reset:
            self._restart()
        if message_id is not None:
            self._message["id"] = message_id
        return self._metadata(chunk) or reset or message_id is not None

    def _restart(self) -> None:
        self._message = {"id": self._message["id"], "role": "assistant"}
        self._finish_reason = None
        self._open.clear()
        self._parts.restart(())
        self._tools.restart()

    def _finish(self, chunk: Chunk) -> bool:
        reason = chunk.get("finishReason")
        if reason is not None:
            self._finish_reason = cast("FinishReason", reason)
        return self._metadata(chunk)

    def _metadata(self, chunk: Chunk) -> bool:
        metadata = chunk.get("messageMetadata")
        if metadata is None:
            return False
        self._message["metadata"] = merged(self._message.get("metadata"), metadata)
        return True

    def _start_step(self, _chunk: Chunk) -> bool:
        self._parts.start_step()
        return False

    def _reset_step(self, chunk: Chunk) -> bool:
        self._forget_texts(chunk)
        self._tools.settle()
        self._tools.forget()
        return self._parts.drop_step()

    def _forget_texts(self, _chunk: Chunk) -> bool:
        """Take no more pieces for the open texts: AI SDK 6 does so where a step ends."""
        for text in self._open.values():
            text.settle()
        self._open.clear()
        return False

    def _text_start(self, chunk: Chunk) -> bool:
        kind = _text_kind(chunk)
        part: Part = {"type": kind, "text": "", "state": "streaming"}
        if kind == "reasoning":
            part["id"] = chunk["id"]
        part |= picked(chunk, "providerMetadata")
        replaced = self._open.get((kind, chunk["id"]))
        if replaced is not None:
            replaced.settle()
        self._open[kind, chunk["id"]] = _Text(part)
        return self._parts.push(part)

    def _text_delta(self, chunk: Chunk) -> bool:
        text = self._open_text(chunk)
        text.pieces.append(cast("str", chunk["delta"]))
        if "providerMetadata" in chunk:
            text.part |= picked(chunk, "providerMetadata")
        return True

    def _text_end(self, chunk: Chunk) -> bool:
        text = self._open_text(chunk)
        text.settle()
        text.part["state"] = "done"
        text.part |= picked(chunk, "providerMetadata")
        if self._profile == "v7" and chunk["type"] == "text-end":
            text.part |= picked(chunk, "citations")
        del self._open[_text_kind(chunk), chunk["id"]]
        return True

    def _open_text(self, chunk: Chunk) -> _Text:
        text = self._open.get((_text_kind(chunk), chunk["id"]))
        if text is None:
            raise ChunkInvalid(
                f'a "{chunk["type"]}" chunk came for the part "{chunk["id"]}", which is not open: '
                f'send "{_text_kind(chunk)}-start" first'
            )
        return text

    def _file(self, chunk: Chunk) -> bool:
        return self._parts.push(picked(chunk, "type", "mediaType", "url", "providerMetadata"))

    def _source_url(self, chunk: Chunk) -> bool:
        keys = ("type", "sourceId", "url", "title", "providerMetadata")
        return self._parts.push(picked(chunk, *keys))

    def _source_document(self, chunk: Chunk) -> bool:
        keys = ("type", "sourceId", "mediaType", "title", "filename", "providerMetadata")
        return self._parts.push(picked(chunk, *keys))

    def _custom(self, chunk: Chunk) -> bool:
        return self._parts.push(picked(chunk, "type", "kind", "providerMetadata"))

    def _steering_message(self, chunk: Chunk) -> bool:
        return self._parts.push(picked(chunk, "type", "id", "parts"))

    def _data(self, chunk: Chunk) -> bool:
        if chunk.get("transient"):
            return False
        data_id = chunk.get("id")
        if data_id is not None:
            for part in self._parts.items:
                if part["type"] == chunk["type"] and part.get("id") == data_id:
                    part["data"] = chunk["data"]
                    return True
        return self._parts.push(dict(chunk))


def _text_kind(chunk: Chunk) -> str:
    return "text" if str(chunk["type"]).startswith("text") else "reasoning"
