"""Failures have the same effects in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from pydantic import JsonValue

from common.errors import VersionConflict
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.calls import ModelReply, ToolCall
from executions.engine.domain.errors import DatabaseUnavailable, ModelError, NotWaiting, StaleFencingToken
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus, ExecutionStatus, FailureCode
from executions.engine.ports import Journal, Transition
from executions.engine.runtime.runner import ExecutionRunner
from executions.engine.testing.in_memory_models import ScriptedModelClient
from executions.engine.transitions import backoff, clarification
from executions.engine.transitions.planner import step_order
from executions.engine.transitions.retry import retry
from tests.contract.backends import AnyWorld, MemoryWorld, PostgresWorld, without_ids
from tests.factories.collections import collection, delivery, items, over
from tests.factories.engine import LINE, Gate, document, invalid, question, reply
from tests.factories.engine import definition as define
from tests.factories.provider_outages import too_long
from tests.factories.reviews import GIVEN_UP, NEEDS_REVISION, SATISFIED
from workflows.definitions.definition import WorkflowDefinition

BUSY = ModelError(FailureCode.PROVIDER_UNAVAILABLE, "Busy.", transient=True)
RESET = ModelError(FailureCode.PROVIDER_UNAVAILABLE, "Broke off.", transient=True, cut_off=True)
MUCH_TOO_BUSY = ModelError(FailureCode.PROVIDER_UNAVAILABLE, "Busy.", transient=True, retry_after=0.1)
HASTY = define({"id": "one", "retries": {"max_tries": 3, "base_seconds": 0.01}}, {"id": "two", "inputs": ["one"]})
PATIENT = define({"id": "one", "retries": {"base_seconds": 0.01}}, {"id": "two", "inputs": ["one"]})
IMPATIENT = define({"id": "one", "clarification": {"deadline_seconds": 0.1}}, {"id": "two", "inputs": ["one"]})

OVER = over("epics", "epic", on_item_failure="skip")
GATED = define(
    {"id": "epics", "output_schema": collection("epics"), "acceptance": {}},
    {"id": "design", "for_each": OVER, "acceptance": {}},
    {"id": "check", "for_each": OVER, "inputs": ["design"]},
    max_parallel=1,
)
JUDGED = define(
    {"id": "one", "review": {"rubric": "It is short."}, "on_exhausted": "acceptance", "fallbacks": ["b:second"]},
    {"id": "two", "inputs": ["one"]},
)

Story = Callable[[AnyWorld], Awaitable[None]]


@dataclass
class Refusing:
    """A journal that refuses the first document, as a real one may."""

    journal: Journal
    error: Exception
    refused: bool = False

    async def commit(self, transition: Transition) -> Execution:
        """Store it, unless it is the first with a document."""
        if transition.document is not None and not self.refused:
            self.refused = True
            raise self.error
        return await self.journal.commit(transition)


def odd(arguments: JsonValue) -> ModelReply:
    """Return a reply that hands this in."""
    return reply(ToolCall(name="submit_document", arguments=arguments))


async def judged(world: AnyWorld) -> None:
    """A review sends the document back, another says nothing, the last gives up; a person decides."""
    world.script = {"one": [document("First"), NEEDS_REVISION, document("Second"), reply(text="Hm."), GIVEN_UP]}
    await world.runner("a").run()
    await world.review(AcceptanceAction.ACCEPT)
    await world.runner("b").run()


async def condensed(world: AnyWorld) -> None:
    """What the model cannot read is cut, and what it cannot do another model does."""
    world.script = {"one": [too_long(), too_long(), document(), SATISFIED]}
    await world.runner("a").run()


async def hostile(world: AnyWorld) -> None:
    """The model hands in what no database keeps; it is booked, and sent back."""
    world.script = {"one": [odd({"title": "a\0b", "points": ["\ud800"]}), odd({"title": "T", "points": [1e999]})]}
    await world.runner("a").run()


async def buggy(world: AnyWorld) -> None:
    """Something unforeseen happens while the model is asked."""
    world.script = {"one": [RuntimeError("a bug")]}
    await world.runner("a").run()


async def refused(world: AnyWorld) -> None:
    """The provider rejects the request with a text that no database keeps."""
    world.script = {"one": [ModelError(FailureCode.PROVIDER_REJECTED, "No\0 key.")]}
    await world.runner("a").run()


async def stopped(world: AnyWorld) -> None:
    """The worker is stopped during a call, and another goes on."""
    gate = Gate(document())
    world.script = {"one": [gate]}
    running = asyncio.create_task(world.runner("a").run())
    await gate.under_way()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await world.runner("b").run()


async def remediation_taken_up(world: AnyWorld) -> None:
    """The worker is stopped while the model mends its output; the next one sends exactly the same."""
    gate = Gate(document())
    world.script = {"one": [invalid(), gate]}
    running = asyncio.create_task(world.runner("a").run())
    await gate.under_way()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await world.runner("b").run()
    hashes = [call.request_hash for call in await world.ports.ledger.calls(world.execution_id, "one")]
    assert len(hashes) == 3
    assert hashes[1] == hashes[2]


async def overtaken_by_the_head(world: AnyWorld) -> None:
    """Another execution stored its version first. The reply is still used, and paid for once."""
    journal = Refusing(world.ports.journal, VersionConflict("The document", expected=0))
    await ExecutionRunner(replace(world.ports, journal=journal), execution_id=world.execution_id, worker="a").run()
    assert [request.step_id for request in world.asked] == ["one", "two"]


async def away(world: AnyWorld) -> None:
    """The database is away as the document would be stored; the reply is used later."""
    journal = Refusing(world.ports.journal, DatabaseUnavailable("The database is away."))
    with pytest.raises(DatabaseUnavailable):
        await ExecutionRunner(replace(world.ports, journal=journal), execution_id=world.execution_id, worker="a").run()
    await world.runner("b").run()
    assert [request.step_id for request in world.asked] == ["one", "two"]


async def busy_for_a_moment(world: AnyWorld) -> None:
    """The provider has too much to do, twice."""
    world.script = {"one": [BUSY, BUSY]}
    await world.runner("a").run()
    assert sorted(call.key.ordinal for call in await world.ports.ledger.calls(world.execution_id, "one")) == [1, 2, 3]


async def out_of_order(world: AnyWorld) -> None:
    """The provider stays out of order, until the step gives up."""
    world.script = {"one": [BUSY] * 9}
    await world.runner("a").run()
    assert len(world.asked) == 3


async def deferred(world: AnyWorld) -> None:
    """The provider asks twice for a wait that is longer than a worker waits, so the step is deferred."""
    world.script = {"one": [invalid(), MUCH_TOO_BUSY, MUCH_TOO_BUSY, document()]}
    world.ports = replace(world.ports, defer_after_seconds=0.05)
    for name in "ab":
        waiting = await world.runner(name).run()
        assert (waiting.status, waiting.claimed_by) == (ExecutionStatus.WAITING, None)
        assert waiting.resume_at is not None
        assert waiting == await world.now()
        await world.ports.clock.sleep(0.2)
        await world.decide(lambda execution, context: backoff.resume_deferred(execution, context=context))
    await world.runner("c").run()


async def outlived(world: AnyWorld) -> None:
    """The provider is away for longer than five tries last; each time another worker takes the step up."""
    world.script = {"one": [BUSY, RESET, BUSY, BUSY, RESET, RESET, BUSY, document()]}
    world.ports = replace(world.ports, defer_after_seconds=0.5)
    for name in "abc":
        waiting = await world.runner(name).run()
        assert (waiting.status, waiting.claimed_by) == (ExecutionStatus.WAITING, None)
        assert waiting.resume_at is not None
        left = (waiting.resume_at - world.ports.clock.now()).total_seconds()
        await world.ports.clock.sleep(max(left, 0) + 0.01)
        await world.decide(lambda execution, context: backoff.resume_deferred(execution, context=context))
    await world.runner("d").run()
    calls = await world.ports.ledger.calls(world.execution_id, "one")
    assert [call.status.value for call in calls] == [
        *("failed", "unknown", "failed", "failed", "unknown", "unknown", "failed", "committed")
    ]


async def given_up(world: AnyWorld) -> None:
    """The provider stays away, and the step has no patience beyond its five tries."""
    world.script = {"one": [BUSY] * 9}
    world.ports = replace(world.ports, patience_seconds=0.0)
    await world.runner("a").run()
    assert len(world.asked) == 5


async def unanswered(world: AnyWorld) -> None:
    """No answer arrives in time: defaults are used, then the step fails. After a retry a person answers."""
    world.script = {"one": [question(default="ten"), question("Who?"), document()]}
    for name in "ab":
        waiting = await world.runner(name).run()
        assert waiting.status is ExecutionStatus.WAITING
        assert waiting == await world.now()
        assert waiting.deadline_at is not None
        await world.ports.clock.sleep(0.2)
        await world.decide(lambda execution, context: clarification.expire(execution, context=context))
        with pytest.raises(NotWaiting):
            await world.decide(lambda execution, context: clarification.expire(execution, context=context))
    failed = await world.now()
    assert failed.failure is not None
    assert failed.failure.code is FailureCode.QUESTION_EXPIRED
    retried = await world.retry()
    assert (retried.status, retried.deadline_at is None) == (ExecutionStatus.WAITING, False)
    answered = await world.answer("one", {"Who?": "Ann"})
    assert answered == await world.now()
    assert [each.answered_by for each in answered.steps["one"].rounds] == ["the deadline", "ann"]
    await world.runner("c").run()


async def delivered(world: AnyWorld) -> None:
    """Epics have stories, which are tested; one epic fails and is left out."""
    world.script = {
        "epics": [items("epics", "pay", "ship", "bill")],
        "design@ship": [ModelError(FailureCode.PROVIDER_REJECTED, "No.")],
        "stories@pay": [items("stories", "card", "cash")],
        "stories@bill": [items("stories")],
    }
    await world.runner("a").run()


async def delivered_again(world: AnyWorld) -> None:
    """What fails without its epic is made again from other epics, in the scopes that are there."""
    world.script = {
        "epics": [items("epics", "pay", "ship"), items("epics", "ship", "bill")],
        "design@ship": [ModelError(FailureCode.PROVIDER_REJECTED, "No.")],
        **{f"stories@{key}": [items("stories", "card"), items("stories", "card")] for key in ("pay", "ship", "bill")},
    }
    await world.runner("a").run()
    await world.decide(
        lambda execution, context: retry(execution, from_step="epics", requested_by="ann", waiting={}, context=context)
    )
    await world.runner("b").run()
    now = await world.now()
    places = [step.step_id for step in sorted(now.steps.values(), key=step_order) if step.slug == "test"]
    assert [each for each in places if not each.startswith("test@pay")] == ["test@ship.card", "test@bill.card"]


async def reviewed(world: AnyWorld) -> None:
    """A person has the epics worked over, accepts them, and rejects the design of one."""
    world.script = {"epics": [items("epics", "pay"), items("epics", "pay", "ship")]}
    await world.runner("a").run()
    await world.review(AcceptanceAction.REQUEST_CHANGES, step_id="epics", comment="Ship it, too.")
    await world.runner("b").run()
    await world.review(AcceptanceAction.ACCEPT, step_id="epics", version=2)
    await world.runner("c").run()
    await world.review(AcceptanceAction.REJECT, step_id="design@ship")
    await world.review(AcceptanceAction.ACCEPT, step_id="design@pay")
    await world.runner("d").run()
    assert [each.comment for each in (await world.now()).steps["epics"].decisions] == ["Ship it, too.", ""]


@pytest.mark.parametrize(
    ("definition", "story", "ends"),
    [
        (GATED, reviewed, ExecutionStatus.COMPLETED),
        (delivery(epic="skip"), delivered, ExecutionStatus.COMPLETED),
        (delivery(), delivered_again, ExecutionStatus.COMPLETED),
        (JUDGED, judged, ExecutionStatus.COMPLETED),
        (JUDGED, condensed, ExecutionStatus.COMPLETED),
        (LINE, hostile, ExecutionStatus.COMPLETED),
        (LINE, buggy, ExecutionStatus.FAILED),
        (LINE, refused, ExecutionStatus.FAILED),
        (LINE, stopped, ExecutionStatus.COMPLETED),
        (LINE, remediation_taken_up, ExecutionStatus.COMPLETED),
        (LINE, overtaken_by_the_head, ExecutionStatus.COMPLETED),
        (LINE, away, ExecutionStatus.COMPLETED),
        (HASTY, busy_for_a_moment, ExecutionStatus.COMPLETED),
        (HASTY, out_of_order, ExecutionStatus.FAILED),
        (HASTY, deferred, ExecutionStatus.COMPLETED),
        (PATIENT, outlived, ExecutionStatus.COMPLETED),
        (PATIENT, given_up, ExecutionStatus.FAILED),
        (IMPATIENT, unanswered, ExecutionStatus.COMPLETED),
    ],
)
async def test_a_story_ends_the_same_in_both_worlds(
    transactional_db: None, definition: WorkflowDefinition, story: Story, ends: ExecutionStatus
) -> None:
    told = []
    for kind in (MemoryWorld, PostgresWorld):
        world = kind(definition)
        await world.start()
        await story(world)
        execution = await world.now()
        assert execution.status is ends
        log = await world.log()
        assert [sequence for sequence, _, _ in log] == list(range(1, len(log) + 1))
        told.append((without_ids(execution), sorted(log[:-1], key=str) + log[-1:], await world.booked()))
    assert told[0] == told[1]


async def test_an_overtaken_runner_may_not_settle_a_call_with_its_transition(
    world_of: type[MemoryWorld] | type[PostgresWorld],
) -> None:
    gate = Gate(document())
    world = world_of(LINE, {"one": [gate]})
    await world.start()
    running = asyncio.create_task(world.runner("a").run())
    await gate.under_way()
    [pending] = await world.ports.ledger.calls(world.execution_id, "one")
    late = Transition(
        execution_id=world.execution_id,
        fencing_token=0,
        decide=lambda execution, _: pytest.fail(f"{execution.id} was decided upon"),
        calls=(replace(pending, status=CallStatus.UNKNOWN),),
    )
    with pytest.raises(StaleFencingToken):
        await world.ports.journal.commit(late)
    gate.opened.set()
    assert (await running).status is ExecutionStatus.COMPLETED
    assert [status for _, _, status in await world.booked()] == ["committed", "committed"]


async def test_a_call_that_a_dead_worker_left_keeps_what_it_may_have_cost(
    world_of: type[MemoryWorld] | type[PostgresWorld],
) -> None:
    gate = Gate(document())
    world = world_of(LINE, {"one": [gate]})
    assert isinstance(world.ports.models, ScriptedModelClient)
    world.ports.models.estimated_cost_usd = Decimal("0.0123456789")
    await world.start()
    dead = asyncio.create_task(world.runner("dead").run())
    await gate.under_way()
    await world.runner("b").run()
    dead.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dead
    lost, bought = await world.ports.ledger.calls(world.execution_id, "one")
    assert (lost.status, lost.estimated_cost_usd) == (CallStatus.UNKNOWN, Decimal("0.0123456789"))
    assert (bought.status, bought.estimated_cost_usd) == (CallStatus.COMMITTED, None)
