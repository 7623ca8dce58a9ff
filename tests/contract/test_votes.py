"""Several approvers, and due dates, in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.errors import MayNotVote, NotWaiting
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus, WaitingOn
from executions.engine.transitions import acceptance, clarification, waits
from tests.contract.backends import AnyWorld, MemoryWorld, PostgresWorld
from tests.factories.engine import definition

WorldType = type[MemoryWorld] | type[PostgresWorld]
STEP = "one"
TEAM = ("ann", "ben", "cleo")


async def gated(world_of: WorldType, **policy: Any) -> AnyWorld:
    """Return a world whose document waits for approvers."""
    world = world_of(definition({"id": STEP, "acceptance": {}, **policy}, {"id": "two", "inputs": [STEP]}))
    await world.start()
    waiting = await world.run()
    assert waiting.waiting_on == (WaitingOn.ACCEPTANCE,)
    return world


async def vote(
    world: AnyWorld, name: str, action: AcceptanceAction = AcceptanceAction.ACCEPT, *, user_id: int | None = None
) -> Execution:
    """Vote about the first version."""
    pin = acceptance.waiting_document(await world.now(), STEP, version=1)
    read = await world.ports.repositories.documents.get(pin.document_id, 1)
    target = acceptance.AcceptanceContext(read=read, final=read, definition=world.definition)
    made = AcceptanceDecision(
        decision=action,
        document_version=1,
        decided_by=name,
        decided_by_id=user_id,
        decided_at=world.ports.clock.now(),
        comment="No.",
    )
    return await world.decide(
        lambda execution, context: acceptance.decide(execution, STEP, made, target=target, context=context)
    )


async def types(world: AnyWorld) -> list[str]:
    return [event_type for _, event_type, _ in await world.log()]


@pytest.mark.parametrize("policy", [{"required": 2}, {"required": "all"}])
async def test_the_last_vote_decides(world_of: WorldType, policy: dict[str, Any]) -> None:
    world = await gated(world_of, approvers=policy, assignees=list(TEAM[: 3 if policy["required"] == 2 else 2]))
    with pytest.raises(MayNotVote):
        await vote(world, "eve")
    first = await vote(world, "ann")
    assert first.status is ExecutionStatus.WAITING
    stored = (await world.ports.repositories.executions.get(first.id)).steps[STEP].wait
    assert stored == first.steps[STEP].wait and stored is not None and stored.voted_by(1) == ["ann"]
    assert (await vote(world, "ben")).status is ExecutionStatus.RUNNING
    assert (await types(world))[-5:] == [
        *("acceptance_voted", "acceptance_voted", "acceptance_decided", "execution_resumed", "step_completed")
    ]
    assert (await world.now()).steps[STEP].wait is None


async def test_two_votes_at_once_are_one_decision(world_of: WorldType) -> None:
    world = await gated(world_of, approvers={"required": 2})
    outcomes = await asyncio.gather(*(vote(world, name) for name in TEAM), return_exceptions=True)
    assert [type(each) for each in outcomes].count(NotWaiting) == 1
    assert (await types(world)).count("acceptance_decided") == 1
    assert (await types(world)).count("acceptance_voted") == 2


async def test_one_rejection_decides_and_four_eyes_see_ids(world_of: WorldType) -> None:
    world = await gated(world_of, approvers={"required": 3, "four_eyes": True})
    starter = (await world.now()).requested_by
    if starter is not None:
        with pytest.raises(MayNotVote):
            await vote(world, "renamed", user_id=starter)
    assert (await vote(world, "ben")).status is ExecutionStatus.WAITING
    assert (await vote(world, "cleo", AcceptanceAction.REJECT)).status is ExecutionStatus.FAILED


async def test_due_dates_are_told_once_and_an_assignment_begins_them_anew(world_of: WorldType) -> None:
    world = await gated(world_of, due_seconds=100.0, remind_seconds_before=40.0)
    due = (await world.now()).deadline_at
    wait = (await world.now()).steps[STEP].wait
    assert wait is not None and due == wait.remind_at

    async def pass_time(later: float) -> list[str]:
        known = len(await types(world))
        moment = wait.since + timedelta(seconds=later)

        def decide(execution: Execution, context: Any) -> Any:
            return clarification.pass_time(execution, context=type(context)(now=moment))

        try:
            await world.decide(decide)
        except NotWaiting:
            return []
        return (await types(world))[known:]

    assert [await pass_time(each) for each in (59, 61, 99)] == [[], ["wait_reminder"], []]
    assert [await pass_time(each) for each in (101, 102)] == [["wait_overdue"], []]
    assert (await world.now()).deadline_at is None
    later = wait.since + timedelta(seconds=500)
    await world.decide(lambda execution, _: waits.assign(execution, STEP, ["ben"], due_at=later))
    changed = (await world.now()).steps[STEP].wait
    assert changed is not None and (changed.assignees, changed.due_at) == (("ben",), later)
    assert [await pass_time(each) for each in (470, 501)] == [["wait_reminder"], ["wait_overdue"]]
