"""What `chatrun init` writes."""

from __future__ import annotations

from typing import Final

TASK: Final = '''\
"""A chat that answers with a model. Edit and save: the next message goes to the new code."""

import os

from chatrun import Turn, chat, stream_text


def pick_model() -> str:
    """Return a model whose key is set, else one that needs none and only says what to do."""
    if os.environ.get("ANTHROPIC_API_KEY"):
        return "anthropic:claude-sonnet-5-5"
    if os.environ.get("OPENAI_API_KEY"):
        return "openai:gpt-4o"
    return "demo"


@chat.task("my-chat")
async def my_chat(turn: Turn):
    return stream_text(pick_model(), messages=turn.messages, system="You are brief and friendly.")
'''

ENV: Final = """\
# Copy to .env and fill in what you have; without a key, the demo model answers.
ANTHROPIC_API_KEY=
OPENAI_API_KEY=
"""

IGNORED: Final = """\
.chatrun/
.env
__pycache__/
"""

README: Final = """\
# A chat with chatrun

    chatrun dev             # serves tasks/, takes up every save, opens a page to try it in
    chatrun chat my-chat    # talk to it in the terminal
    chatrun token my-chat   # a token for a frontend

Put a key into `.env` (see `.env.example`) to talk to a real model. `chatrun.toml` holds settings.

## In React

    npm install @trigger.dev/sdk @ai-sdk/react ai

The page speaks to chatrun with the published packages:

```tsx
"use client";
import { useChat } from "@ai-sdk/react";
import { useTriggerChatTransport } from "@trigger.dev/sdk/chat/react";
import { getChatToken } from "./actions";

export function Chat() {
  const transport = useTriggerChatTransport({
    task: "my-chat",
    accessToken: getChatToken,
    baseURL: "http://localhost:2428",
  });
  const { messages, sendMessage, stop, status } = useChat({ transport });
  // ... your own messages, input and buttons
}
```

The token comes from your own server, which knows the secret:

```ts
"use server"; // actions.ts
import { chat } from "@trigger.dev/sdk/ai";

export const getChatToken = async () => chat.createAccessToken("my-chat");
```

with `TRIGGER_API_URL=http://localhost:2428` and, as `TRIGGER_SECRET_KEY`, the text in
`.chatrun/secret`.
"""


def starter_files() -> dict[str, str]:
    """Return the files of a starter project: their text by their names."""
    return {
        "tasks/chat.py": TASK,
        "chatrun.toml": _settings(),
        ".env.example": ENV,
        ".gitignore": IGNORED,
        "README.md": README,
    }


def _settings() -> str:
    import tomli_w

    from chatrun.config import DEFAULT_PORT

    settings = {"server": {"port": DEFAULT_PORT, "allowed_origins": []}}
    return f"# Settings of this project; unset ones have defaults.\n\n{tomli_w.dumps(settings)}"
