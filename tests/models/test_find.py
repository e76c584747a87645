"""Models by name, and what loading them costs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from chatrun.errors import InvalidInput
from chatrun.models.base import Usage
from chatrun.models.demo import Demo
from chatrun.models.find import find_model
from chatrun.models.openai import OpenAI


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.mark.parametrize(
    "name", ["anthropic:claude-sonnet-4-5", "openai:gpt-5", "openai-chat:gpt-4o", "demo"]
)
def test_a_model_is_found_by_its_name_and_keeps_it(name: str) -> None:
    assert find_model(name).name == name


def test_a_model_object_is_its_own() -> None:
    model = Demo()

    assert find_model(model) is model


@pytest.mark.parametrize(
    ("name", "shown"),
    [("anthropic:m", "Anthropic('m')"), ("openai:m", "OpenAI('m')"), ("demo", "Demo()")],
)
def test_a_model_shows_itself_without_its_key(name: str, shown: str) -> None:
    assert repr(find_model(name)) == shown


@pytest.mark.parametrize("name", ["gpt-4o", "openai:", "mistral:x", "", "demo:x"])
def test_an_unknown_name_is_refused_with_the_ones_that_are_known(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        find_model(name)

    assert str(caught.value) == (
        f"{name!r} is not a model: use anthropic:<model>, openai:<model>, openai-chat:<model> "
        "or demo"
    )


def test_what_is_no_model_is_refused_by_its_type() -> None:
    wrong: Any = 7
    with pytest.raises(InvalidInput, match="of the type int"):
        find_model(wrong)


@pytest.mark.parametrize(
    ("model", "api"),
    [
        (OpenAI("m"), "responses"),
        (OpenAI("m", base_url="https://eu.api.openai.com/v1"), "responses"),
        (OpenAI("m", base_url="http://localhost:11434/v1"), "chat"),
        (OpenAI("m", base_url="http://localhost:11434/v1", api="responses"), "responses"),
        (OpenAI("m", api="chat"), "chat"),
    ],
)
def test_a_server_of_ones_own_is_spoken_to_in_chat_completions(model: OpenAI, api: str) -> None:
    assert model.api == api


def test_the_environment_may_lead_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")

    assert find_model("openai:m").name == "openai-chat:m"


def test_no_package_is_loaded_before_it_is_used() -> None:
    heavy = "{'anthropic', 'openai', 'httpx2', 'pydantic', 'aiohttp'}"
    program = (
        "import sys\n"
        "from chatrun.ai.stream_text import stream_text\n"
        "from chatrun.ai.tools import tool\n"
        "import chatrun.models.detect\n"
        "tool(lambda: None)\n"
        "stream_text('anthropic:m', messages=[]), stream_text('openai:m', messages=[])\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout.strip() == b"[]"


def test_usage_is_added_up_and_told_as_the_ai_sdk_does() -> None:
    total = Usage(input_tokens=1, output_tokens=2) + Usage(input_tokens=3, cache_read_tokens=4)

    assert total == Usage(input_tokens=4, output_tokens=2, cache_read_tokens=4)
    assert total.to_json() == {
        "inputTokens": 4,
        "inputTokenDetails": {"cacheReadTokens": 4},
        "outputTokens": 2,
        "outputTokenDetails": {},
        "totalTokens": 6,
    }
    assert Usage().to_json() == {"inputTokenDetails": {}, "outputTokenDetails": {}}
