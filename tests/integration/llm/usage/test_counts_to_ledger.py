"""Token counts and costs from real HTTP to the ledger rows: exact, or unknown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from access.user import User
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.domain.states import ExecutionStatus
from executions.engine.runtime.runner import ExecutionRunner
from executions.persistence import notifier
from executions.persistence.journal import connection
from telemetry.models import ModelCall
from telemetry.pricing import repricing
from tests.factories.engine import definition
from tests.factories.executions import start
from tests.integration.llm.model_server import Answer, model_server
from tests.integration.llm.models import forget_models
from tests.integration.llm.usage.counted_answers import ANTHROPIC, OPENAI, answer

pytestmark = [pytest.mark.asyncio, pytest.mark.django_db(transaction=True)]

COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "output_tokens", "reasoning_tokens")


@pytest.fixture(autouse=True)
async def keys(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Keys that no real provider knows, and clients that are made anew."""
    for name in ("OPENAI", "ANTHROPIC", "GOOGLE"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-test")
    await forget_models()
    yield
    await forget_models()
    notifier.stop()
    connection.close()


async def booked(monkeypatch: pytest.MonkeyPatch, user: User, model: str, said: Answer) -> dict[str, Any]:
    """Return the row of the one call of an execution whose model says this; its document is complete."""
    with model_server(said) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        steps = definition({"id": "one", "model": model, "timeout_seconds": 20, "retries": {"max_tries": 1}})
        stored = await in_thread(start, user, steps)
        execution = await ExecutionRunner(build_ports(), execution_id=stored.id, worker="tests").run()
    assert execution.status is ExecutionStatus.COMPLETED, execution.failure
    rows: Any = ModelCall.objects.values()
    [row] = await in_thread(lambda: list(rows))
    return dict(row)


def numbers(row: dict[str, Any]) -> tuple[int, ...]:
    """Return the buckets of a row."""
    return tuple(row[name] for name in COUNTS)


def chat(sent: int, written: int, **details: Any) -> dict[str, Any]:
    """Return a count as OpenAI's chat has it."""
    return {"prompt_tokens": sent, "completion_tokens": written, "total_tokens": sent + written, **details}


REASONING = {"completion_tokens_details": {"reasoning_tokens": 150}}
HOURS = {
    "input_tokens": 500,
    "cache_creation_input_tokens": 500,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
    "output_tokens": 200,
}
KNOWN = {
    "running total": (
        OPENAI,
        answer(OPENAI, *(chat(1000, number) for number in range(0, 201, 10)), streaming=True),
        (1000, 0, 0, 200, 0),
        "0.0032500000",
    ),
    "reasoning apart": (
        OPENAI,
        answer(OPENAI, {**chat(1000, 50, **REASONING), "total_tokens": 1200}, streaming=True),
        (1000, 0, 0, 200, 150),
        "0.0032500000",
    ),
    "priority": (
        OPENAI,
        answer(OPENAI, chat(1000, 200), streaming=True, service_tier="priority"),
        (1000, 0, 0, 200, 0),
        "0.0065000000",
    ),
    "an hour in the cache": (
        ANTHROPIC,
        answer(ANTHROPIC, HOURS, streaming=True),
        (500, 0, 500, 200, 0),
        "0.0047000000",
    ),
}


@pytest.mark.parametrize(("model", "said", "wanted", "dollars"), KNOWN.values(), ids=KNOWN)
async def test_the_ledger_has_what_the_provider_counted_and_charges(
    monkeypatch: pytest.MonkeyPatch,
    alice: User,
    model: str,
    said: Answer,
    wanted: tuple[int, ...],
    dollars: str,
) -> None:
    row = await booked(monkeypatch, alice, model, said)
    assert (numbers(row), f"{row['cost_usd']:f}") == (wanted, dollars)
    assert (row["reserved_tokens"], row["estimated_cost_usd"]) == (0, None)
    assert await in_thread(lambda: _priced_again(row)) == Decimal(dollars)


async def test_a_count_that_contradicts_itself_keeps_the_worst_case(
    monkeypatch: pytest.MonkeyPatch, alice: User
) -> None:
    row = await booked(monkeypatch, alice, OPENAI, answer(OPENAI, chat(1000, 50, **REASONING), streaming=True))
    assert (numbers(row), row["cost_usd"]) == ((0, 0, 0, 0, 0), None)
    assert row["reserved_tokens"] > 500
    assert row["estimated_cost_usd"] > 0


async def test_a_tier_without_a_known_price_has_none_afterwards_either(
    monkeypatch: pytest.MonkeyPatch, alice: User
) -> None:
    said = answer(OPENAI, chat(1000, 200), streaming=True, service_tier="scale")
    row = await booked(monkeypatch, alice, OPENAI, said)
    assert (numbers(row), row["cost_usd"], row["reserved_tokens"]) == ((1000, 0, 0, 200, 0), None, 0)
    assert row["estimated_cost_usd"] > 0
    assert await in_thread(lambda: _priced_again(row)) is None


def _priced_again(row: dict[str, Any]) -> Decimal | None:
    repricing.reprice(since=row["started_at"], until=row["started_at"] + timedelta(seconds=1), dry_run=False)
    return ModelCall.objects.get(id=row["id"]).cost_usd
