"""pydantic-ai behind its own adapter of the AI SDK's stream, on Starlette."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.ui.vercel_ai import VercelAIAdapter
from starlette.applications import Starlette
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

provider = OpenAIProvider(base_url=f"{os.environ['BENCH_MODEL_URL']}/v1", api_key="bench")
agent = Agent()


async def chat(request: Request) -> Response:
    """Answer the last message, whose text names the model."""
    name = json.loads(await request.body())["messages"][-1]["parts"][0]["text"]
    model = OpenAIChatModel(name, provider=provider)
    return await VercelAIAdapter.dispatch_request(request, agent=agent, model=model, sdk_version=6)


app = Starlette(routes=[Route("/api/chat", chat, methods=["POST"])])
