"""What goes wrong at a provider: every fault on every wire, and what it is called here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anthropic
import httpx2
import openai
import pytest

from chatrun.errors import (
    ProviderError,
    ProviderKeyMissing,
    ProviderRejected,
    ProviderTruncated,
    ProviderUnavailable,
)
from chatrun.models.anthropic import Anthropic
from chatrun.models.base import ModelRequest
from chatrun.models.faults import foreign_error
from chatrun.models.openai import OpenAI
from tests.support.models import HI, WIRES, answer_of, model_on

if TYPE_CHECKING:
    from chatrun.models.base import Model
    from tests.support.provider import Exchange, FakeProvider
    from tests.support.provider_wires import WireName

FAULTS = [
    ("status-400", ProviderRejected, 400, "answered 400: the fake provider says 400"),
    ("status-401", ProviderRejected, 401, "answered 401: the fake provider says 401"),
    ("status-404", ProviderRejected, 404, "answered 404: the fake provider says 404"),
    ("status-408", ProviderUnavailable, 408, "answered 408: the fake provider says 408"),
    ("status-429", ProviderUnavailable, 429, "answered 429: the fake provider says 429"),
    ("status-500", ProviderUnavailable, 500, "answered 500: the fake provider says 500"),
    ("status-529", ProviderUnavailable, 529, "answered 529: the fake provider says 529"),
    ("no-such-model", ProviderRejected, 404, "no such model: no-such-model"),
    ("overloaded", ProviderUnavailable, None, "failed while answering"),
    ("overloaded-at-once", ProviderUnavailable, None, "failed while answering"),
    ("tcp-cut", ProviderUnavailable, None, "lost the connection"),
    ("clean-cut", ProviderTruncated, None, "broke off"),
    ("empty", ProviderTruncated, None, "broke off"),
]


async def fault_of(model: Model, **request: object) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await answer_of(model, **request)
    return caught.value


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("name", "kind", "status", "words"), FAULTS, ids=[name for name, *_ in FAULTS]
)
async def test_a_fault_becomes_an_error_of_ours(
    provider: FakeProvider,
    wire: WireName,
    name: str,
    kind: type[ProviderError],
    status: int | None,
    words: str,
) -> None:
    model = model_on(provider, wire, name)

    error = await fault_of(model, max_retries=1)

    assert (type(error), error.status, error.model) == (kind, status, model.name)
    assert words in str(error)
    assert model.name in str(error)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3)])
async def test_a_refusal_for_now_is_tried_again_as_often_as_asked(
    provider: FakeProvider, wire: WireName, retries: int, attempts: int
) -> None:
    await fault_of(model_on(provider, wire, "status-429"), max_retries=retries)

    assert len(provider.requests) == attempts


@pytest.mark.parametrize("wire", WIRES)
async def test_a_server_that_is_not_there_is_unavailable(wire: WireName) -> None:
    base_url = "http://127.0.0.1:9"
    model: Model = Anthropic("m", api_key="k", base_url=base_url)
    if wire != "anthropic":
        model = OpenAI("m", api_key="k", base_url=base_url, api=wire)

    error = await fault_of(model, max_retries=0)

    assert type(error) is ProviderUnavailable
    assert str(error).startswith(f"cannot reach {model.name}: ")


@pytest.mark.parametrize("wire", WIRES)
async def test_no_retry_follows_once_the_answer_has_begun(
    provider: FakeProvider, wire: WireName
) -> None:
    await fault_of(model_on(provider, wire, "overloaded-at-once"), max_retries=5)

    assert len(provider.requests) == 1


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", ["hang", "pings", "no-headers"])
async def test_a_model_that_falls_silent_is_given_up(
    provider: FakeProvider, wire: WireName, name: str
) -> None:
    error = await fault_of(model_on(provider, wire, name), chunk_timeout_s=0.15)

    assert type(error) is ProviderUnavailable
    assert str(error).endswith("has sent nothing for 0.15 s")
    await provider.disconnected()


@pytest.mark.parametrize("wire", WIRES)
async def test_a_slow_reader_is_not_taken_for_a_silent_model(
    provider: FakeProvider, wire: WireName
) -> None:
    request = ModelRequest(messages=HI, chunk_timeout_s=0.1)
    count = 0

    async with model_on(provider, wire, "ok").stream(request) as items:
        async for _ in items:
            count += 1
            await asyncio.sleep(0.03)

    assert count == 8


async def test_a_model_may_be_silent_for_as_long_as_it_likes(provider: FakeProvider) -> None:
    _, finish = await answer_of(
        model_on(provider, "anthropic", "slow-headers"), chunk_timeout_s=None
    )

    assert finish.reason == "stop"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", ["hang", "no-headers", "pings"])
async def test_cancelling_closes_the_connection_at_once(
    provider: FakeProvider, wire: WireName, name: str
) -> None:
    reading = asyncio.create_task(answer_of(model_on(provider, wire, name)))
    await provider.requested()
    if name != "no-headers":
        await provider.spoken()

    reading.cancel()
    async with asyncio.timeout(1):
        await provider.disconnected()

    with pytest.raises(asyncio.CancelledError):
        await reading
    assert provider.open_answers == 0


@pytest.mark.parametrize("wire", WIRES)
async def test_leaving_in_the_middle_closes_the_connection(
    provider: FakeProvider, wire: WireName
) -> None:
    async with model_on(provider, wire, "hang").stream(ModelRequest(messages=HI)) as items:
        async for _ in items:
            break

    await provider.disconnected()


@pytest.mark.parametrize("wire", WIRES)
async def test_an_error_of_the_reader_closes_the_connection_and_stays_as_it_is(
    provider: FakeProvider, wire: WireName
) -> None:
    with pytest.raises(OSError, match="mine"):
        async with model_on(provider, wire, "hang").stream(ModelRequest(messages=HI)) as items:
            async for _ in items:
                raise OSError("mine")

    await provider.disconnected()


@pytest.mark.parametrize("wire", WIRES)
async def test_a_page_instead_of_a_stream_hints_at_the_base_url(
    provider: FakeProvider, wire: WireName
) -> None:
    async def page(exchange: Exchange) -> None:
        await exchange.reply("<h1>Welcome</h1>", kind="text/html")

    provider.on("page", page)

    error = await fault_of(model_on(provider, wire, "page"))

    assert type(error) is ProviderRejected
    assert str(error).endswith("is the base URL right?")


@pytest.mark.parametrize("wire", WIRES)
async def test_an_event_that_lacks_its_fields_is_the_providers_fault(
    provider: FakeProvider, wire: WireName
) -> None:
    broken = {
        "anthropic": b'event: x\ndata: {"type": "content_block_start"}\n\n',
        "chat": b'data: {"choices": [{"delta": {"tool_calls": [7]}}]}\n\n',
        "responses": b'data: {"type": "response.output_item.added"}\n\n',
    }

    async def scenario(exchange: Exchange) -> None:
        await exchange.send(broken[wire])

    provider.on("broken", scenario)

    error = await fault_of(model_on(provider, wire, "broken"))

    assert type(error) is ProviderUnavailable
    assert "cannot be read" in str(error)


@pytest.mark.parametrize("wire", WIRES)
async def test_an_event_that_is_no_json_is_passed_over(
    provider: FakeProvider, wire: WireName, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(exchange: Exchange) -> None:
        await exchange.send(b"data: {not json\n\n" + exchange.wire.open() + exchange.wire.close())

    provider.on("garbled", scenario)

    _, finish = await answer_of(model_on(provider, wire, "garbled"))

    assert finish.reason == "stop"
    assert "not JSON" in caplog.text


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "invalid_request_error", "message": "no"}, ProviderRejected),
        (
            {"type": "server_error", "code": "context_length_exceeded", "message": "no"},
            ProviderRejected,
        ),
        ({"code": 502, "message": "upstream"}, ProviderUnavailable),
        ({"message": None}, ProviderUnavailable),
        ("just words", ProviderUnavailable),
    ],
)
async def test_errors_inside_a_chat_stream_are_told_by_type_and_code(
    provider: FakeProvider, event: object, kind: type[ProviderError]
) -> None:
    from tests.support.provider_wires import sse

    async def scenario(exchange: Exchange) -> None:
        await exchange.send(exchange.wire.open() + sse({"error": event}))

    provider.on("fails", scenario)

    error = await fault_of(model_on(provider, "chat", "fails"))

    assert type(error) is kind


async def test_a_spent_account_is_not_worth_trying_again(provider: FakeProvider) -> None:
    async def scenario(exchange: Exchange) -> None:
        error = {"message": "You exceeded your quota", "type": "insufficient_quota"}
        await exchange.reply({"error": error}, code=429)

    provider.on("spent", scenario)

    error = await fault_of(model_on(provider, "chat", "spent"), max_retries=0)

    assert type(error) is ProviderRejected
    assert str(error) == "openai-chat:spent answered 429: You exceeded your quota"


@pytest.mark.parametrize(
    ("model", "variable"),
    [(Anthropic("m"), "ANTHROPIC_API_KEY"), (OpenAI("m"), "OPENAI_API_KEY")],
    ids=["anthropic", "openai"],
)
async def test_a_missing_key_is_told_with_its_name_and_a_way_out(
    model: Model, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    error = await fault_of(model)

    assert type(error) is ProviderKeyMissing
    assert str(error) == (
        f"{model.name} needs an API key: put {variable}=... into .env or the environment, "
        'or use the model "demo", which needs none'
    )


async def test_a_client_without_a_key_is_told_of_as_it_says_itself(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    async with anthropic.AsyncAnthropic(base_url=provider.base_url) as client:
        error = await fault_of(Anthropic("ok", client=client))

    assert type(error) is ProviderRejected
    assert "could not be asked" in str(error)
    assert "authentication" in str(error)


def test_errors_that_are_not_a_providers_stay_what_they_are() -> None:
    assert foreign_error(ValueError("mine"), model="m") is None


@pytest.mark.parametrize(
    ("exc", "kind", "text"),
    [
        (OSError("gone"), ProviderUnavailable, "cannot reach m: gone"),
        (httpx2.ReadTimeout("slow"), ProviderUnavailable, "m did not answer in time"),
        (httpx2.ReadError(""), ProviderUnavailable, "cannot reach m: ReadError"),
        (openai.OpenAIError("odd"), ProviderRejected, "m could not be asked: odd"),
        (
            ProviderTruncated("the answer of m broke off", model="m"),
            ProviderTruncated,
            "the answer of m broke off",
        ),
    ],
)
def test_errors_of_the_packages_are_told_in_our_words(
    exc: Exception, kind: type[ProviderError], text: str
) -> None:
    error = foreign_error(exc, model="m")

    assert type(error) is kind
    assert str(error) == text


@pytest.mark.parametrize("body", ["Bad Gateway", '{"error": "no such route"}', "[]"])
async def test_an_error_page_of_another_kind_is_told_as_well_as_can_be(
    provider: FakeProvider, body: str
) -> None:
    async def scenario(exchange: Exchange) -> None:
        await exchange.reply(body, code=502)

    provider.on("odd", scenario)

    error = await fault_of(model_on(provider, "chat", "odd"), max_retries=0)

    assert (type(error), error.status) == (ProviderUnavailable, 502)
    assert str(error).startswith("openai-chat:odd answered 502: ")


async def test_a_server_of_ones_own_needs_no_key(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    await answer_of(OpenAI("ok", base_url=provider.openai_url))

    assert provider.requests[0].headers["authorization"] == "Bearer none"
