"""The requests that clients send, as bytes: to the model, to a chat route, to a session."""

from __future__ import annotations

import json
from urllib.parse import quote


def model_request(path: str, *, model: str, key: str, token: str) -> bytes:
    """Return a request for a chat completion."""
    messages = [{"role": "user", "content": model}]
    body = {"model": model, "messages": messages, "stream": True, "user": key}
    return post(path, body, token=token)


def chat_request(path: str, *, model: str, key: str, token: str) -> bytes:
    """Return what the AI SDK's transport posts; the message's text is the model's name."""
    return post(path, chat_body(key, text=model), token=token)


def chat_body(key: str, *, text: str, number: int = 0) -> dict[str, object]:
    """Return the body of such a request; `number` is the turn's."""
    messages = [user_message(key, text, number)]
    return {"id": key, "messages": messages, "trigger": "submit-message"}


def append_request(key: str, *, text: str, token: str) -> bytes:
    """Return the append of a user's message to a session."""
    return post(append_path(key), message_record(key, text=text), token=token)


def append_path(key: str) -> str:
    """Return where records of a session are appended."""
    return f"/realtime/v1/sessions/{quote(key)}/in/append"


def follow_path(key: str) -> str:
    """Return where a session is followed."""
    return f"/realtime/v1/sessions/{quote(key)}/out"


def message_record(key: str, *, text: str, number: int = 0) -> dict[str, object]:
    """Return the record of a user's message; `number` is the turn's."""
    message = user_message(key, text, number)
    payload = {"message": message, "chatId": key, "trigger": "submit-message"}
    return {"kind": "message", "payload": payload}


def user_message(key: str, text: str, number: int) -> dict[str, object]:
    """Return a UI message of the user's."""
    parts = [{"type": "text", "text": text}]
    return {"id": f"m-{key}-{number}", "role": "user", "parts": parts}


def follow_request(key: str, *, token: str) -> bytes:
    """Return the request for a session's stream, from its beginning."""
    lines = [
        f"GET {follow_path(key)} HTTP/1.1",
        "host: 127.0.0.1",
        "accept: text/event-stream",
        f"authorization: Bearer {token}",
        "timeout-seconds: 120",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def post(path: str, body: object, *, token: str) -> bytes:
    """Return a POST of JSON as bytes."""
    data = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        f"authorization: Bearer {token}",
        "content-type: application/json",
        f"content-length: {len(data)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + data
