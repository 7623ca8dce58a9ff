"""Wire formats of real providers over real HTTP, from servers on this machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from executions.engine.domain.calls import FinishReason, ModelReply, ModelRequest
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import FailureCode
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options
from tests.integration.llm.calls.test_failures import request_to
from tests.integration.llm.text_listeners import ignore

pytestmark = pytest.mark.usefixtures("keys")

DOCUMENT = {"title": "T", "points": ["p"]}


@contextmanager
def _server(status: int, body: object, *, seconds: float = 0.0) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Provide the URL of a server that answers everything alike, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            time.sleep(seconds)
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def _ask(
    monkeypatch: pytest.MonkeyPatch, model: str, status: int, body: object, **more: float
) -> tuple[ModelReply, dict[str, Any]]:
    timeout = int(more.pop("timeout", 20))
    with _server(status, body, **more) as (url, asked):
        monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        request = ModelRequest(
            step_id="one",
            model=model,
            instructions="You write.",
            prompt="Write.",
            output_schema={"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
            max_questions=2,
            max_output_tokens=500,
            timeout_seconds=timeout,
            document_type="report",
            role="Writer",
        )
        try:
            return await providers.ProviderModel(Options(streaming=False)).complete(request, ignore), asked[0]
        finally:
            assert len(asked) == 1  # never tried again: that might pay twice


def _openai(arguments: object = None, *, finish: str = "tool_calls", model: str = "gpt-5") -> dict[str, Any]:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "submit_document", "arguments": json.dumps(arguments or DOCUMENT)},
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": None, "tool_calls": [call]},
            }
        ],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 200,
            "total_tokens": 1200,
            "prompt_tokens_details": {"cached_tokens": 400},
            "completion_tokens_details": {"reasoning_tokens": 50},
        },
    }


def _anthropic() -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "submit_document", "input": DOCUMENT}],
        "usage": {
            "input_tokens": 1000,
            "cache_read_input_tokens": 300,
            "cache_creation_input_tokens": 100,
            "output_tokens": 200,
        },
    }


async def test_an_openai_reply_is_read_with_its_tokens_in_disjoint_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    reply, asked = await _ask(monkeypatch, "openai:gpt-5", 200, _openai())
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["submit_document", "ask_clarification"]
    assert [call.name for call in reply.tool_calls] == ["submit_document"]
    assert (reply.usage.input_tokens, reply.usage.cache_read_input_tokens) == (600, 400)
    assert (reply.usage.output_tokens, reply.usage.reasoning_tokens) == (200, 50)
    assert reply.provider_request_id == "chatcmpl-1"
    # 600 at $1.25, 400 cached at $0.125, 200 at $10 per million
    assert reply.cost_usd == Decimal("0.0028000000")


async def test_an_anthropic_reply_is_read_with_its_tokens_in_disjoint_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    reply, asked = await _ask(monkeypatch, "anthropic:claude-sonnet-5-5", 200, _anthropic())
    assert {tool["name"] for tool in asked["tools"]} == {"submit_document", "ask_clarification"}
    assert reply.tool_calls[0].arguments == DOCUMENT
    usage = reply.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (1000, 300, 100)
    # 1000 at $2, 300 cached at $0.10, 100 written at $2.50, 200 at $10 per million
    assert reply.cost_usd == Decimal("0.0042800000")


async def test_a_model_without_a_price_costs_an_unknown_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    reply, _ = await _ask(monkeypatch, "openai:some-model", 200, _openai(model="some-model"))
    assert reply.cost_usd is None


async def test_a_reply_that_was_cut_off_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    reply, _ = await _ask(monkeypatch, "openai:gpt-5", 200, _openai(finish="length"))
    assert reply.finish_reason is FinishReason.TRUNCATED


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, FailureCode.PROVIDER_REJECTED),
        (403, FailureCode.PROVIDER_REJECTED),
        (404, FailureCode.PROVIDER_REJECTED),
        (400, FailureCode.PROVIDER_REJECTED),
        (429, FailureCode.PROVIDER_UNAVAILABLE),
        (500, FailureCode.PROVIDER_UNAVAILABLE),
        (529, FailureCode.PROVIDER_UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("model", ["openai:gpt-5", "anthropic:claude-sonnet-5-5"])
async def test_a_refusal_has_its_code(
    monkeypatch: pytest.MonkeyPatch, model: str, status: int, code: FailureCode
) -> None:
    body = {"type": "error", "error": {"type": "some_error", "message": "No."}}
    with pytest.raises(ModelError) as refused:
        await _ask(monkeypatch, model, status, body)
    assert refused.value.failure_code is code
    assert str(status) in str(refused.value)


async def test_a_provider_that_does_not_answer_in_time_has_timed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError) as refused:
        await _ask(monkeypatch, "openai:gpt-5", 200, _openai(), seconds=2.0, timeout=1)
    assert refused.value.failure_code is FailureCode.TIMED_OUT


async def test_an_unknown_provider_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    request_model = "no-such-provider:model"
    with pytest.raises(ModelError) as refused:
        await providers.ProviderModel(Options(streaming=False)).complete(
            ModelRequest(
                step_id="one",
                model=request_model,
                instructions="",
                prompt="",
                output_schema={},
                max_questions=0,
                max_output_tokens=1,
                timeout_seconds=1,
                document_type="d",
                role="r",
            ),
            ignore,
        )
    assert refused.value.failure_code is FailureCode.PROVIDER_REJECTED
    assert request_model in str(refused.value)


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        ("openai:gpt-5", "OPENAI_API_KEY is not set"),
        ("openai-responses:gpt-5", "OPENAI_API_KEY is not set"),
        ("anthropic:claude-sonnet-5-5", "ANTHROPIC_API_KEY is not set"),
        ("google:gemini-3.8-flash", "GOOGLE_API_KEY"),
        ("groq:some-model", "install"),
    ],
)
async def test_a_provider_without_its_key_or_its_library_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, model: str, advice: str
) -> None:
    for name in ("OPENAI", "ANTHROPIC", "GOOGLE"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
        monkeypatch.delenv(f"{name}_BASE_URL", raising=False)
    with pytest.raises(ModelError) as refused:
        await providers.ProviderModel(Options()).complete(request_to(model), ignore)
    assert refused.value.failure_code is FailureCode.PROVIDER_REJECTED
    assert not refused.value.transient
    assert advice in str(refused.value)
