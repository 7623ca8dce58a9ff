"""A provider outage: steps are deferred until the provider is back or their patience ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from executions.engine.domain.budget_usage import usage_of
from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.errors import ModelError
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus, ExecutionStatus, FailureCode, WaitingOn
from executions.engine.testing.in_memory_models import ScriptedModelClient
from tests.factories.engine import LINE, Reply, World, definition, document, invalid
from tests.factories.provider_outages import busy, clock, late, resume
from workflows.definitions.definition import WorkflowDefinition

REFUSED = ModelError(FailureCode.PROVIDER_UNAVAILABLE, "Could not be reached.", transient=True)
RESET = ModelError(FailureCode.PROVIDER_UNAVAILABLE, "Broke off.", transient=True, cut_off=True)
AT_MOST = Decimal("0.10")


def outage(world: World, error: ModelError, *, seconds: float) -> None:
    """Have every model fail for so long from now on."""
    back = clock(world).now().timestamp() + seconds

    async def answer(request: ModelRequest) -> ModelReply:
        if clock(world).now().timestamp() < back:
            raise error
        return document(f"Title of {request.step_id}")

    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.script = answer
    world.ports.models.estimated_cost_usd = AT_MOST


async def by_itself(world: World, look: Callable[[Execution], None] = lambda _: None) -> Execution:
    """Do what workers do until the execution has ended, each time another one; `look` at it while it waits."""
    for number in range(200):
        execution = await world.run(f"worker-{number}")
        if execution.ended:
            return execution
        assert (execution.waiting_on, execution.claimed_by) == ((WaitingOn.RATE_LIMIT,), None)
        assert execution.resume_at is not None
        look(execution)
        clock(world).moment = max(clock(world).now(), execution.resume_at)
        await resume(world)
    pytest.fail("it never ended")


def reserved(world: World) -> Decimal:
    """Return what calls without an answer may still cost."""
    return usage_of(call for call in world.ledger.rows.values() if call.reply is None).cost_usd


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "error",
    [REFUSED, RESET, busy(), busy(1.0), busy(20.0), busy(45.0), late()],
    ids=["refused", "reset", "busy", "busy for a second", "busy for a while", "busy for long", "late"],
)
async def test_an_execution_outlives_a_minute_without_its_provider(error: ModelError, seed: int) -> None:
    world = await World(definition({"id": "one"}, {"id": "two"}, {"id": "three", "inputs": ["one", "two"]})).start()
    world.ports.chance.random = Random(seed).random  # type: ignore[method-assign] # noqa: S311 - to be repeated
    outage(world, error, seconds=60)

    def nothing_is_left_behind(_: Execution) -> None:
        assert all(call.status is not CallStatus.PENDING for call in world.ledger.rows.values())
        lost = sum(call.status is CallStatus.UNKNOWN for call in world.ledger.rows.values())
        assert reserved(world) == lost * AT_MOST

    completed = await by_itself(world, nothing_is_left_behind)
    assert completed.status is ExecutionStatus.COMPLETED
    rows = list(world.ledger.rows.values())
    assert [call.status for call in rows].count(CallStatus.COMMITTED) == 3
    wanted = CallStatus.UNKNOWN if error.cut_off else CallStatus.FAILED
    assert {call.status for call in rows} == {wanted, CallStatus.COMMITTED}
    assert len(world.asked) == len(rows)


@pytest.mark.parametrize(
    ("retries", "patience"),
    [({}, 300), ({"patience_seconds": 40}, 40), ({"patience_seconds": 900.0, "cap_seconds": 100}, 900)],
)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
async def test_a_provider_that_does_not_come_back_is_given_up_when_the_patience_has_run_out(
    retries: Mapping[str, Any], patience: float, share: float
) -> None:
    world = await World(definition({"id": "one", "retries": retries})).start()
    world.ports.chance.random = lambda: share  # type: ignore[method-assign]
    begin = clock(world).now()
    outage(world, REFUSED, seconds=1e9)
    failed = await by_itself(world)
    assert failed.failure is not None
    assert failed.failure.code is FailureCode.PROVIDER_UNAVAILABLE
    assert f"Tried {len(world.asked)} times in {patience:.0f} s" in failed.failure.message
    assert "retries.patience_seconds" in failed.failure.message
    assert patience <= (clock(world).now() - begin).total_seconds() <= patience + 1
    assert usage_of(world.ledger.rows.values()).cost_usd == 0


async def test_a_number_of_tries_that_a_workflow_names_is_meant() -> None:
    world = await World(definition({"id": "one", "retries": {"max_tries": 3}})).start()
    outage(world, REFUSED, seconds=60)
    assert (await by_itself(world)).status is ExecutionStatus.FAILED
    assert len(world.asked) == 3


@pytest.mark.parametrize("base_seconds", [0, 0.001])
async def test_a_step_that_hardly_waits_does_not_ask_without_a_pause(base_seconds: float) -> None:
    world = await World(definition({"id": "one", "retries": {"base_seconds": base_seconds}})).start()
    outage(world, REFUSED, seconds=60)
    assert (await by_itself(world)).status is ExecutionStatus.COMPLETED
    assert len(world.asked) <= 60 + 6


FALLBACKS = definition({"id": "one", "model": "a:first", "fallbacks": ["b:second"]})


async def test_a_stand_in_is_asked_before_the_step_waits_for_long() -> None:
    world = await World(FALLBACKS, {"one": [*[busy()] * 5, document()]}).start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert [request.model for request in world.asked] == ["a:first"] * 5 + ["b:second"]
    assert sum(clock(world).slept) < 10


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.999])
async def test_when_all_models_are_unavailable_the_step_waits_for_the_last_one(share: float) -> None:
    world = await World(FALLBACKS).start()
    world.ports.chance.random = lambda: share  # type: ignore[method-assign]
    outage(world, REFUSED, seconds=60)
    assert (await by_itself(world)).status is ExecutionStatus.COMPLETED
    models = [request.model for request in world.asked]
    assert models == ["a:first"] * models.count("a:first") + ["b:second"] * models.count("b:second")
    assert models.count("a:first") <= 5


async def test_the_time_of_a_step_counts_over_all_its_models() -> None:
    world = await World(FALLBACKS).start()
    begin = clock(world).now()
    outage(world, REFUSED, seconds=1e9)
    assert (await by_itself(world)).status is ExecutionStatus.FAILED
    assert (clock(world).now() - begin).total_seconds() == pytest.approx(300, abs=0.001)


@pytest.mark.parametrize("flow", [LINE, FALLBACKS], ids=["one model", "two models"])
async def test_an_answer_begins_a_new_time(flow: WorkflowDefinition) -> None:
    replies: list[Reply] = [busy(290.0), busy(290.0), invalid(), busy(290.0), busy(290.0), document()]
    world = await World(flow, {"one": replies}).start()
    assert (await by_itself(world)).status is ExecutionStatus.COMPLETED


async def test_a_cancelled_execution_is_left_alone_by_the_provider_that_comes_back() -> None:
    world = await World().start()
    outage(world, REFUSED, seconds=60)
    waiting = await world.run()
    assert waiting.status is ExecutionStatus.WAITING
    cancelled = await world.cancel()
    assert (cancelled.status, cancelled.resume_at) == (ExecutionStatus.CANCELLED, None)
    asked = len(world.asked)
    clock(world).advance(61)
    assert (await world.run("b")).status is ExecutionStatus.CANCELLED
    assert len(world.asked) == asked
    assert usage_of(world.ledger.rows.values()).cost_usd == 0


async def test_a_person_who_retries_a_step_gives_it_its_patience_anew() -> None:
    world = await World(definition({"id": "one"})).start()
    outage(world, REFUSED, seconds=360)
    assert (await by_itself(world)).status is ExecutionStatus.FAILED
    await world.retry()
    assert (await by_itself(world)).status is ExecutionStatus.COMPLETED
