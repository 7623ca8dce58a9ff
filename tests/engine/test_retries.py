"""A provider that cannot answer for now: how long is waited, what is booked, and when it is given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.calls import ModelReply, ModelRequest, sum_calls
from executions.engine.errors import ModelError, Unavailable
from executions.engine.in_memory import FixedChance
from executions.engine.in_memory_models import ScriptedModelClient
from executions.engine.retries import LONGEST_SECONDS, NOT_SENT, failed_tries, seconds_to_wait
from executions.engine.states import CallStatus, ExecutionStatus, FailureCode
from tests.engine.failing import busy, clock, late, tries
from tests.engine.hindrance import hinder
from tests.engine.test_in_memory import CALL
from tests.engine.world import Gate, World, definition, document, invalid
from workflows.definition import RetryPolicy

SECONDS = st.floats(min_value=0, max_value=3600)


# --- how long --------------------------------------------------------------------------------------------------------


@given(
    base=SECONDS,
    cap=SECONDS,
    tried=st.integers(1, 19),
    share=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(min_value=0, allow_infinity=True, allow_nan=False),
)
def test_a_wait_stays_within_its_bounds(base: float, cap: float, tried: int, share: float, asked: float | None) -> None:
    policy = RetryPolicy(max_tries=20, base_seconds=base, cap_seconds=cap)
    seconds = seconds_to_wait(policy, busy(asked), tries=tried, chance=FixedChance(share))
    assert seconds is not None
    least = 0.0 if asked is None else min(asked, LONGEST_SECONDS)
    assert least <= seconds <= max(cap, least + base)
    if asked is None:
        assert seconds <= base * 2 ** (tried - 1)


@given(tried=st.integers(1, 30), most=st.integers(1, 20), transient=st.booleans())
def test_it_is_given_up_after_the_last_try_or_at_once(tried: int, most: int, transient: bool) -> None:
    error = ModelError(FailureCode.PROVIDER_UNAVAILABLE, "No.", transient=transient)
    seconds = seconds_to_wait(RetryPolicy(max_tries=most), error, tries=tried, chance=FixedChance())
    assert (seconds is None) is (tried >= most or not transient)


async def test_waits_double_up_to_the_cap() -> None:
    policy = {"max_tries": 6, "base_seconds": 1, "cap_seconds": 4}
    line = definition({"id": "one", "retries": policy})
    world = await World(line, {"one": [busy(), busy(), busy(), busy(), busy()]}).start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert clock(world).slept == [0.5, 1.0, 2.0, 2.0, 2.0]  # half of 1, 2, 4, 4, 4


# --- short waits -----------------------------------------------------------------------------------------------------


async def test_every_try_is_a_row_of_its_own_and_the_step_goes_on_as_if_nothing_was() -> None:
    world = await World(script={"one": [busy(), busy(), document()]}).start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert tries(world) == [(1, 1, "failed"), (1, 2, "failed"), (1, 3, "committed"), (1, 1, "committed")]
    assert world.events("one") == ["step_started", "step_completed"]
    assert len({request.request_hash for request in world.asked[:3]}) == 1


async def test_a_failed_try_is_settled_and_the_next_announced_together_before_it_is_sent() -> None:
    seen: list[list[tuple[int, int, str]]] = []
    world = World()

    async def look(_request: ModelRequest) -> ModelReply:
        seen.append(tries(world))
        return document()

    world.script = {"one": [busy(), look]}
    await world.start()
    before = (await world.now()).version
    await world.run()
    assert seen == [[(1, 1, "failed"), (1, 2, "pending")]]
    # claim, start, one for both tries, the document with the second step's start, and its document
    assert (await world.now()).version == before + 5


async def test_the_times_of_a_try_leave_out_the_wait() -> None:
    world = await World(script={"one": [busy(2), document()]}).start()
    begin = clock(world).now()
    await world.run()
    first, second = list(world.ledger.rows.values())[:2]
    assert (first.started_at, first.finished_at) == (begin, begin)
    assert (second.started_at - begin).total_seconds() == 2.5


@pytest.mark.parametrize(
    ("error", "code", "advice"),
    [(busy(), FailureCode.PROVIDER_UNAVAILABLE, "status page"), (late(), FailureCode.TIMED_OUT, "timeout_seconds")],
)
async def test_after_the_last_try_the_step_fails_and_says_how_often_it_was_tried(
    error: ModelError, code: FailureCode, advice: str
) -> None:
    world = await World(script={"one": [error] * 9}).start()
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is code
    assert "Tried 5 times" in execution.failure.message
    assert advice in execution.failure.message
    assert len(world.asked) == 5


async def test_a_permanent_error_is_not_tried_again() -> None:
    world = await World(script={"one": [ModelError(FailureCode.PROVIDER_REJECTED, "No such model.")]}).start()
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.message == "No such model."
    assert (len(world.asked), clock(world).slept) == (1, [])


async def test_an_invalid_output_begins_a_new_count() -> None:
    line = definition({"id": "one", "retries": {"max_tries": 2}})
    world = await World(line, {"one": [busy(), invalid(), busy(), document()]}).start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert tries(world) == [(1, 1, "failed"), (1, 2, "committed"), (2, 1, "failed"), (2, 2, "committed")]


async def test_a_cancel_that_nobody_told_of_is_seen_before_the_next_try() -> None:
    world = await World(script={"one": [busy(), document()]}).start()

    async def cancelled_meanwhile(seconds: float) -> None:
        await world.cancel()

    clock(world).sleep = cancelled_meanwhile  # type: ignore[method-assign]
    assert (await world.run()).status is ExecutionStatus.CANCELLED
    assert (len(world.asked), tries(world)) == (1, [(1, 1, "failed")])
    assert sum_calls(world.ledger.rows.values()).cost_usd == 0


async def test_a_runner_stopped_while_it_waits_leaves_the_failed_try_and_nothing_under_way() -> None:
    world = await World(script={"one": [busy(), document()]}).start()
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    clock(world).sleep = sleep  # type: ignore[method-assign]
    running = asyncio.create_task(world.runner().run())
    await asleep.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert tries(world) == [(1, 1, "failed")]
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert tries(world)[:2] == [(1, 1, "failed"), (1, 2, "committed")]


async def test_the_next_runner_counts_the_tries_of_the_last_one() -> None:
    line = definition({"id": "one", "retries": {"max_tries": 2}})
    gate = Gate(document())
    world = await World(line, {"one": [busy(), gate]}).start()
    running = asyncio.create_task(world.runner().run())
    await gate.under_way()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    world.script = {"one": [busy()]}
    assert (await world.run("b")).status is ExecutionStatus.FAILED
    # the one that was under way when the first runner stopped is nobody's failure
    assert tries(world) == [(1, 1, "failed"), (1, 2, "unknown"), (1, 3, "failed")]


@pytest.mark.parametrize(
    ("status", "error", "counts"),
    [
        (CallStatus.FAILED, "Busy.", True),
        (CallStatus.UNKNOWN, "Cut off.", True),
        (CallStatus.FAILED, f"{NOT_SENT}: the worker stopped before.", False),
        (CallStatus.UNKNOWN, "", False),
        (CallStatus.PENDING, "", False),
    ],
)
def test_what_a_worker_left_undone_is_no_failed_try(status: CallStatus, error: str, counts: bool) -> None:
    assert failed_tries([replace(CALL, status=status, error=error)]) == counts


# --- what it may have cost -------------------------------------------------------------------------------------------


def estimating(world: World) -> World:
    """Let every call cost a cent at most."""
    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.estimated_cost_usd = Decimal("0.01")
    return world


async def test_a_call_that_was_cut_off_may_have_cost_something_and_one_that_was_refused_has_not() -> None:
    world = await estimating(World(script={"one": [busy(), late(), document()]})).start()
    await world.run()
    refused, cut_off, answered = list(world.ledger.rows.values())[:3]
    assert (refused.status, refused.estimated_cost_usd) == (CallStatus.FAILED, None)
    assert (cut_off.status, cut_off.estimated_cost_usd) == (CallStatus.UNKNOWN, Decimal("0.01"))
    assert (answered.status, answered.estimated_cost_usd) == (CallStatus.COMMITTED, None)
    totals = world.journal.log[world.execution_id][-1].data["totals"]
    assert isinstance(totals, dict)
    assert totals["cost_complete"] is False


async def test_a_call_under_way_when_the_execution_is_cancelled_keeps_its_estimate() -> None:
    gate = Gate(document())
    world = await estimating(World(script={"one": [gate]})).start()
    running = asyncio.create_task(world.runner().run())
    await gate.under_way()
    await world.cancel()
    [call] = world.ledger.rows.values()
    assert (call.status, call.reply, call.estimated_cost_usd) == (CallStatus.DISCARDED, None, Decimal("0.01"))
    gate.opened.set()
    await running
    [call] = world.ledger.rows.values()
    assert call.reply is not None
    assert (call.status, call.estimated_cost_usd) == (CallStatus.DISCARDED, None)


async def test_a_call_that_a_dead_worker_left_is_unknown_with_its_estimate() -> None:
    gate = Gate(document())
    world = await estimating(World(script={"one": [gate]})).start()
    dead = asyncio.create_task(world.runner("dead").run())
    await gate.under_way()
    await world.run("b")
    lost, bought = list(world.ledger.rows.values())[:2]
    assert (lost.status, lost.estimated_cost_usd) == (CallStatus.UNKNOWN, Decimal("0.01"))
    assert (bought.status, bought.estimated_cost_usd) == (CallStatus.COMMITTED, None)
    dead.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dead


async def test_a_try_whose_end_could_not_be_stored_is_booked_as_failed_and_counted() -> None:
    world = await World(script={"one": [busy(20), document()]}).start()
    hinder(world, lambda transition: any(call.error for call in transition.calls), Unavailable("Away."))
    with pytest.raises(Unavailable):
        await world.runner().run()
    assert tries(world) == [(1, 1, "failed")]
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert tries(world)[1] == (1, 2, "committed")
