"""What answers chats, one beside the other: chatrun by both its faces, the model, the peers."""

from __future__ import annotations

import json
import math
import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench_lib import peers
from bench_lib.load import Load
from bench_lib.machine import Usage, tree_usage
from bench_lib.processes import BenchFailed, own_module
from bench_lib.project import TASKS, Serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench_lib.load import Face
    from bench_lib.peers import App
    from bench_lib.processes import Child
    from bench_lib.project import Project

CHAT = "chatrun, AI SDK face"
SESSION = "chatrun, session protocol"
MODEL = "the model itself"
BARE = "aiohttp writing by itself"
PASSTHROUGH = "aiohttp passthrough"
FASTAPI = "FastAPI + openai"
PYDANTIC_AI = "pydantic-ai adapter"
AI_SDK = "AI SDK 7 on Node"

WARM_MS = 150
WARM_UP_LOADS = 8


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that answers chats."""

    name: str
    url: str
    face: Face
    path: str
    pid: int = 0
    """Its process; 0 where the CPU is not its own."""
    token: str = "none"
    project: Project | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What one load on one subject came to."""

    result: dict[str, Any]
    usage: Usage = Usage()
    """What the subject used while the window was open."""
    tokens: int = 0
    """How many came in that window."""
    keys: tuple[str, ...] = ()
    """The chats' ids."""

    @property
    def per_token(self) -> Usage:
        """CPU per token, in microseconds; infinite where next to none came in the window."""
        if self.tokens < self.result["chats"]:
            return Usage(math.inf, math.inf)
        return Usage(self.usage.root_us / self.tokens, self.usage.below_us / self.tokens)


@contextmanager
def fake_model() -> Iterator[str]:
    """Yield the URL of a fake model."""
    with own_module("model") as model:
        yield model.line()


@contextmanager
def all_subjects(model_url: str, *, with_peers: bool, bare: bool = True) -> Iterator[list[Subject]]:
    """Yield everything that can be compared, warmed up."""
    with ExitStack() as stack:
        through = stack.enter_context(peers.passthrough(model_url))
        project = stack.enter_context(Serving({"tasks/bench.py": TASKS}, model_url=model_url))
        subjects = [
            Subject(MODEL, model_url, "model", "/v1/chat/completions"),
            *([Subject(BARE, through.url, "chat", "/paced", through.pid)] if bare else []),
            _chat_app(PASSTHROUGH, through),
            *chatrun_subjects(project),
        ]
        if with_peers:
            subjects += [
                _chat_app(name, stack.enter_context(app)) for name, app in _peers(model_url)
            ]
        for subject in subjects:
            warm_up(subject)
        yield subjects


def warm_up(subject: Subject) -> None:
    """Have chats answered until the first token comes at once: imports and pools are there then.

    Raises:
        BenchFailed: Chats are not answered in full.
    """
    for _ in range(WARM_UP_LOADS):
        load = run_load(subject, "paced-100-10", chats=20, tokens_each=10, ramp_s=0.4)
        if check(load, subject).result["first_ms"]["max"] < WARM_MS:
            return


def chatrun_subjects(project: Project) -> list[Subject]:
    """Return both faces of a project."""
    chat = Subject(
        CHAT, project.url, "chat", "/api/chat/bench", project.pid, project.secret, project
    )
    return [chat, replace(chat, name=SESSION, face="session", path="bench")]


def _peers(model_url: str) -> list[tuple[str, App]]:
    return [
        (FASTAPI, peers.uvicorn("fastapi_openai", model_url)),
        (PYDANTIC_AI, peers.uvicorn("pydantic_ai_app", model_url)),
        (AI_SDK, peers.ai_sdk(model_url)),
    ]


def _chat_app(name: str, app: App) -> Subject:
    return Subject(name, app.url, "chat", "/api/chat", app.pid)


def run_load(
    subject: Subject,
    model: str,
    *,
    chats: int,
    tokens_each: int,
    ramp_s: float = 0.0,
    window_s: float = 0.0,
    patience_s: float = 0.0,
    limit_s: float = 60.0,
) -> Measured:
    """Have `chats` chats answered at once, each by `model`, and return what was measured."""
    keys = new_keys(subject, chats)
    load = Load(
        url=subject.url,
        face=subject.face,
        path=subject.path,
        token=subject.token,
        model=model,
        keys=keys,
        tokens_each=tokens_each,
        ramp_s=ramp_s,
        window_s=window_s,
        patience_s=patience_s,
        limit_s=limit_s,
    )
    with own_module("load") as client:
        client.tell(load.to_json())
        return replace(_measure(client, subject, wait_s=limit_s + 30), keys=keys)


def run_paced(
    subject: Subject,
    rate: int,
    *,
    chats: int,
    ramp_s: float,
    window_s: float,
    limit_s: float = 60.0,
) -> Measured:
    """Have chats answered at `rate` tokens a second each, for so long that all overlap."""
    patience_s = 0.2 + chats / 200
    count = math.ceil(rate * (ramp_s + patience_s + window_s + 0.1))
    return run_load(
        subject,
        f"paced-{rate}-{count}",
        chats=chats,
        tokens_each=count,
        ramp_s=ramp_s,
        window_s=window_s,
        patience_s=patience_s,
        limit_s=limit_s,
    )


def _measure(client: Child, subject: Subject, *, wait_s: float) -> Measured:
    marks: list[tuple[int, Usage]] = []
    while True:
        told = json.loads(client.line(wait_s=wait_s))
        if "mark" in told:
            marks.append((told["tokens"], _usage(subject)))
        elif marks:
            (tokens, usage), (later_tokens, later) = marks
            return Measured(told, later.since(usage), later_tokens - tokens)
        else:
            return Measured(told)


def _usage(subject: Subject) -> Usage:
    return tree_usage(subject.pid) if subject.pid else Usage()


def new_keys(subject: Subject, count: int) -> tuple[str, ...]:
    """Return ids of chats that nobody has used; with the session protocol the sessions exist."""
    prefix = secrets.token_hex(4)
    keys = tuple(f"{prefix}-{number}" for number in range(count))
    if subject.face == "session" and subject.project is not None:
        client = subject.project.client()
        for key in keys:
            client.create_session(key, subject.path)
        client.close()
    return keys


def check(measured: Measured, subject: Subject) -> Measured:
    """Return `measured` if every chat was answered in full.

    Raises:
        BenchFailed: One was not.
    """
    result = measured.result
    if result["broken"]:
        raise BenchFailed(
            f"{subject.name}: {result['broken']} of {result['chats']} chats were not answered in "
            f"full: {'; '.join(result['errors'])}"
        )
    return measured
