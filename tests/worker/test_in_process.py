"""`chatrun dev --in-process`: the same worker on the server's own loop."""

from __future__ import annotations

import aiohttp

from tests.support.server import DevServer, dev_server

TASK = """
from chatrun import chat

@chat.task("my-chat")
async def my_chat(turn):
    return "first code"
"""


async def ask(server: DevServer, chat_id: str) -> str:
    message = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
    headers = {"authorization": f"Bearer {server.secret}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(
            f"{server.url}/api/text/my-chat",
            json={"id": chat_id, "messages": [message], "trigger": "submit-message"},
        ) as response,
    ):
        return await response.text()


async def test_a_task_is_served_and_reloaded_in_the_servers_own_process() -> None:
    async with dev_server({"tasks/chat.py": TASK}, args=["--in-process"]) as server:
        before = await ask(server, "a")
        server.write("tasks/chat.py", TASK.replace("first", "second"))
        await server.event("reloaded")
        after = await ask(server, "b")

    assert (before, after) == ("first code", "second code")
