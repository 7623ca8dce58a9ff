"""A step that is blocked by a budget when its execution ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import ExecutionStatus, FailureCode, StepStatus
from tests.factories.engine import FORK, Gate, World, invalid
from workflows.definitions.budget import Budget


async def test_a_call_that_fits_no_budget_is_not_made_when_the_execution_ends_with_that() -> None:
    slow = Gate(invalid())
    world = World(FORK, {"left": [slow], "right": [ModelError(FailureCode.PROVIDER_REJECTED, "No key.")]})
    await world.start()
    rows = world.journal.executions.rows
    rows[world.execution_id] = replace(rows[world.execution_id], budget=Budget(max_calls=2))
    running = asyncio.create_task(world.runner().run())
    await slow.under_way()
    while (await world.now()).steps["right"].status is not StepStatus.FAILED:
        await asyncio.sleep(0)
    slow.opened.set()
    execution = await running
    assert (execution.status, execution.steps["left"].status) == (ExecutionStatus.FAILED, StepStatus.SKIPPED)
    assert [request.step_id for request in world.asked] == ["left", "right"]
    assert world.calls() == [("left", "committed"), ("right", "failed")]
