"""What may go into a UI message stream: the check of chunks and the wire profiles.

Early releases of each AI SDK refuse a chunk with a key they do not know, every release refuses a
type it does not know and a null in an optional key, and one refused chunk ends the whole stream
for the reader. A client does not tell its version, so what goes out is brought down to what all of
them accept: profile "v6". Where all clients are known to be new, "v7" sends everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeGuard, cast

from chatrun.errors import ChunkInvalid
from chatrun.wire.chunk_types import Chunk, DataChunk, FinishReason, Profile, ProviderMetadata

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CHUNK_TYPES",
    "Chunk",
    "DataChunk",
    "FinishReason",
    "Profile",
    "ProviderMetadata",
    "check_chunk",
    "floor_chunk",
    "is_data_chunk",
]

_MISSING: Final = object()

_FORMS: Final[Mapping[type, str]] = {
    str: "a string",
    bool: "true or false",
    dict: "an object",
    list: "an array",
}

# A key has the same form in every chunk that has it; what is not named here may be any JSON.
_KEY_FORMS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("id", "delta", "url", "mediaType", "sourceId", "title", "filename"), str),
    **dict.fromkeys(("toolCallId", "toolName", "inputTextDelta", "approvalId"), str),
    **dict.fromkeys(("messageId", "finishReason", "reason", "errorText", "kind"), str),
    **dict.fromkeys(("signature", "inputEncoding"), str),
    **dict.fromkeys(("providerExecuted", "dynamic", "preliminary", "transient"), bool),
    **dict.fromkeys(("approved", "isAutomatic"), bool),
    **dict.fromkeys(("providerMetadata", "toolMetadata", "messageMetadata"), dict),
    **dict.fromkeys(("parts", "citations"), list),
}

_FINISH_REASONS: Final[Mapping[Profile, frozenset[str]]] = {
    "v6": frozenset(("stop", "length", "content-filter", "tool-calls", "error", "other")),
    "v7": frozenset(
        ("stop", "length", "content-filter", "tool-calls", "error", "other", "interrupted")
    ),
}


@dataclass(frozen=True, slots=True)
class _Spec:
    """What one type of chunk consists of, beside `type` itself."""

    required: tuple[tuple[str, type], ...]
    """Keys that must be there, each with its form; `object` is any JSON, null included."""
    size: int
    """How many keys a chunk without optional ones has."""
    keys: frozenset[str]
    """Every key that may be sent, `type` included."""
    nullable: frozenset[str]
    """Required keys whose value may be null."""


def _spec(required: str, optional: str) -> _Spec:
    needed = tuple((key, _KEY_FORMS.get(key, object)) for key in required.split())
    return _Spec(
        required=needed,
        size=len(needed) + 1,
        keys=frozenset(("type", *required.split(), *optional.split())),
        nullable=frozenset(key for key, form in needed if form is object),
    )


_META = "providerMetadata"
_CALL = "providerExecuted dynamic"

# Required keys, keys that all clients of AI SDK 6 and 7 accept, keys that the newest add.
_TABLE: Final[Mapping[str, tuple[str, str, str]]] = {
    "start": ("", "messageId messageMetadata", ""),
    "start-step": ("", "", ""),
    "finish-step": ("", "", ""),
    "finish": ("", "finishReason messageMetadata", ""),
    "abort": ("", "", "reason"),
    "error": ("errorText", "", ""),
    "message-metadata": ("messageMetadata", "", ""),
    "text-start": ("id", _META, ""),
    "text-delta": ("id delta", _META, ""),
    "text-end": ("id", _META, "citations"),
    "reasoning-start": ("id", _META, ""),
    "reasoning-delta": ("id delta", _META, ""),
    "reasoning-end": ("id", _META, ""),
    "file": ("url mediaType", _META, ""),
    "source-url": ("sourceId url", f"title {_META}", ""),
    "source-document": ("sourceId mediaType title", f"filename {_META}", ""),
    "tool-input-start": (
        "toolCallId toolName",
        f"{_CALL} title",
        f"{_META} toolMetadata inputEncoding",
    ),
    "tool-input-delta": ("toolCallId inputTextDelta", "", ""),
    "tool-input-available": (
        "toolCallId toolName input",
        f"{_CALL} title {_META}",
        "toolMetadata",
    ),
    "tool-input-error": (
        "toolCallId toolName input errorText",
        f"{_CALL} title {_META}",
        "toolMetadata",
    ),
    "tool-approval-request": (
        "approvalId toolCallId",
        "",
        "approvalDescriptor inputSchemaInput signature reason isAutomatic",
    ),
    "tool-output-available": (
        "toolCallId output",
        f"{_CALL} preliminary",
        f"{_META} toolMetadata",
    ),
    "tool-output-error": ("toolCallId errorText", _CALL, f"{_META} toolMetadata"),
    "tool-output-denied": ("toolCallId", "", ""),
}

_TABLE_V7: Final[Mapping[str, tuple[str, str]]] = {
    "reset-step": ("", ""),
    "reasoning-file": ("url mediaType", _META),
    "custom": ("kind", _META),
    "steering-message": ("id parts", ""),
    "tool-approval-response": ("approvalId approved", f"reason providerExecuted {_META}"),
}

_SPECS: Final[Mapping[Profile, Mapping[str, _Spec]]] = {
    "v6": {kind: _spec(required, floor) for kind, (required, floor, _) in _TABLE.items()},
    "v7": {
        **{kind: _spec(need, f"{floor} {new}") for kind, (need, floor, new) in _TABLE.items()},
        **{kind: _spec(required, optional) for kind, (required, optional) in _TABLE_V7.items()},
    },
}
_DATA_SPEC: Final = _spec("data", "id transient")

CHUNK_TYPES: Final[Mapping[Profile, frozenset[str]]] = {
    profile: frozenset(specs) for profile, specs in _SPECS.items()
}
"""The chunk types of each profile, beside "data-" and a name."""


def is_data_chunk(chunk: Mapping[str, object]) -> TypeGuard[DataChunk]:
    """Tell whether a chunk carries data of the application's own."""
    return str(chunk.get("type")).startswith("data-")


