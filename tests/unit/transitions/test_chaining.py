"""Dependents start in the transition that stores their document."""

from __future__ import annotations

from dataclasses import replace

from executions.engine.domain.states import ExecutionStatus, StepStatus
from executions.engine.ports import Transition
from tests.factories.engine import FORK, LINE, World
from tests.unit.runtime.fault_injection import hinder
from tests.unit.transitions.test_invariants import DOCUMENT as PAPER


def _never(_: Transition) -> bool:
    return False


async def test_a_line_of_steps_costs_one_commit_a_step() -> None:
    world = await World(LINE).start()
    journal = hinder(world, _never)
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert journal.commits == 1 + 1 + len(LINE.steps)  # the claim, the first start, and the end of each


async def test_a_step_that_starts_so_reads_the_version_that_was_stored() -> None:
    world = await World(LINE).start()
    scope_id = (await world.now()).scope.id
    await world.documents.save(replace(PAPER, scope_id=scope_id, type="one", version=1))  # of an earlier execution
    stored = await world.run()
    one, two = stored.steps["one"], stored.steps["two"]
    assert one.document_version == 2
    assert [(pin.document_id, pin.version) for pin in two.input_versions] == [(one.document_id, 2)]
    assert one.document_id == PAPER.id


async def test_one_step_alone_starts_no_other() -> None:
    world = await World(LINE).start()
    stored = await world.runner().step()
    assert [step.status for step in stored.steps.values()] == [StepStatus.COMPLETED, StepStatus.PENDING]
    assert world.calls() == [("one", "committed")]


async def test_steps_side_by_side_start_together_and_the_one_that_needs_both_once() -> None:
    world = await World(FORK).start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert sorted(request.step_id for request in world.asked) == sorted(step.id for step in FORK.steps)
    world.check()
