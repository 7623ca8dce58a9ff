"""The model client of a process: its limit of parallel calls, and the maximum cost of a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from executions.engine.domain.calls import Attachment, ModelReply, ModelRequest
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import FailureCode
from executions.llm.client import RoutingModelClient
from executions.llm.pydantic_ai.options import Options
from executions.llm.rate_limiter import RateLimiter
from executions.llm.rehearsal.model import RehearsalModel
from tests.integration.llm.text_listeners import ignore

REQUEST = ModelRequest(
    step_id="one",
    model="rehearsal:rehearsal",
    instructions="i" * 3000,
    prompt="p" * 998,
    output_schema={},  # two characters
    max_questions=0,
    max_output_tokens=500,
    timeout_seconds=1,
    document_type="report",
    role="Writer",
)


class Busy:
    """Counts the calls under way, and lets them wait."""

    def __init__(self) -> None:
        self.under_way = self.max_count = 0
        self.opened = asyncio.Event()

    async def complete(self, _request: ModelRequest) -> ModelReply:
        """Answer once the gate is open."""
        self.under_way += 1
        self.max_count = max(self.max_count, self.under_way)
        try:
            await self.opened.wait()
        finally:
            self.under_way -= 1
        return ModelReply(provider="rehearsal", model="rehearsal")


@pytest.fixture
async def busy(monkeypatch: pytest.MonkeyPatch) -> Busy:
    """A model that is slow."""
    busy = Busy()
    monkeypatch.setattr(RehearsalModel, "complete", lambda _model, request, _heard: busy.complete(request))
    return busy


FILE = Attachment(
    file_id=uuid7(), name="a.pdf", media_type="application/pdf", sha256="a" * 64, size=1, tokens=1, max_tokens=1
)


def client(max_parallel_calls: int = 3, *, limiter: RateLimiter | None = None) -> RoutingModelClient:
    """Return a client."""
    return RoutingModelClient(
        aliases={},
        rehearsal_latency_seconds=0,
        max_parallel_calls=max_parallel_calls,
        options=Options(),
        rate_limiter=limiter or RateLimiter(patience_seconds=5),
    )


async def in_turn(asked: RoutingModelClient, request: ModelRequest) -> ModelReply:
    """Ask when it is the request's turn."""
    async with asked.permit(request):
        return await asked.complete(request, ignore)


async def turns(number: int = 20) -> None:
    """Let everybody who can go on go on."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_client_holds_so_many_calls_at_once_and_no_more(busy: Busy) -> None:
    asked = client()
    calls = [asyncio.create_task(in_turn(asked, REQUEST)) for _ in range(10)]
    await turns()
    assert busy.under_way == 3
    busy.opened.set()
    await asyncio.gather(*calls)
    assert busy.max_count == 3


async def test_no_permit_waits_for_a_place_among_calls_with_files(busy: Busy) -> None:
    """Permits of waiting calls would keep other scopes and workers from the model."""
    permits: list[ModelRequest] = []

    class Counted(RateLimiter):
        @asynccontextmanager
        async def permit(self, request: ModelRequest) -> AsyncIterator[Any]:
            async with super().permit(request) as held:
                permits.append(request)
                yield held

    asked = client(limiter=Counted(patience_seconds=5))
    request = replace(REQUEST, attachments=(FILE,))
    calls = [asyncio.create_task(in_turn(asked, request)) for _ in range(10)]
    await turns()
    assert (busy.under_way, len(permits)) == (3, 3)
    busy.opened.set()
    await asyncio.gather(*calls)


async def test_a_call_that_was_cancelled_makes_room_whether_it_had_its_turn_or_not(busy: Busy) -> None:
    asked = client(max_parallel_calls=1)
    first, second, third = (asyncio.create_task(in_turn(asked, REQUEST)) for _ in range(3))
    await turns()
    second.cancel()
    first.cancel()
    await turns()
    busy.opened.set()
    assert (await third).provider == "rehearsal"
    assert (first.cancelled(), second.cancelled(), busy.max_count) == (True, True, 1)


async def test_a_call_that_failed_makes_room() -> None:
    asked = client(max_parallel_calls=1)
    for _ in range(3):
        with pytest.raises(ModelError) as refused:
            await in_turn(asked, replace(REQUEST, model="no-such-provider:model"))
        assert refused.value.failure_code is FailureCode.PROVIDER_REJECTED


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("openai:gpt-5", "0.0106400000"),  # 4000 bytes and the frame at $1.25, 500 at $10 per million
        ("openai-chat:gpt-5", "0.0106400000"),
        ("anthropic:claude-sonnet-5-5", "0.0162800000"),  # the same, all of it written to a cache at $2.50, and $10
        ("rehearsal:rehearsal", "0.0000000000"),
        ("openai:unlisted-model", None),
        ("unknown:model", None),
    ],
)
def test_a_call_may_cost_as_much_as_its_request_and_the_longest_answer(model: str, dollars: str | None) -> None:
    estimated = client().estimate(replace(REQUEST, model=model))
    assert estimated == (None if dollars is None else Decimal(dollars))