def check_chunk(value: object, *, profile: Profile = "v6") -> Chunk:
    """Return `value`, unchanged, when clients of `profile` can be sent it as a chunk.

    Keys no client knows and nulls in optional keys are let through: `floor_chunk` removes them.
    An unknown finish reason is, too: it is sent as "other". Not looked into are `citations` and
    the `parts` of a steering message, which only "v7" has.

    Raises:
        ChunkInvalid: It is not an object, its type is unknown, a required key is missing, or a
            key has the wrong form. The message names the type, the key and what it must be.
    """
    if not isinstance(value, dict):
        raise ChunkInvalid(f'a chunk is an object with a "type", not {_described(value)}')
    kind = value.get("type")
    spec = _SPECS[profile].get(kind) if isinstance(kind, str) else None
    if spec is None:
        spec = _spec_of_rare(kind, profile)
    for key, form in spec.required:
        found = value.get(key, _MISSING)
        if found is _MISSING or not isinstance(found, form):
            raise ChunkInvalid(_complaint(kind, key, found))
    if len(value) > spec.size:
        _check_optional(value, spec)
    return cast("Chunk", value)


def floor_chunk(chunk: Mapping[str, object], *, profile: Profile = "v6") -> Chunk:
    """Return the checked `chunk` with nothing in it that a client of `profile` could refuse.

    Unknown keys and keys newer than the profile go, as do optional keys without a value; a finish
    reason newer than the profile becomes "other". The very same object comes back where nothing
    has to change.

    Raises:
        ChunkInvalid: The profile has no such type.
    """
    kind = chunk.get("type")
    spec = _SPECS[profile].get(kind) if isinstance(kind, str) else None
    if spec is None:
        spec = _spec_of_rare(kind, profile)
    if chunk.keys() <= spec.keys and None not in chunk.values():
        if kind != "finish" or chunk.get("finishReason", "other") in _FINISH_REASONS[profile]:
            return cast("Chunk", chunk)
    kept = {
        key: value
        for key, value in chunk.items()
        if key in spec.keys and (value is not None or key in spec.nullable)
    }
    if kept.get("finishReason", "other") not in _FINISH_REASONS[profile]:
        kept["finishReason"] = "other"
    return cast("Chunk", kept)


def _spec_of_rare(kind: object, profile: Profile) -> _Spec:
    """Return the spec of a type that is not in the profile's table, or raise `ChunkInvalid`."""
    if not isinstance(kind, str):
        raise ChunkInvalid(f'a chunk needs "type", a string; {_found(kind)}')
    if kind.startswith("data-"):
        return _DATA_SPEC
    if kind in _SPECS["v7"]:
        raise ChunkInvalid(
            f'only clients of AI SDK 7 understand "{kind}" chunks; '
            'send it as a "data-..." chunk, or set ui_protocol to "v7"'
        )
    import difflib  # only a mistake needs it, and it is slow to load

    near = difflib.get_close_matches(kind, _SPECS[profile], n=1)
    hint = f'did you mean "{near[0]}"?' if near else 'data of your own goes in a "data-..." chunk'
    raise ChunkInvalid(f'"{kind[:64]}" is not a chunk type; {hint}')


def _check_optional(chunk: Mapping[str, object], spec: _Spec) -> None:
    """Raise `ChunkInvalid` when a key that may be left out is there in the wrong form."""
    for key, found in chunk.items():
        form = _KEY_FORMS.get(key)
        if form is None or key not in spec.keys or found is None:
            continue
        if not isinstance(found, form):
            raise ChunkInvalid(_complaint(chunk["type"], key, found))
        if key == _META and not _is_metadata(found):
            raise ChunkInvalid(
                f'"{_META}" of a "{chunk["type"]}" chunk must be an object of objects, '
                "one for each provider"
            )
        if key == "inputEncoding" and found not in ("json", "text"):
            raise ChunkInvalid(f'"{key}" of a "{chunk["type"]}" chunk must be "json" or "text"')


def _is_metadata(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, dict) for item in value.values())


def _complaint(kind: object, key: str, found: object) -> str:
    form = _FORMS.get(_KEY_FORMS.get(key, object), "which may be null but must be there")
    return f'a "{kind}" chunk needs "{key}", {form}; {_found(found)}'


def _found(found: object) -> str:
    return "it is missing" if found is _MISSING else f"this one has {_described(found)}"


def _described(value: object) -> str:
    """Say what `value` is without showing what is in it."""
    if value is None:
        return "null"
    if isinstance(value, str | bool | dict | list):
        return next(text for form, text in _FORMS.items() if isinstance(value, form))
    return "a number" if isinstance(value, int | float) else f"a Python {type(value).__name__}"
