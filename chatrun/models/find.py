"""The model that a name stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chatrun.errors import InvalidInput
from chatrun.models.anthropic import Anthropic
from chatrun.models.base import Model
from chatrun.models.demo import Demo
from chatrun.models.openai import OpenAI

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIXES: Final[dict[str, Callable[[str], Model]]] = {
    "anthropic": Anthropic,
    "openai": OpenAI,
    "openai-chat": lambda name: OpenAI(name, api="chat"),
}


def find_model(model: str | Model) -> Model:
    """Return the model named "provider:model", the model "demo", or `model` if it is one.

    Raises:
        InvalidInput: The name is none of these; the message lists the providers.
    """
    if not isinstance(model, str):
        if isinstance(model, Model):
            return model
        raise InvalidInput(
            "a model is a name such as 'openai:gpt-4o' or a model object, not a value of the type "
            f"{type(model).__name__}"
        )
    if model == "demo":
        return Demo()
    prefix, _, name = model.partition(":")
    make = _PREFIXES.get(prefix)
    if make is None or not name:
        known = ", ".join(f"{known}:<model>" for known in _PREFIXES)
        raise InvalidInput(f"{model!r} is not a model: use {known} or demo")
    return make(name)
