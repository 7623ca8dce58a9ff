"""Every port behaves the same in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from uuid_utils.compat import uuid7

from common.errors import NotFound, VersionConflict
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.calls import Call, CallKey
from executions.engine.domain.errors import IllegalTransition, StaleFencingToken
from executions.engine.domain.execution import Document, Execution, Pin
from executions.engine.domain.states import CallKind, CallStatus, ExecutionStatus, StepStatus
from executions.engine.ports import MadeVersion, Transition
from executions.engine.transitions import claims, core
from tests.contract.backends import UNKNOWN_ID, AnyWorld, MemoryWorld, PostgresWorld, without_ids
from tests.factories.engine import ASKING, FORK, LINE, SCHEMA, Gate, definition, document, invalid, question

WorldOf = type[MemoryWorld] | type[PostgresWorld]


async def _started(world_of: WorldOf) -> AnyWorld:
    world = world_of(LINE)
    await world.start()
    return world


def _document(scope_id: object, version: int, title: str = "T") -> Document:
    return Document(
        id=uuid7(),
        scope_id=scope_id,  # type: ignore[arg-type]
        type="one",
        version=version,
        title=title,
        content={"title": title, "points": ["p"]},
        schema=SCHEMA,
        execution_id=None,
        step_id=None,
        created_at=datetime.now(UTC),
    )


async def test_an_execution_comes_back_as_it_was_saved(world_of: WorldOf) -> None:
    world = await _started(world_of)
    repository = world.ports.repositories.executions
    stored = await repository.get(world.execution_id)
    saved = await repository.save(replace(stored, version=stored.version + 1, tags=stored.tags))
    assert await repository.get(world.execution_id) == saved


async def test_a_stale_execution_is_not_saved(world_of: WorldOf) -> None:
    world = await _started(world_of)
    repository = world.ports.repositories.executions
    stored = await repository.get(world.execution_id)
    await repository.save(replace(stored, version=stored.version + 1))
    with pytest.raises(VersionConflict):
        await repository.save(replace(stored, version=stored.version + 1))
    with pytest.raises(VersionConflict):
        await repository.save(replace(stored, version=1))


async def test_executions_are_listed_by_scope_and_while_they_are_active(world_of: WorldOf) -> None:
    world = await _started(world_of)
    repository = world.ports.repositories.executions
    stored = await repository.get(world.execution_id)
    assert await repository.list_by_scope(stored.scope.id) == [stored]
    assert await repository.list_active() == [stored]
    await world.cancel()
    assert await repository.list_active() == []
    assert await repository.list_by_scope(UNKNOWN_ID) == []


async def test_what_is_not_there_is_not_found(world_of: WorldOf) -> None:
    world = await _started(world_of)
    with pytest.raises(NotFound):
        await world.ports.repositories.executions.get(UNKNOWN_ID)
    with pytest.raises(NotFound):
        await world.ports.repositories.documents.get(UNKNOWN_ID)
    assert await world.ports.repositories.documents.get_by_scope_type(UNKNOWN_ID, "one") is None
    with pytest.raises(NotFound):
        await world.ports.definitions.get("no-such", 1)
    with pytest.raises(NotFound):
        await world.ports.journal.commit(
            Transition(
                execution_id=UNKNOWN_ID,
                fencing_token=None,
                decide=lambda execution, _: core.Change(execution=execution),
            )
        )


async def test_a_document_keeps_its_id_and_counts_its_versions(world_of: WorldOf) -> None:
    world = await _started(world_of)
    documents = world.ports.repositories.documents
    scope_id = (await world.now()).scope.id
    first = await documents.save(_document(scope_id, 1, "First"))
    second = await documents.save(_document(scope_id, 2, "Second"))
    assert second.id == first.id
    assert (await documents.get(first.id)).title == "Second"
    assert (await documents.get(first.id, 1)).title == "First"
    assert await documents.get_by_scope_type(scope_id, "one") == second
    assert await documents.list_by_scope(scope_id) == [second]
    assert list(second.schema) == list(SCHEMA)  # in the order that its author chose


async def test_a_stale_document_is_not_saved(world_of: WorldOf) -> None:
    world = await _started(world_of)
    documents = world.ports.repositories.documents
    scope_id = (await world.now()).scope.id
    await documents.save(_document(scope_id, 1))
    for version in (1, 3):
        with pytest.raises(VersionConflict):
            await documents.save(_document(scope_id, version))


async def test_a_refused_transition_leaves_nothing_behind(world_of: WorldOf) -> None:
    world = await _started(world_of)
    before, log = await world.now(), await world.log()
    key = CallKey(execution_id=world.execution_id, step_id="one", attempt=1, kind=CallKind.GENERATE)
    call = Call(key=key, model="p:m", request_hash="h", status=CallStatus.PENDING, started_at=datetime.now(UTC))

    def refuse(execution: Execution, context: core.Context) -> core.Change:
        return core.complete_step(execution, "one", context=context)  # it has not begun

    with pytest.raises(IllegalTransition):
        await world.ports.journal.commit(
            Transition(
                execution_id=world.execution_id,
                fencing_token=None,
                decide=refuse,
                calls=(call,),
                document=_document(before.scope.id, 0),
            )
        )
    assert await world.now() == before
    assert await world.log() == log
    assert await world.booked() == []
    assert await world.ports.repositories.documents.list_by_scope(before.scope.id) == []


async def test_a_runner_that_was_overtaken_is_refused(world_of: WorldOf) -> None:
    world = await _started(world_of)

    def claimed_by(name: str) -> Callable[[Execution, core.Context], core.Change]:
        return lambda execution, context: claims.claim(execution, worker=name, max_recoveries=5, context=context)

    first = await world.decide(claimed_by("a"))
    await world.decide(claimed_by("b"))
    input_versions: tuple[Pin, ...] = ()
    with pytest.raises(StaleFencingToken):
        await world.ports.journal.commit(
            Transition(
                execution_id=world.execution_id,
                fencing_token=first.fencing_token,
                decide=lambda execution, context: core.start_step(
                    execution, "one", model="m", input_versions=input_versions, context=context
                ),
            )
        )
    assert (await world.now()).claimed_by == "b"


@pytest.mark.parametrize("final", [CallStatus.COMMITTED, CallStatus.FAILED])
async def test_a_settled_call_stays_settled(world_of: WorldOf, final: CallStatus) -> None:
    world = await _started(world_of)
    key = CallKey(execution_id=world.execution_id, step_id="one", attempt=1, kind=CallKind.GENERATE)
    call = Call(key=key, model="p:m", request_hash="h", status=CallStatus.PENDING, started_at=datetime.now(UTC))
    await world.settle(call)
    await world.settle(replace(call, status=final, reply=document() if final is CallStatus.COMMITTED else None))
    await world.settle(replace(call, status=CallStatus.UNKNOWN))
    [kept] = await world.ports.ledger.calls(world.execution_id, "one")
    assert kept.status is final


async def test_an_abandoned_call_may_turn_out_to_have_cost_nothing(world_of: WorldOf) -> None:
    world = await _started(world_of)
    key = CallKey(execution_id=world.execution_id, step_id="one", attempt=1, kind=CallKind.GENERATE)
    call = Call(key=key, model="p:m", request_hash="h", status=CallStatus.PENDING, started_at=datetime.now(UTC))
    await world.settle(call)
    await world.settle(replace(call, status=CallStatus.DISCARDED, estimated_cost_usd=Decimal(1)))
    await world.settle(replace(call, status=CallStatus.FAILED, error="Busy."))
    [kept] = await world.ports.ledger.calls(world.execution_id, "one")
    assert (kept.status, kept.error, kept.estimated_cost_usd) == (CallStatus.FAILED, "Busy.", None)


async def test_a_late_reply_of_a_lost_call_is_kept_with_its_cost(world_of: WorldOf) -> None:
    world = await _started(world_of)
    key = CallKey(execution_id=world.execution_id, step_id="one", attempt=1, kind=CallKind.GENERATE)
    call = Call(key=key, model="p:m", request_hash="h", status=CallStatus.PENDING, started_at=datetime.now(UTC))
    await world.settle(call)
    await world.settle(replace(call, status=CallStatus.UNKNOWN))
    await world.settle(replace(call, status=CallStatus.DISCARDED, reply=document()))
    [kept] = await world.ports.ledger.calls(world.execution_id, "one")
    assert kept.status is CallStatus.DISCARDED
    assert kept.reply is not None
    assert kept.reply.cost_usd == Decimal("0.01")


async def _line(world: AnyWorld) -> None:
    world.script = {"one": [invalid(), document()]}
    await world.runner("a").run()


async def _questions(world: AnyWorld) -> None:
    world.script = {"one": [question(), document()]}
    await world.runner("a").run()
    await world.answer("one", {"How many?": "Twelve"})
    await world.runner("b").run()


async def _exhausted(world: AnyWorld) -> None:
    world.script = {"one": [invalid(), invalid(), invalid()]}
    await world.runner("a").run()


async def _cancelled(world: AnyWorld) -> None:
    gate = Gate(document())
    world.script = {"one": [gate]}
    runner = world.runner("a")
    running = asyncio.create_task(runner.run())
    await gate.reached.wait()
    await world.cancel()
    await runner.refresh()
    await running


async def _overtaken(world: AnyWorld) -> None:
    gate = Gate(document())
    world.script = {"one": [gate]}
    overtaken = asyncio.create_task(world.runner("a").run())
    await gate.reached.wait()
    await world.runner("b").run()
    gate.opened.set()
    await overtaken


Story = Callable[[AnyWorld], Awaitable[None]]


@pytest.mark.parametrize(
    ("definition", "story", "ends"),
    [
        (LINE, _line, ExecutionStatus.COMPLETED),
        (ASKING, _questions, ExecutionStatus.COMPLETED),
        (LINE, _exhausted, ExecutionStatus.FAILED),
        (LINE, _cancelled, ExecutionStatus.CANCELLED),
        (LINE, _overtaken, ExecutionStatus.COMPLETED),
    ],
)
async def test_the_engine_gives_the_same_result_over_both(
    transactional_db: None, definition: object, story: Story, ends: ExecutionStatus
) -> None:
    told = []
    for kind in (MemoryWorld, PostgresWorld):
        world = kind(definition)  # type: ignore[arg-type]
        await world.start()
        await story(world)
        execution = await world.now()
        assert execution.status is ends
        told.append((without_ids(execution), await world.log(), await world.booked()))
    assert told[0] == told[1]


async def test_parallel_steps_number_their_events_without_gaps(world_of: WorldOf) -> None:
    world = world_of(FORK)
    await world.start()
    completed = await world.runner().run()
    assert completed.status is ExecutionStatus.COMPLETED
    assert [sequence for sequence, _, _ in await world.log()] == list(range(1, completed.last_sequence + 1))


async def test_the_last_version_that_a_step_made_is_known_with_what_became_of_it(world_of: WorldOf) -> None:
    world = world_of(definition({"id": "one", "acceptance": {}}))
    await world.start()
    step = (await world.runner().run()).steps["one"]
    assert step.document_id is not None
    documents, executions = world.ports.repositories.documents, world.ports.repositories.executions
    first = await documents.get(step.document_id)
    await documents.save(replace(first, version=2, execution_id=None, author_name="ann"))
    await documents.save(replace(first, version=3, proposed=True))
    made = MadeVersion(version=1, execution_id=world.execution_id, step_id="one")
    assert [await documents.last_made(first.id, each) for each in (0, 1, 2, 3)] == [None, made, made, made]
    assert await documents.last_made(UNKNOWN_ID, 1) is None
    await world.review(AcceptanceAction.ACCEPT)
    outcome = await executions.step_outcome(made.execution_id, made.step_id)
    assert outcome is not None
    assert (outcome.status, outcome.document_version) == (StepStatus.COMPLETED, 1)
    assert [each.accepted for each in outcome.decisions] == [1]
    assert [await executions.step_outcome(*key) for key in ((UNKNOWN_ID, "one"), (made.execution_id, "no"))] == [
        None
    ] * 2
