"""Provider failures over real HTTP: whether and when a retry follows, and the possible cost."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from common.database import server as database_server
from executions.engine.domain.calls import ModelRequest
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import FailureCode
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options
from tests.integration.llm.model_server import Answer, Line, Misbehaviour, model_server
from tests.integration.llm.models import forget_models
from tests.integration.llm.text_listeners import ignore
from tests.support.waiting import Stopwatch

MODELS = ("openai:gpt-5", "anthropic:claude-sonnet-5-5")
ERROR = {"type": "error", "error": {"type": "some_error", "message": "No."}}

pytestmark = pytest.mark.parametrize("model", MODELS)


STREAMING = False  # each test runs with both


@pytest.fixture(autouse=True, params=[False, True], ids=["whole", "streamed"])
async def keys(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Keys that no real provider knows, and clients that are made anew."""
    monkeypatch.setattr(sys.modules[__name__], "STREAMING", request.param)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    await forget_models()
    yield
    await forget_models()


def request_to(model: str, timeout_seconds: int = 20) -> ModelRequest:
    """Return a request."""
    return ModelRequest(
        step_id="one",
        model=model,
        instructions="You write.",
        prompt="Write.",
        output_schema={"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
        max_questions=0,
        max_output_tokens=500,
        timeout_seconds=timeout_seconds,
        document_type="report",
        role="Writer",
    )


async def ask(
    monkeypatch: pytest.MonkeyPatch, url: str, model: str, timeout_seconds: int = 20, *, connect_seconds: float = 10.0
) -> ModelError:
    """Return what asking a server fails with."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    with pytest.raises(ModelError) as failed:
        asked = providers.ProviderModel(Options(streaming=STREAMING, connect_seconds=connect_seconds))
        await asked.complete(request_to(model, timeout_seconds), ignore)
    return failed.value


async def failure(monkeypatch: pytest.MonkeyPatch, model: str, line: Line, *, timeout_seconds: int = 20) -> ModelError:
    """Return what asking a server that says this fails with; it is asked once."""
    with model_server(line) as server:
        error = await ask(monkeypatch, server.url, model, timeout_seconds)
        assert len(server.asked) == 1
    return error


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_what_passes_may_be_tried_again_and_has_cost_nothing(
    monkeypatch: pytest.MonkeyPatch, model: str, status: int
) -> None:
    error = await failure(monkeypatch, model, Answer(status=status, body=ERROR))
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, False)
    assert error.retry_after is None
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (400, FailureCode.PROVIDER_REJECTED, "output_schema"),
        (401, FailureCode.PROVIDER_REJECTED, "key"),
        (402, FailureCode.PROVIDER_REJECTED, "credit"),
        (403, FailureCode.PROVIDER_REJECTED, "permissions"),
        (404, FailureCode.PROVIDER_REJECTED, "model's name"),
        (413, FailureCode.CONTEXT_TOO_LONG, "input_token_budget"),
        (422, FailureCode.PROVIDER_REJECTED, "output_schema"),
        (451, FailureCode.PROVIDER_REJECTED, "output_schema"),
    ],
)
async def test_what_does_not_pass_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, model: str, status: int, code: FailureCode, advice: str
) -> None:
    error = await failure(monkeypatch, model, Answer(status=status, body=ERROR, headers={"Retry-After": "1"}))
    assert (error.failure_code, error.transient, error.cut_off) == (code, False, False)
    assert advice in str(error)


async def test_a_prompt_that_is_too_long_is_no_bad_request(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    body = {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
            "message": "prompt is too long: 300000 tokens > 200000 maximum",
        },
    }
    error = await failure(monkeypatch, model, Answer(status=400, body=body))
    assert (error.failure_code, error.transient) == (FailureCode.CONTEXT_TOO_LONG, False)
    assert "input_token_budget" in str(error)


async def test_a_quota_that_is_used_up_does_not_come_back_by_waiting(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    kind = "insufficient_quota" if model.startswith("openai") else "billing_error"
    body = {"type": "error", "error": {"type": kind, "code": kind, "message": "You have no credit."}}
    error = await failure(monkeypatch, model, Answer(status=429, body=body))
    assert (error.failure_code, error.transient) == (FailureCode.PROVIDER_REJECTED, False)
    assert "raise it with the provider" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "20"}, 20.0),
        ({"retry-after": "0"}, 0.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "20", "Retry-After-Ms": "250"}, 0.25),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1e999"}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 529])
async def test_the_provider_says_how_long_to_wait(
    monkeypatch: pytest.MonkeyPatch, model: str, status: int, headers: dict[str, str], seconds: float | None
) -> None:
    error = await failure(monkeypatch, model, Answer(status=status, body=ERROR, headers=headers))
    assert error.retry_after == seconds


async def test_the_provider_says_until_when_to_wait(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    error = await failure(monkeypatch, model, Answer(status=429, body=ERROR, headers={"Retry-After": until}))
    assert error.retry_after == pytest.approx(90, abs=10)


def http_date(ahead: float) -> str:
    """Return a moment that this machine's clock has so many seconds later."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)


@pytest.mark.parametrize(("ahead", "seconds"), [(3600, 90), (-3600, 90), (600, 0), (0, 90_000), (-3600, -1)])
async def test_a_moment_is_one_of_the_providers_clock(
    monkeypatch: pytest.MonkeyPatch, model: str, ahead: int, seconds: int
) -> None:
    headers = {"Date": http_date(ahead), "Retry-After": http_date(ahead + seconds)}
    error = await failure(monkeypatch, model, Answer(status=429, body=ERROR, headers=headers))
    assert error.retry_after == pytest.approx(max(0, seconds), abs=1)


@pytest.mark.parametrize("ahead", [3600, -3600])
async def test_a_moment_without_the_providers_clock_is_one_of_the_databases(
    monkeypatch: pytest.MonkeyPatch, model: str, ahead: int
) -> None:
    monkeypatch.setattr(database_server, "server", seen := database_server.Server())
    seen.record_probe(datetime.now(UTC).timestamp() + ahead, 1.0, asked_at=database_server._ticks())
    headers = {"Date": "", "Retry-After": http_date(ahead + 90)}
    error = await failure(monkeypatch, model, Answer(status=503, body=ERROR, headers=headers))
    assert error.retry_after == pytest.approx(90, abs=10)


async def test_no_process_listens_there(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    with socket.socket() as taken:  # bound, and never listening
        taken.bind(("127.0.0.1", 0))
        error = await ask(monkeypatch, f"http://127.0.0.1:{taken.getsockname()[1]}", model)
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, False)
    assert "could not be reached" in str(error)


async def test_a_name_that_is_not_known_now_may_be_known_later(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    error = await ask(monkeypatch, "http://model-server.invalid", model)
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, False)


async def test_a_server_that_does_not_speak_tls_now_may_do_so_later(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    with model_server(Answer()) as server:
        error = await ask(monkeypatch, server.url.replace("http:", "https:"), model)
        assert server.asked == []
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, False)


async def test_a_server_that_takes_no_connection_may_take_one_later(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        waiting = stack.enter_context(socket.create_connection(full.getsockname()))  # it fills the backlog
        assert waiting.getpeername() == full.getsockname()
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        error = await ask(monkeypatch, url, model, connect_seconds=0.3)
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.TIMED_OUT, True, False)


async def test_a_connection_that_breaks_after_the_request_was_sent_may_have_cost_something(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    error = await failure(monkeypatch, model, Misbehaviour.HANG_UP)
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, True)


async def test_a_call_that_is_given_up_may_have_cost_something_and_its_connection_is_closed(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    with model_server(Misbehaviour.NEVER_ANSWER) as server:
        watch = Stopwatch()
        error = await ask(monkeypatch, server.url, model, timeout_seconds=1)
        while not server.left:
            await asyncio.sleep(0.02)
        assert watch.seconds() < 3
        assert len(server.asked) == 1
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.TIMED_OUT, True, True)


async def test_a_page_instead_of_an_answer_may_be_gone_the_next_time(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    error = await failure(monkeypatch, model, Answer(body="<html>Out of order</html>", type="text/html"))
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, True)
    assert "unreadable reply" in str(error)


async def test_the_same_server_answers_in_both_languages(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    with model_server(Answer()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        reply = await providers.ProviderModel(Options(streaming=STREAMING)).complete(request_to(model), ignore)
    assert [call.name for call in reply.tool_calls] == ["submit_document"]
