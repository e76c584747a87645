"""A project whose own modules set a tracer provider, as its author would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.running import chatrun

if TYPE_CHECKING:
    from pathlib import Path

TRACING = """
import pathlib

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

out = pathlib.Path(__file__).with_name("spans.jsonl").open("a")
provider = TracerProvider()
exporter = ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\\n")
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
"""

TASK = """
import tracing
from chatrun import Turn, chat, stream_text


@chat.task("my-chat")
async def my_chat(turn: Turn):
    return stream_text("demo")
"""


async def test_workers_trace_into_the_provider_that_the_users_modules_set(tmp_path: Path) -> None:
    (tmp_path / "tracing.py").write_text(TRACING)
    (tmp_path / "chat.py").write_text(TASK)

    ran = await chatrun("chat", "my-chat", "a secret", "--session", "c1", folder=tmp_path)

    assert (ran.code, ran.err) == (0, ran.err)
    text = (tmp_path / "spans.jsonl").read_text()
    answer, turn = (json.loads(line) for line in text.splitlines())
    assert (answer["name"], turn["name"]) == ("chat demo", "invoke_agent my-chat")
    assert answer["parent_id"] == turn["context"]["span_id"]
    assert turn["attributes"]["gen_ai.conversation.id"] == "c1"
    assert "a secret" not in text
