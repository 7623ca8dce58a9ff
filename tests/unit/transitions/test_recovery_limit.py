"""An execution whose workers are lost repeatedly fails, with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus, ExecutionStatus, FailureCode, StepStatus
from executions.engine.transitions import claims
from executions.engine.transitions.core import Change, Context
from tests.factories.engine import FORK, LINE, Gate, World, document


async def lost(world: World, *names: str) -> Execution:
    """Have runners claim the execution one after the other, and be lost at once."""
    for name in names:
        await world.decide(decision(claims.claim, worker=name, max_recoveries=5))
    return await world.now()


def decision(claim: Callable[..., Change], **how: Any) -> Callable[[Execution, Context], Change]:
    """Return a decision."""
    return lambda execution, context: claim(execution, context=context, **how)


async def test_what_loses_runner_after_runner_without_getting_on_is_given_up() -> None:
    gate = Gate(document())
    world = await World(FORK, {"left": [gate], "right": [Gate(document())]}).start()
    running = asyncio.create_task(world.runner("a").run())
    await gate.under_way()
    taken = await lost(world, "b", "c", "d", "e", "f")
    assert (taken.status, taken.recoveries) == (ExecutionStatus.RUNNING, 5)
    given_up = await world.runner("g").run()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert given_up.status is ExecutionStatus.FAILED
    assert given_up.failure is not None
    assert given_up.failure.code is FailureCode.RECOVERY_EXHAUSTED
    statuses = {step_id: step.status for step_id, step in given_up.steps.items()}
    assert statuses == {"left": StepStatus.FAILED, "right": StepStatus.FAILED, "join": StepStatus.SKIPPED}
    assert {call.status for call in world.ledger.rows.values()} == {CallStatus.DISCARDED}
    assert [event.event_type for event in world.journal.log[given_up.id]][-4:] == [
        "step_failed",
        "step_failed",
        "step_skipped",
        "complete",
    ]


async def test_a_step_that_moves_starts_the_count_again() -> None:
    world = await World(LINE).start()
    await lost(world, "a", "b", "c", "d", "e", "f")
    execution = await world.runner("g").step()
    assert (execution.status, execution.recoveries) == (ExecutionStatus.FAILED, 6)
    world = await World(LINE).start()
    await lost(world, "a", "b", "c", "d", "e")
    execution = await world.runner("f").step()
    assert (execution.steps["one"].status, execution.recoveries) == (StepStatus.COMPLETED, 0)


async def test_handing_back_is_no_loss() -> None:
    world = await World(LINE).start()
    for name in "abcdefgh":
        await lost(world, name)
        execution = await world.decide(lambda execution, context: claims.release(execution, context=context))
    assert (execution.status, execution.recoveries) == (ExecutionStatus.RUNNING, 0)
