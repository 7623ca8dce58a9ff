"""A provider that is temporarily unavailable: waits, ledger records, and the end of retries."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.domain.calls import ModelReply, ModelRequest, sum_calls
from executions.engine.domain.errors import DatabaseUnavailable, ModelError
from executions.engine.domain.retries import (
    MAX_RETRY_AFTER_SECONDS,
    MIN_RETRY_SECONDS,
    MIN_TRIES,
    NOT_SENT,
    Backoff,
    failed_tries,
    patience_of,
)
from executions.engine.domain.states import CallStatus, ExecutionStatus, FailureCode
from executions.engine.testing.in_memory import FixedRandom
from executions.engine.testing.in_memory_models import ScriptedModelClient
from tests.factories.engine import Gate, World, definition, document, invalid
from tests.factories.provider_outages import busy, clock, late, tries
from tests.unit.runtime.fault_injection import hinder
from tests.unit.runtime.test_in_memory_ports import CALL
from workflows.definitions.definition import RetryPolicy

SECONDS = st.floats(min_value=0, max_value=3600)
SHARE = st.floats(0, 1, exclude_max=True)


def backoff(policy: RetryPolicy, *, patience: float = 300, share: float = 0.5) -> Backoff:
    """Return when a step tries again whose server is patient for so long."""
    return Backoff(policy=policy, patience_seconds=patience_of(policy, patience), chance=FixedRandom(share))


# --- how long --------------------------------------------------------------------------------------------------------


@given(
    base=SECONDS,
    cap=SECONDS,
    tried=st.integers(1, 19),
    share=SHARE,
    last_known=st.none() | st.floats(min_value=0, allow_infinity=True, allow_nan=False),
)
def test_a_wait_stays_within_its_bounds(
    base: float, cap: float, tried: int, share: float, last_known: float | None
) -> None:
    policy = RetryPolicy(max_tries=20, base_seconds=base, cap_seconds=cap)
    found = backoff(policy, share=share)
    seconds = found.seconds_to_wait(busy(last_known), tries=tried, failing_seconds=1e9)
    assert seconds is not None
    least = 0.0 if last_known is None else min(last_known, MAX_RETRY_AFTER_SECONDS)
    assert least <= seconds <= max(cap, least + base)
    if last_known is None:
        assert seconds <= base * 2 ** (tried - 1)


@given(tried=st.integers(1, 30), limitcount=st.integers(1, 20), transient=st.booleans(), failing=SECONDS)
def test_a_number_of_tries_counts_whatever_time_has_passed(
    tried: int, limitcount: int, transient: bool, failing: float
) -> None:
    error = ModelError(FailureCode.PROVIDER_UNAVAILABLE, "No.", transient=transient)
    found = backoff(RetryPolicy(max_tries=limitcount))
    seconds = found.seconds_to_wait(error, tries=tried, failing_seconds=failing)
    assert (seconds is None) is (tried >= limitcount or not transient)


@given(tried=st.integers(1, 400), failing=SECONDS, patience=SECONDS, own=st.booleans(), transient=st.booleans())
def test_without_a_number_a_step_goes_on_until_its_patience_has_run_out(
    tried: int, failing: float, patience: float, own: bool, transient: bool
) -> None:
    error = ModelError(FailureCode.PROVIDER_UNAVAILABLE, "No.", transient=transient)
    found = backoff(RetryPolicy(patience_seconds=patience)) if own else backoff(RetryPolicy(), patience=patience)
    seconds = found.seconds_to_wait(error, tries=tried, failing_seconds=failing)
    assert (seconds is None) is (not transient or (tried >= MIN_TRIES and failing >= patience))


@pytest.mark.parametrize(
    ("policy", "tried", "failing", "goes_on"),
    [
        ({"max_tries": 8, "patience_seconds": 60}, 7, 59.9, True),
        ({"max_tries": 8, "patience_seconds": 60}, 8, 1.0, False),
        ({"max_tries": 8, "patience_seconds": 60}, 7, 60.0, False),
        ({"max_tries": 8, "patience_seconds": 60}, 4, 60.0, True),
        ({"max_tries": 3, "patience_seconds": 60}, 3, 1.0, False),
        ({"patience_seconds": 0}, 4, 0.0, True),
        ({"patience_seconds": 0}, 5, 0.0, False),
        ({}, 5, 299.9, True),
        ({}, 5, 300.0, False),
    ],
)
def test_what_a_step_says_of_tries_and_of_time_holds_together(
    policy: dict[str, float], tried: int, failing: float, goes_on: bool
) -> None:
    found = backoff(RetryPolicy.model_validate(policy))
    assert (found.seconds_to_wait(busy(), tries=tried, failing_seconds=failing) is not None) is goes_on


@given(base=SECONDS, cap=SECONDS, tried=st.integers(MIN_TRIES, 5_000), share=SHARE, failing=st.floats(0, 299))
def test_a_patient_step_calls_no_more_than_once_in_a_second_and_makes_its_last_try_in_time(
    base: float, cap: float, tried: int, share: float, failing: float
) -> None:
    found = backoff(RetryPolicy(base_seconds=base, cap_seconds=cap), share=share)
    seconds = found.seconds_to_wait(busy(), tries=tried, failing_seconds=failing)
    assert seconds is not None
    assert MIN_RETRY_SECONDS <= seconds <= max(MIN_RETRY_SECONDS, 300 - failing)


def test_a_wait_that_the_provider_asked_for_may_pass_the_patience() -> None:
    seconds = backoff(RetryPolicy()).seconds_to_wait(busy(3600), tries=7, failing_seconds=299)
    assert seconds is not None
    assert seconds >= 3600


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
    [
        (busy(), FailureCode.PROVIDER_UNAVAILABLE, "status page"),
        (late(), FailureCode.TIMED_OUT, "timeout_seconds or retries.max_tries"),
    ],
)
async def test_after_the_last_try_the_step_fails_and_says_how_often_it_was_tried(
    error: ModelError, code: FailureCode, advice: str
) -> None:
    world = await World(definition({"id": "one", "retries": {"max_tries": 5}}), {"one": [error] * 9}).start()
    execution = await world.run()
    assert execution.failure is not None
    assert execution.failure.code is code
    assert "Tried 5 times in 8 s" in execution.failure.message
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


async def test_a_cancel_without_a_notification_is_seen_before_the_next_try() -> None:
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
    # the call that was open when the first worker stopped does not count as a failure
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
    moment = CALL.started_at + timedelta(seconds=1)
    call = replace(CALL, status=status, error=error, finished_at=moment)
    found = failed_tries([call], request_hash=CALL.request_hash)
    assert (found.of_model, found.since) == (counts, moment if counts else None)


def test_tries_are_those_of_the_model_and_their_time_is_that_of_the_step() -> None:
    begin = CALL.started_at
    failed = replace(CALL, status=CallStatus.FAILED, error="Busy.")
    calls = [
        replace(failed, request_hash="another model", finished_at=begin + timedelta(seconds=1)),
        replace(failed, finished_at=begin + timedelta(seconds=5)),
        replace(failed, finished_at=begin + timedelta(seconds=9)),
    ]
    found = failed_tries(calls, request_hash=CALL.request_hash)
    assert (found.of_model, found.since) == (2, begin + timedelta(seconds=1))
    assert found.seconds(calls[-1]) == 8


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
    hinder(world, lambda transition: any(call.error for call in transition.calls), DatabaseUnavailable("Away."))
    with pytest.raises(DatabaseUnavailable):
        await world.runner().run()
    assert tries(world) == [(1, 1, "failed")]
    assert (await world.run("b")).status is ExecutionStatus.COMPLETED
    assert tries(world)[1] == (1, 2, "committed")
