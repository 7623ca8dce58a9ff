"""Budgets are never exceeded: the maximum cost of a call is reserved before the call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions.engine.domain.budget_usage import usage_of
from executions.engine.domain.calls import ModelReply, ModelRequest, Usage, max_tokens_of
from executions.engine.domain.errors import IllegalTransition, ModelError
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus, FailureCode, StepStatus, WaitingOn
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.engine.transitions import budgets, core
from tests.factories.engine import FORK, LINE, Gate, Reply, World, definition, document, invalid
from tests.factories.provider_outages import busy, clock, resume
from tests.support.fuzzing import examples
from workflows.definitions.budget import Budget
from workflows.definitions.definition import WorkflowDefinition

WIDE = definition(*({"id": f"s{number}"} for number in range(12)))


def costing(cost: str, reply: ModelReply | None = None) -> ModelReply:
    """Return a reply that cost so much."""
    return (reply or document()).model_copy(update={"cost_usd": Decimal(cost)})


async def begun(
    budget: Mapping[str, Any],
    script: dict[str, list[Reply]] | None = None,
    *,
    of: WorkflowDefinition = LINE,
    at_most: str | None = "0.10",
) -> World:
    """Return a world with an execution of that budget, whose calls may cost so much at most."""
    world = World(definition=of, script=script or {})
    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.estimated_cost_usd = None if at_most is None else Decimal(at_most)
    await world.start()
    rows = world.journal.executions.rows
    rows[world.execution_id] = replace(rows[world.execution_id], budget=Budget.model_validate(budget))
    return world


async def give(world: World, **limits: Any) -> Execution:
    """Give the execution another budget, as a person does."""
    budget = Budget.model_validate(limits)
    return await world.decide(
        lambda execution, context: budgets.change_budget(execution, budget, changed_by="ann", context=context)
    )


def last_event(world: World) -> dict[str, Any]:
    return dict(world.journal.log[world.execution_id][-1].data)


async def test_a_call_that_might_pass_the_budget_is_not_made_and_the_execution_waits() -> None:
    world = await begun({"max_cost_usd": "0.15"}, {"one": [costing("0.06")]})
    execution = await world.run()
    assert (execution.status, execution.waiting_on) == (ExecutionStatus.WAITING, (WaitingOn.BUDGET,))
    assert world.calls() == [("one", "committed")]
    assert execution.steps["two"].blocked_by_limit == "max_cost_usd"
    assert last_event(world) == {"waiting_on": ["budget"], "resume_at": None}
    assert len(world.asked) == 1


async def test_what_exactly_fits_is_spent() -> None:
    world = await begun({"max_cost_usd": "0.20"}, {"one": [costing("0.10")], "two": [costing("0.10")]})
    assert (await world.run()).status is ExecutionStatus.COMPLETED


async def test_a_bigger_budget_lets_it_go_on_where_it_was() -> None:
    world = await begun({"max_cost_usd": "0.05"})
    assert (await world.run()).status is ExecutionStatus.WAITING
    assert world.calls() == []
    resumed = await give(world, max_cost_usd="0.10")
    assert (resumed.status, resumed.waiting_on) == (ExecutionStatus.RUNNING, ())
    assert (await world.run("b")).steps["one"].attempt == 1
    execution = await give(world, max_cost_usd="1")
    assert (await world.run("c")).status is ExecutionStatus.COMPLETED
    assert execution.budget == Budget(max_cost_usd=Decimal(1))
    assert world.calls() == [("one", "committed"), ("two", "committed")]
    assert world.events().count("step_started") == 2
    changed = [event for event in world.journal.log[world.execution_id] if event.event_type == "budget_changed"]
    assert changed[-1].data["changed_by"] == "ann"


async def test_a_budget_that_is_still_too_small_has_it_wait_again() -> None:
    world = await begun({"max_cost_usd": "0.05"})
    await world.run()
    await give(world, max_cost_usd="0.06")
    execution = await world.run("b")
    assert (execution.status, world.calls()) == (ExecutionStatus.WAITING, [])


async def test_invalid_output_is_not_mended_beyond_the_budget_and_later_is() -> None:
    world = await begun({"max_calls": 1}, {"one": [invalid(), document()]})
    execution = await world.run()
    assert (execution.status, execution.steps["one"].attempt) == (ExecutionStatus.WAITING, 2)
    await give(world, max_calls=3)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert [(key.attempt, key.kind.value) for key in world.ledger.rows if key.step_id == "one"] == [
        (1, "generate"),
        (2, "remediate"),
    ]
    assert "exactly what is wrong" in world.asked[1].prompt


async def test_a_failed_call_is_not_made_again_beyond_the_budget_and_later_is() -> None:
    world = await begun({"max_calls": 1}, {"one": [busy(), document()]})
    assert (await world.run()).status is ExecutionStatus.WAITING
    await give(world, max_calls=3)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert world.calls() == [("one", "failed"), ("one", "committed"), ("two", "committed")]


async def test_a_call_of_unknown_outcome_keeps_its_reservation() -> None:
    late = ModelError(FailureCode.TIMED_OUT, "Too late.", transient=True, cut_off=True)
    world = await begun({"max_cost_usd": "0.25"}, {"one": [late, costing("0.01")], "two": [costing("0.01")]})
    execution = await world.run()
    assert execution.status is ExecutionStatus.COMPLETED
    assert usage_of(world.ledger.of(world.execution_id)).cost_usd == Decimal("0.12")
    world = await begun({"max_cost_usd": "0.20"}, {"one": [late, costing("0.01")]})
    assert (await world.run()).waiting_on == (WaitingOn.BUDGET,)


async def test_tokens_are_reserved_by_the_bytes_of_the_request_and_settled_by_what_was_used() -> None:
    world = await begun({"max_tokens": 10**6})
    gate = Gate(document())
    world.script["one"] = [gate]
    running = asyncio.create_task(world.runner().run())
    await gate.under_way()
    assert usage_of(world.ledger.of(world.execution_id)).tokens == max_tokens_of(world.asked[0])
    assert max_tokens_of(world.asked[0]) > len(world.asked[0].prompt) + world.asked[0].max_output_tokens
    gate.opened.set()
    await running
    assert usage_of(world.ledger.of(world.execution_id)).tokens == 30
    world = await begun({"max_tokens": 1000})
    assert (await world.run()).waiting_on == (WaitingOn.BUDGET,)


async def test_steps_side_by_side_share_the_budget() -> None:
    world = await begun({"max_calls": 1}, of=FORK)
    execution = await world.run()
    assert (execution.status, len(world.calls())) == (ExecutionStatus.WAITING, 1)
    assert sorted(step.status.value for step in execution.steps.values()) == ["completed", "pending", "waiting"]


async def test_what_costs_nothing_is_blocked_by_no_money() -> None:
    world = await begun({"max_cost_usd": "0"}, {"one": [costing("0")], "two": [costing("0")]}, at_most="0")
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    world = await begun({"max_cost_usd": "0"}, at_most="0.0000000001")
    assert (await world.run()).status is ExecutionStatus.WAITING


async def test_a_model_without_a_known_price_fits_in_no_budget_of_money() -> None:
    world = await begun({"max_cost_usd": "1000"}, at_most=None)
    assert (await world.run()).waiting_on == (WaitingOn.BUDGET,)
    world = await begun({"max_tokens": 10**9}, at_most=None)
    assert (await world.run()).status is ExecutionStatus.COMPLETED


async def test_running_time_is_limited_and_waiting_does_not_count() -> None:
    world = await begun({"max_seconds": 30}, {"one": [busy(20), document()]})
    assert (await world.run()).waiting_on == (WaitingOn.RATE_LIMIT,)
    clock(world).advance(1000)
    await resume(world)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED

    async def slow(_request: ModelRequest) -> ModelReply:
        clock(world).advance(31)
        return document()

    world = await begun({"max_seconds": 30}, {"one": [slow]})
    execution = await world.run()
    assert (execution.waiting_on, world.calls()) == ((WaitingOn.BUDGET,), [("one", "committed")])
    assert execution.ran_seconds == pytest.approx(31)
    await give(world, max_seconds=40)
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED


async def test_a_call_is_given_no_more_time_than_is_left() -> None:
    world = await begun({"max_seconds": 30})
    await world.run()
    assert [request.timeout_seconds for request in world.asked] == [30, 30]


async def test_people_are_warned_once_at_four_fifths() -> None:
    world = await begun({"max_cost_usd": "1", "max_calls": 12}, of=WIDE)
    await world.run()
    told = [event.data for event in world.journal.log[world.execution_id] if event.event_type == "budget_warning"]
    assert [each["limit"] for each in told] == ["max_cost_usd", "max_calls"]
    assert told[0] == {"limit": "max_cost_usd", "used": "0.8000000000", "maximum": "1.0000000000"}
    assert told[1] == {"limit": "max_calls", "used": 10, "maximum": 12}


async def test_the_budget_of_what_has_ended_stays() -> None:
    world = await begun({"max_calls": 10})
    await world.run()
    with pytest.raises(IllegalTransition):
        await give(world, max_calls=20)


async def test_what_waits_for_a_budget_is_cancelled_and_retried_like_anything() -> None:
    world = await begun({"max_calls": 1})
    await world.run()
    cancelled = await world.cancel()
    assert cancelled.steps["two"].status is StepStatus.CANCELLED
    await world.retry()
    assert (await world.run("b")).waiting_on == (WaitingOn.BUDGET,)
    await give(world, max_calls=2)
    assert (await world.run("c")).status is ExecutionStatus.COMPLETED


async def test_a_deferred_step_is_not_taken_for_one_that_lacks_a_budget() -> None:
    world = await begun({"max_calls": 2}, {"left": [busy(20), document()]}, of=FORK)
    execution = await world.run()
    assert execution.waiting_on == (WaitingOn.RATE_LIMIT,)
    clock(world).advance(21)
    await resume(world)
    execution = await world.run("b")
    assert (execution.waiting_on, execution.resume_at) == ((WaitingOn.BUDGET,), None)
    await give(world, max_calls=4)
    assert (await world.run("c")).status is ExecutionStatus.COMPLETED


@settings(max_examples=examples(200), deadline=None)
@given(
    budget=st.integers(0, 100),
    costs=st.lists(st.integers(0, 10), min_size=12, max_size=12),
    fates=st.lists(st.sampled_from(["good", "invalid", "busy", "lost"]), min_size=12, max_size=12),
    raised=st.lists(st.integers(1, 50), max_size=3),
)
def test_whatever_happens_no_more_is_spent_or_reserved_than_was_given(
    budget: int, costs: list[int], fates: list[str], raised: list[int]
) -> None:
    lost = ModelError(FailureCode.TIMED_OUT, "Too late.", transient=True, cut_off=True)

    async def story() -> None:
        limit = Decimal(budget) / 100
        script: dict[str, list[Reply]] = {}
        for number, (cost, fate) in enumerate(zip(costs, fates, strict=True)):
            first: dict[str, list[Reply]] = {"good": [], "invalid": [costing("0.01", invalid())], "busy": [busy()]}
            good = costing(f"{cost / 100}", document().model_copy(update={"usage": Usage(input_tokens=cost)}))
            script[f"s{number}"] = [*first.get(fate, [lost]), good]
        world = await begun({"max_cost_usd": str(limit)}, script, of=WIDE)
        original = world.journal.commit

        async def watched(transition: Any) -> Execution:
            stored = await original(transition)
            assert usage_of(world.ledger.of(world.execution_id)).cost_usd <= limit
            return stored

        world.journal.commit = watched  # type: ignore[method-assign]
        await world.run()
        for more in raised:
            if (await world.now()).ended:
                break
            limit += Decimal(more) / 100
            await give(world, max_cost_usd=str(limit))
            await world.run()
        execution = await world.now()
        spent = usage_of(world.ledger.of(world.execution_id)).cost_usd
        assert execution.status is ExecutionStatus.COMPLETED or spent + Decimal("0.10") > limit

    asyncio.run(story())


async def test_a_change_without_a_budget_asks_for_no_sums() -> None:
    world = await World().start()

    def asked() -> Any:
        raise AssertionError("it summed up")

    execution = await world.now()
    started = core.Change(execution=execution)
    context = core.Context(now=clock(world).now(), spent=asked)
    await world.run()
    call = next(iter(world.ledger.rows.values()))
    assert budgets.hold_if_over_budget(started, "one", call, context=context) is started
