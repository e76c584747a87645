"""A plain blocking client, for what is measured one request at a time."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from bench_lib.faces import append_path, chat_body, follow_path, message_record
from bench_lib.processes import BenchFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 30.0


class Client:
    """One connection to a server; a request at a time."""

    def __init__(self, url: str, token: str) -> None:
        place = urlsplit(url)
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._connection = http.client.HTTPConnection(
            place.hostname or "", place.port, timeout=TIMEOUT_S
        )

    def request(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """Return status and body of the answer; what fails is raised as `OSError` or the like."""
        response = self._send(method, path, body)
        return response.status, response.read()

    def json(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON of a good answer.

        Raises:
            BenchFailed: The answer was none.
        """
        status, data = self.request(method, path, body)
        if not 200 <= status < 300:
            raise BenchFailed(f"{method} {path} was answered with {status}: {data[:300]!r}")
        return json.loads(data)

    def events(self, method: str, path: str, body: object = None) -> Iterator[tuple[int, str]]:
        """Yield the data of each event as it comes, with when it came in microseconds.

        Raises:
            BenchFailed: The answer is no stream.
        """
        response = self._send(method, path, body)
        if response.status != 200:
            raise BenchFailed(f"{method} {path} was answered with {response.status}")
        for line in response:
            if line.startswith(b"data: "):
                yield time.monotonic_ns() // 1000, line[6:].strip().decode()

    def close(self) -> None:
        """Close the connection, wherever its answer stands."""
        self._connection.close()

    def _send(self, method: str, path: str, body: object) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, self._headers)
        return self._connection.getresponse()

    # --- sessions ---------------------------------------------------------------------------

    def create_session(self, key: str, task: str) -> None:
        """Create a session, which starts a run."""
        form = {"type": "chat.agent", "taskIdentifier": task, "externalId": key}
        self.json("POST", "/api/v1/sessions", {**form, "triggerConfig": {"basePayload": {}}})

    def append(self, key: str, record: object) -> None:
        """Append a record to a session."""
        self.json("POST", append_path(key), record)

    def say(self, key: str, text: str, number: int = 0) -> None:
        """Append a user's message to a session."""
        self.append(key, message_record(key, text=text, number=number))

    def follow(self, key: str) -> Iterator[tuple[int, str]]:
        """Yield the events of a session's stream from its beginning."""
        return self.events("GET", follow_path(key))

    # --- chats ------------------------------------------------------------------------------

    def chat(self, task: str, key: str, text: str, number: int = 0) -> Iterator[tuple[int, str]]:
        """Say something in a chat and yield the events of the answer."""
        return self.events("POST", f"/api/chat/{task}", chat_body(key, text=text, number=number))

    def stop(self, task: str, key: str) -> None:
        """Stop the chat's turn."""
        self.json("POST", f"/api/chat/{task}/{quote(key)}/stop", {})


def text_of(events: Iterator[tuple[int, str]]) -> str:
    """Return the text of an answer in the AI SDK's form.

    Raises:
        BenchFailed: It holds an error, or broke off.
    """
    text = ""
    for _at_us, data in events:
        if data == "[DONE]":
            return text
        chunk = json.loads(data)
        if chunk["type"] == "error":
            raise BenchFailed(f"the answer failed: {chunk['errorText']}")
        if chunk["type"] == "text-delta":
            text += chunk["delta"]
    raise BenchFailed("the answer broke off")
