"""What a model's name tells of what OpenAI lets it be asked."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chatrun.models.base import ModelRequest

logger = logging.getLogger(__name__)

_REASONING: Final = re.compile(r"(o\d|gpt-[5-9]|codex|computer-use)")


def is_reasoning_model(name: str) -> bool:
    """Tell whether `name` is a model that reasons first, which changes what it may be sent."""
    return bool(_REASONING.match(name)) and "-chat" not in name


def sampling(name: str, request: ModelRequest, *, model: str) -> dict[str, object]:
    """Return temperature and the like, which models that reason refuse to be given."""
    given = {"temperature": request.temperature, "top_p": request.top_p}
    given = {key: value for key, value in given.items() if value is not None}
    if given and is_reasoning_model(name):
        logger.warning("%s takes no %s; it is left out", model, " or ".join(given))
        return {}
    return dict(given)
