"""What commands are decided on: a snapshot names what it lacks, and a transaction reads it under the same locks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import transaction
from django.utils import timezone

from access.user import User
from common.errors import NotFound
from documents.repository import SELECT_HEADS, Head
from executions import models
from executions.composition import PostgresLedger
from executions.db_threads import in_thread
from executions.engine.domain.calls import Totals
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus
from executions.engine.ports import Journal, Transition
from executions.engine.transitions import core
from executions.persistence.call_ledger import Need, NeedsMore, all_calls_of
from executions.persistence.journal import cache, sources
from executions.persistence.journal.cache import SnapshotCache
from executions.persistence.journal.decisions import Snapshot, WriteSet, decide
from executions.persistence.journal.journal import PostgresJournal
from telemetry.models import ModelCall
from tests.contract.backends import PostgresWorld
from tests.factories.collections import collection, items, over
from tests.factories.engine import definition, document
from tests.factories.executions import begin, call, claim, paper, start

NOW = timezone.now()
FAN_OUT = definition(
    {"id": "parts", "output_schema": collection("parts")},
    {"id": "part", "for_each": over("parts", "part")},
    {"id": "summary", "inputs": ["parts"]},
)


def nothing(execution: Execution, _: core.Context) -> core.Change:
    """Decide to change nothing."""
    return core.Change(execution=execution)


def until_decided(command: Transition) -> tuple[list[set[Need]], WriteSet]:
    """Decide under row locks; return what was lacking each time, and the result."""
    lacking: list[set[Need]] = []
    with transaction.atomic():
        snapshot = sources.lock([command], known={}, now=NOW)
        while (found := decide([command], snapshot, now=NOW)).needs:
            lacking.append(found.needs)
            snapshot = sources.load_more(snapshot, found.needs, now=NOW)
    return lacking, found


def test_sums_are_read_when_they_are_needed_and_count_each_call_once(ann: User) -> None:
    execution = begin(claim(start(ann).id))
    seen: list[tuple[Totals, Totals, int]] = []

    def look(current: Execution, context: core.Context) -> core.Change:
        whole, spent = context.totals(), context.spent()
        seen.append((whole, context.step_totals("one"), spent.calls))
        return core.Change(execution=current)

    lacking, found = until_decided(Transition(execution_id=execution.id, fencing_token=None, decide=look))
    assert Need("calls", execution.id, "one") in set().union(*lacking)
    assert Need("totals", execution.id) in lacking[0]
    [(whole, step, used)] = seen
    assert whole == step
    assert (whole.calls, used) == (1, 1)
    assert found.needs == set()


def test_a_step_whose_calls_were_read_lacks_nothing(ann: User) -> None:
    execution = begin(claim(start(ann).id))
    settled = replace(call(execution.id), status=CallStatus.COMMITTED, reply=document(), finished_at=NOW)
    command = Transition(
        execution_id=execution.id,
        fencing_token=execution.fencing_token,
        decide=lambda now, context: core.complete_step(now, "one", context=context),
        calls=(settled,),
        document=paper(execution),
    )
    lacking, found = until_decided(command)
    assert lacking == []
    assert [new.steps["one"].document_version for _, new in found.changed] == [1]
    assert found.changes_calls == [True]
    assert ModelCall.objects.get(execution_id=execution.id).status == "pending"  # a decision writes nothing


def test_without_locks_an_unknown_execution_is_left_and_so_are_later_commands_after_a_rejection(ann: User) -> None:
    execution = claim(start(ann).id)
    known = Snapshot(executions={execution.id: execution})
    rejected = Transition(execution_id=execution.id, fencing_token=execution.fencing_token - 1, decide=nothing)
    fine = Transition(execution_id=execution.id, fencing_token=execution.fencing_token, decide=nothing)
    assert [type(each) for each in decide([fine], Snapshot(), now=NOW).outcomes] == [NeedsMore]
    first, second = decide([rejected, fine], known, now=NOW).outcomes
    assert not isinstance(first, Execution | NeedsMore)
    assert isinstance(second, NeedsMore)
    locked = replace(known, is_locked=True)
    assert isinstance(decide([rejected, fine], locked, now=NOW).outcomes[1], Execution)


async def test_a_late_call_of_an_execution_that_is_gone_is_told_so(ann: User) -> None:
    execution = await in_thread(lambda: begin(claim(start(ann).id)))
    await in_thread(models.ExecutionEvent.objects.filter(execution_id=execution.id).delete)
    await in_thread(models.Execution.objects.filter(id=execution.id).delete)
    late = replace(call(execution.id), status=CallStatus.COMMITTED, reply=document(), finished_at=NOW)
    with pytest.raises(NotFound):
        await PostgresLedger(PostgresJournal()).settle(late)


@dataclass
class Lacking:
    """A journal that tells what decisions about new documents lack under locks."""

    journal: Journal
    found: list[list[set[Need]]] = field(default_factory=list)

    async def commit(self, command: Transition) -> Execution:
        """Decide under locks, undo it, and store the transition."""
        if command.document is not None:
            self.found.append((await in_thread(until_decided, command))[0])
        return await self.journal.commit(command)


async def lacking_of_run(*names: str) -> list[list[set[Need]]]:
    """Run a workflow with a part for each name; return what the decisions lacked, in the order of the documents."""
    world = PostgresWorld(FAN_OUT)
    world.script = {"parts": [items("parts", *names)]}
    lacking = Lacking(world.ports.journal)
    world.ports = replace(world.ports, journal=lacking)
    await world.start()
    ended = await world.runner("a").run()
    assert len(ended.steps) == len(lacking.found) == len(names) + 2
    return lacking.found


async def test_a_step_that_starts_the_next_one_is_decided_at_once(ann: User) -> None:
    assert await lacking_of_run("x") == [[], [], []]


async def test_steps_that_start_together_are_decided_at_once(ann: User) -> None:
    first, *_ = await lacking_of_run("x", "y", "z")  # of the others, each may be the last: that starts the summary
    assert first == []


def test_after_a_conflict_heads_of_steps_that_start_are_read_again(ann: User) -> None:
    execution = claim(start(ann).id)
    scope_id = execution.scope.id
    command = Transition(
        execution_id=execution.id,
        fencing_token=execution.fencing_token,
        decide=lambda now, context: core.start_step(now, "one", model="m", input_versions=(), context=context),
        calls=(call(execution.id),),
    )
    for forget in (SnapshotCache.invalidate, SnapshotCache.discard):
        kept = SnapshotCache()
        stale = {scope_id: {"one": Head(execution.id, 1, 1)}}
        kept.put_missing(
            Snapshot(executions={execution.id: execution}, calls=all_calls_of([execution.id]), heads=stale)
        )
        assert decide([command], kept.snapshot([command]), now=NOW).read_heads == {(scope_id, "one"): 1}
        forget(kept, [command])
        assert kept.misses([command]) == ({execution.id}, set())
        kept.put(execution, all_calls_of([execution.id])[execution.id])
        assert kept.misses([command]) == (set(), {scope_id})


@pytest.mark.parametrize("locked", [False, True])
async def test_heads_are_not_read_for_each_step(ann: User, monkeypatch: pytest.MonkeyPatch, locked: bool) -> None:
    if locked:
        monkeypatch.setattr(cache, "MAX_STEPS", 0)
    read: list[object] = []
    for cursor in (psycopg.Cursor, psycopg.AsyncCursor):
        monkeypatch.setattr(cursor, "execute", noting(cursor.execute, read))
    world = PostgresWorld(FAN_OUT)
    world.script = {"parts": [items("parts", *map(str, range(12)))]}
    await world.start()
    ended = await world.runner("a").run()
    assert ended.done_steps == 14
    assert 1 <= read.count(SELECT_HEADS) <= 3


def noting(execute: Callable[..., Any], noted: list[object]) -> Callable[..., Any]:
    """Return what executes a statement, and notes it before."""

    def noted_execute(cursor: Any, statement: object, *rest: Any, **named: Any) -> Any:
        noted.append(statement)
        return execute(cursor, statement, *rest, **named)

    return noted_execute


class CountedId(UUID):
    """An id that counts how often it is looked up."""

    looked_up = 0

    def __hash__(self) -> int:
        CountedId.looked_up += 1
        return super().__hash__()


def test_what_a_batch_lacks_is_found_without_going_through_all_cached_scopes(ann: User) -> None:
    execution = start(ann)
    cached = SnapshotCache()
    cached.put_missing(Snapshot(heads={CountedId(int=number): {} for number in range(1, 1001)}))
    cached.put_missing(Snapshot(executions={execution.id: execution}))
    before = CountedId.looked_up
    begins = Transition(execution_id=execution.id, fencing_token=None, decide=nothing, calls=(call(execution.id),))

    executions, scopes = cached.misses([begins])

    assert (executions, scopes) == ({execution.id}, {execution.scope.id})
    assert CountedId.looked_up - before < 10
