"""From the runner to a provider over real HTTP, and back into the ledger."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pydantic_ai.models.anthropic
import pydantic_ai.models.openai
import pytest

from access.user import User
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus, FailureCode
from executions.engine.runtime.runner import ExecutionRunner
from executions.persistence import notifier
from executions.persistence.journal import connection as line
from telemetry.models import ModelCall
from tests.factories.engine import definition
from tests.factories.executions import start
from tests.integration.llm import wire_formats
from tests.integration.llm.model_server import Answer, Line, Misbehaviour, model_server
from tests.integration.llm.models import forget_models
from tests.integration.llm.usage import counted_answers
from workflows.errors import UNSTORABLE

#: Imported here, as to import them for the first time takes longer than these steps may take.
LIBRARIES = (pydantic_ai.models.anthropic, pydantic_ai.models.openai)

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]

BUSY = Answer(status=529, body={"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded."}})
LIMITED = Answer(status=429, body={"error": {"message": "Slow down."}}, headers={"Retry-After-Ms": "20"})
MODELS = ("openai:gpt-5", "anthropic:claude-sonnet-5-5")


@pytest.fixture(autouse=True)
async def keys(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Keys that no real provider knows, and clients that are made anew."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    await forget_models()
    yield
    await forget_models()
    notifier.stop()
    line.close()


async def run(
    monkeypatch: pytest.MonkeyPatch, user: User, model: str, *script: Line, timeout_seconds: int = 1
) -> tuple[Execution, list[dict[str, Any]]]:
    """Run a step that asks a server which says these lines; return the execution and its calls."""
    policy = {"max_tries": 4, "base_seconds": 0.01}
    line = definition({"id": "one", "model": model, "retries": policy, "timeout_seconds": timeout_seconds})
    with model_server(*script) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        stored = await in_thread(start, user, line)
        execution = await ExecutionRunner(build_ports(), execution_id=stored.id, worker="tests").run()
        assert all(body == server.asked[0] for body in server.asked)
    rows: Any = ModelCall.objects.order_by("started_at", "id").values()
    return execution, await in_thread(lambda: list(rows))


@pytest.mark.parametrize("model", MODELS)
async def test_a_provider_that_recovers_is_asked_until_it_answers(
    monkeypatch: pytest.MonkeyPatch, alice: User, model: str
) -> None:
    execution, calls = await run(monkeypatch, alice, model, BUSY, LIMITED, Misbehaviour.HANG_UP, Answer())
    assert execution.status is ExecutionStatus.COMPLETED
    assert [(call["ordinal"], call["status"]) for call in calls] == [
        (1, "failed"),
        (2, "failed"),
        (3, "unknown"),  # it was sent; whether it was charged is unknown
        (4, "committed"),
    ]
    assert [call["estimated_cost_usd"] is None for call in calls] == [True, True, False, True]
    assert len({call["request_hash"] for call in calls}) == 1
    assert "HTTP 529" in calls[0]["error"]


@pytest.mark.parametrize(
    ("line", "code"),
    [(BUSY, FailureCode.PROVIDER_UNAVAILABLE), (Misbehaviour.NEVER_ANSWER, FailureCode.TIMED_OUT)],
)
async def test_a_provider_that_does_not_recover_is_given_up(
    monkeypatch: pytest.MonkeyPatch, alice: User, line: Line, code: FailureCode
) -> None:
    execution, calls = await run(monkeypatch, alice, MODELS[0], line)
    assert (execution.status, len(calls)) == (ExecutionStatus.FAILED, 4)
    assert execution.failure is not None
    assert execution.failure.code is code
    assert "Tried 4 times" in execution.failure.message


async def test_a_prompt_that_a_server_has_no_room_for_is_cut_once(monkeypatch: pytest.MonkeyPatch, alice: User) -> None:
    body = {"error": {"code": 400, "message": "the request exceeds the available context size", "type": "invalid"}}
    line = definition({"id": "one", "model": MODELS[0], "timeout_seconds": 20})
    with model_server(Answer(status=400, body=body), Answer()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        stored = await in_thread(start, alice, line)
        execution = await ExecutionRunner(build_ports(), execution_id=stored.id, worker="tests").run()
        assert execution.status is ExecutionStatus.COMPLETED, execution.failure
        assert len(server.asked) == 2
    calls = await in_thread(lambda: list(ModelCall.objects.order_by("ordinal").values_list("status", "cost_usd")))
    assert [status for status, _ in calls] == ["failed", "committed"]


@pytest.mark.parametrize("reviewed", [False, True], ids=["document", "review"])
async def test_a_filter_in_mid_answer_is_the_reason_why_a_step_fails(
    monkeypatch: pytest.MonkeyPatch, alice: User, reviewed: bool
) -> None:
    cut = {"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant", "content": "Som"}}
    filtered = Answer(streamed={**wire_formats.completion("", {}), "choices": [cut]})
    review = {"review": {"rubric": "It is short.", "model": MODELS[0]}} if reviewed else {}
    line = definition({"id": "one", "model": MODELS[0], "timeout_seconds": 20, **review})
    with model_server(*([Answer()] if reviewed else []), filtered) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        stored = await in_thread(start, alice, line)
        execution = await ExecutionRunner(build_ports(), execution_id=stored.id, worker="tests").run()
    failure = execution.steps["one"].failure
    assert failure is not None
    assert failure.code is FailureCode.MODEL_REFUSED
    assert "The provider's content filter stopped the answer." in failure.message
    assert "Som" not in failure.message


COUNT = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
MESSAGE = {"input_tokens": 1000, "output_tokens": 200}
WORDS = {
    "a tier": (counted_answers.OPENAI, COUNT, {"service_tier": "@@"}),
    "a tool": (counted_answers.OPENAI, COUNT, {"tool_usage": {"@@": 1}}),
    "the model": (counted_answers.OPENAI, COUNT, {}),
    "the request": (counted_answers.OPENAI, COUNT, {"id": "chatcmpl-@@"}),
    "a fingerprint": (counted_answers.OPENAI, COUNT, {"system_fingerprint": "@@"}),
    "a count": (counted_answers.OPENAI, {**COUNT, "prompt_tokens": "@@"}, {}),
    "Anthropic, a tier": (counted_answers.ANTHROPIC, {**MESSAGE, "service_tier": "@@"}, {}),
    "Anthropic, the speed": (counted_answers.ANTHROPIC, {**MESSAGE, "speed": "@@"}, {}),
    "Anthropic, the place": (counted_answers.ANTHROPIC, {**MESSAGE, "inference_geo": "@@"}, {}),
    "Anthropic, a tool": (counted_answers.ANTHROPIC, {**MESSAGE, "server_tool_use": {"@@": 1}}, {}),
    "Anthropic, more searches than cost can be kept for": (
        counted_answers.ANTHROPIC,
        {**MESSAGE, "server_tool_use": {"web_search_requests": 10**30}},
        {},
    ),
}


@pytest.mark.parametrize("text", ["\0", "x\ud800" * 300], ids=["zero", "halves"])
@pytest.mark.parametrize(("model", "report", "more"), WORDS.values(), ids=WORDS)
async def test_a_reply_is_kept_whatever_a_provider_says_of_it(
    monkeypatch: pytest.MonkeyPatch, alice: User, model: str, report: Any, more: Any, text: str
) -> None:
    said = counted_answers.answer(model, report, streaming=True, **more)
    body = (
        str(said.body).replace('"gpt-5"', '"gpt-5@@"').replace('"finish_reason": "tool_calls"', '"finish_reason": "@@"')
    )
    body = body.replace("@@", json.dumps(text)[1:-1])
    execution, [call] = await run(monkeypatch, alice, model, replace(said, body=body), timeout_seconds=20)
    assert execution.status is ExecutionStatus.COMPLETED, execution.failure
    assert call["status"] == "committed"
    kept = json.dumps(call["billing"], ensure_ascii=False)
    assert not UNSTORABLE.search(kept)
    assert len(kept) < 200


@pytest.mark.parametrize("text", ["\0", "\ud800"], ids=["zero", "half"])
@pytest.mark.parametrize("status", [400, 404, 529])
async def test_a_failure_is_kept_whatever_characters_a_provider_sends(
    monkeypatch: pytest.MonkeyPatch, alice: User, status: int, text: str
) -> None:
    refusal = Answer(status=status, body={"error": {"message": f"It{text}s so", "type": text, "code": text}})
    execution, calls = await run(monkeypatch, alice, MODELS[0], refusal, timeout_seconds=20)
    assert execution.status is ExecutionStatus.FAILED
    assert "It\ufffds so" in calls[0]["error"]
