from __future__ import annotations

from typing import Any

import pytest

from chatrun.messages.types import (
    is_data_part,
    is_text_part,
    is_tool_part,
    message_text,
    tool_name,
    user_message,
)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ({"type": "tool-get-weather"}, "get-weather"),
        ({"type": "dynamic-tool", "toolName": "tool-x"}, "tool-x"),
    ],
)
def test_a_tool_part_names_its_tool(part: Any, name: str) -> None:
    assert is_tool_part(part)
    assert tool_name(part) == name


def test_parts_are_told_apart_by_their_type() -> None:
    kinds = ("text", "data-x", "tool-x", "dynamic-tool", "reasoning")

    assert [kind for kind in kinds if is_text_part({"type": kind})] == ["text"]
    assert [kind for kind in kinds if is_data_part({"type": kind})] == ["data-x"]
    assert [kind for kind in kinds if is_tool_part({"type": kind})] == ["tool-x", "dynamic-tool"]


def test_the_text_of_a_message_is_that_of_its_text_parts() -> None:
    message = user_message("Hello", message_id="u")
    message["parts"] += [{"type": "step-start"}, {"type": "text", "text": " there"}]

    assert message_text(message) == "Hello there"
    assert message["id"] == "u"
