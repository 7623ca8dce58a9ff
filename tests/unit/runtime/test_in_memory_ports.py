"""The in-memory ports keep the contract of each port."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils.compat import uuid7

from common.errors import NotFound, VersionConflict
from executions.engine.domain.calls import Call, CallKey, sum_calls
from executions.engine.domain.errors import IllegalTransition
from executions.engine.domain.execution import Document, Execution
from executions.engine.domain.states import CallKind, CallStatus
from executions.engine.ports import Transition
from executions.engine.testing.in_memory import InMemoryDocumentRepository, InMemoryLedger, ManualClock
from executions.engine.transitions import core
from tests.factories.engine import SCHEMA, World, document

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CALL = Call(
    key=CallKey(execution_id=uuid7(), step_id="one", attempt=1, kind=CallKind.GENERATE),
    model="p:m",
    request_hash="h",
    status=CallStatus.PENDING,
    started_at=NOW,
)


async def test_an_execution_is_saved_over_the_version_before_and_no_other() -> None:
    world = await World().start()
    executions = world.ports.repositories.executions
    stored = await executions.get(world.execution_id)
    await executions.save(replace(stored, version=2))
    for version in (1, 2, 4):
        with pytest.raises(VersionConflict):
            await executions.save(replace(stored, version=version))
    with pytest.raises(VersionConflict):
        await executions.save(replace(stored, id=uuid7(), version=2))  # a new one begins with 1
    assert (await executions.get(world.execution_id)).version == 2


async def test_a_refused_transition_leaves_neither_call_nor_event_nor_version() -> None:
    world = await World().start()
    before = await world.now()
    key = replace(CALL.key, execution_id=world.execution_id)

    def refuse(execution: Execution, context: core.Context) -> core.Change:
        return core.remediate(execution, "one", violations=(), context=context)  # it has not begun

    with pytest.raises(IllegalTransition):
        await world.journal.commit(
            Transition(
                execution_id=world.execution_id, fencing_token=None, decide=refuse, calls=(replace(CALL, key=key),)
            )
        )
    assert await world.now() == before
    assert world.calls() == []
    assert world.events() == ["execution_created"]


async def test_a_document_is_saved_after_the_version_before_and_no_other() -> None:
    documents = InMemoryDocumentRepository()
    first = Document(
        id=uuid7(),
        scope_id=uuid7(),
        type="one",
        version=1,
        title="T",
        content={"title": "T"},
        schema=SCHEMA,
        execution_id=None,
        step_id=None,
        created_at=NOW,
    )
    await documents.save(first)
    for version in (0, 1, 3):
        with pytest.raises(VersionConflict):
            await documents.save(replace(first, version=version))
    second = await documents.save(replace(first, id=uuid7(), version=2))
    assert second.id == first.id
    with pytest.raises(NotFound):
        await documents.get(first.id, 3)


@pytest.mark.parametrize(
    ("settled", "then", "kept"),
    [
        (CallStatus.COMMITTED, CallStatus.UNKNOWN, CallStatus.COMMITTED),
        (CallStatus.COMMITTED, CallStatus.DISCARDED, CallStatus.COMMITTED),
        (CallStatus.FAILED, CallStatus.COMMITTED, CallStatus.FAILED),
        (CallStatus.DISCARDED, CallStatus.UNKNOWN, CallStatus.DISCARDED),
        (CallStatus.DISCARDED, CallStatus.COMMITTED, CallStatus.DISCARDED),
        (CallStatus.UNKNOWN, CallStatus.COMMITTED, CallStatus.DISCARDED),
        (CallStatus.UNKNOWN, CallStatus.DISCARDED, CallStatus.DISCARDED),
    ],
)
async def test_a_call_is_settled_once_and_only_its_late_reply_is_added(
    settled: CallStatus, then: CallStatus, kept: CallStatus
) -> None:
    ledger = InMemoryLedger()
    await ledger.settle(CALL)
    await ledger.settle(replace(CALL, status=settled))
    await ledger.settle(replace(CALL, status=then))
    [row] = await ledger.calls(CALL.key.execution_id, "one")
    assert row.status is kept


async def test_a_reply_that_was_booked_stays() -> None:
    ledger = InMemoryLedger()
    for change in (CALL, replace(CALL, status=CallStatus.DISCARDED, reply=document("First"))):
        await ledger.settle(change)
    await ledger.settle(replace(CALL, status=CallStatus.DISCARDED, reply=None))
    [row] = await ledger.calls(CALL.key.execution_id, "one")
    assert row.reply == document("First")


def test_a_call_under_way_makes_the_cost_neither_final_nor_complete() -> None:
    priced = replace(CALL, status=CallStatus.COMMITTED, reply=document())
    assert (sum_calls([priced]).cost_complete, sum_calls([priced]).cost_final) == (True, True)
    totals = sum_calls([priced, CALL])
    assert (totals.calls, totals.cost_usd, totals.cost_complete, totals.cost_final) == (2, None, False, False)
    refused = sum_calls([priced, replace(CALL, status=CallStatus.FAILED)])
    assert (refused.cost_complete, refused.known_cost_usd) == (True, totals.known_cost_usd)


def test_the_clock_moves_when_it_is_told_to() -> None:
    clock = ManualClock(NOW)
    clock.advance(1.5)
    assert clock.now() - NOW == timedelta(seconds=1.5)
