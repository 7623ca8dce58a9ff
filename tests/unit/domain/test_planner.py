"""Any graph of documents runs in its order, each step once, independent steps in parallel."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.domain.states import ExecutionStatus, StepStatus
from tests.factories.engine import World, definition, document
from tests.support.fuzzing import examples


@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw steps that read what other steps make, defined in any order."""
    count = draw(st.integers(1, 7))
    steps: list[dict[str, Any]] = []
    for number in range(count):
        others = [f"s{other}" for other in range(number)]
        inputs = draw(st.lists(st.sampled_from(others), unique=True, max_size=3)) if others else []
        steps.append({"id": f"s{number}", "inputs": inputs})
    return draw(st.permutations(steps))


@given(steps=graphs())
def test_a_level_is_one_more_than_the_highest_that_it_needs(steps: list[dict[str, Any]]) -> None:
    levels = definition(*steps).levels
    for step in steps:
        assert levels[step["id"]] == 1 + max((levels[each] for each in step["inputs"]), default=-1)


@given(steps=graphs())
@settings(deadline=None, max_examples=examples(50))
def test_every_step_runs_once_and_after_all_that_it_reads(steps: list[dict[str, Any]]) -> None:
    async def run() -> None:
        world = await World(definition(*steps)).start()
        execution = await world.run()
        assert execution.status is ExecutionStatus.COMPLETED
        asked = [request.step_id for request in world.asked]
        assert sorted(asked) == sorted(step["id"] for step in steps)
        for step in steps:
            assert all(asked.index(each) < asked.index(step["id"]) for each in step["inputs"])

    asyncio.run(run())


@given(steps=graphs(), broken=st.integers(0, 6))
@settings(deadline=None, max_examples=examples(50))
def test_whatever_step_fails_the_execution_ends_with_nothing_open(steps: list[dict[str, Any]], broken: int) -> None:
    async def run() -> None:
        failing = f"s{broken % len(steps)}"
        world = await World(definition(*steps), {failing: [RuntimeError("a bug")]}).start()
        execution = await world.run()
        assert execution.status is ExecutionStatus.FAILED
        assert {step.status for step in execution.steps.values()} <= {
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.SKIPPED,
        }
        needing = [step["id"] for step in steps if failing in step["inputs"]]
        assert all(execution.steps[each].status is StepStatus.SKIPPED for each in needing)
        assert "pending" not in {status for _, status in world.calls()}

    asyncio.run(run())


async def test_all_steps_of_a_level_are_under_way_at_once() -> None:
    width = 5
    barrier = asyncio.Barrier(width)

    async def meet(_request: ModelRequest) -> ModelReply:
        async with asyncio.timeout(10):  # only reached if one step has to wait for another to end
            await barrier.wait()
        return document()

    names = [f"s{number}" for number in range(width)]
    steps: list[dict[str, object]] = [{"id": name} for name in names]
    steps.append({"id": "join", "inputs": names})
    world = await World(definition(*steps), {name: [meet] for name in names}).start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED


async def test_a_step_starts_as_soon_as_its_own_inputs_are_there() -> None:
    slow = asyncio.Event()

    async def wait(_request: ModelRequest) -> ModelReply:
        async with asyncio.timeout(10):
            await slow.wait()
        return document()

    async def let_go(_request: ModelRequest) -> ModelReply:
        slow.set()
        return document()

    steps = ({"id": "slow"}, {"id": "fast"}, {"id": "next", "inputs": ["fast"]})
    world = await World(definition(*steps), {"slow": [wait], "next": [let_go]}).start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED  # `next` did not wait for `slow`
