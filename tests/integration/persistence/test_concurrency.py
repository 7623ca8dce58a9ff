"""Concurrent or late commands of people and writes of workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from django.db.models import F
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from access.user import User
from common.errors import VersionConflict
from documents import repository as documents
from executions import models
from executions.composition import PostgresLedger
from executions.db_threads import in_thread
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.errors import NotWaiting, StaleFencingToken
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus
from executions.engine.ports import Transition
from executions.engine.transitions import core
from executions.persistence import repositories
from executions.persistence.journal.journal import PostgresJournal
from executions.persistence.journal.locked_batch import LockedBatch
from executions.services import acceptance
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.engine import ASKING, document
from tests.factories.executions import answer, ask, begin, call, cancel, claim, decide, names, paper, start, together


def _numbered(execution_id: UUID) -> list[int]:
    rows = models.ExecutionEvent.objects.filter(execution_id=execution_id).order_by("sequence")
    return list(rows.values_list("sequence", flat=True))


def test_of_two_different_answers_at_once_one_counts(ann: User) -> None:
    execution_id = ask(start(ann, ASKING).id).id
    jobs = ProcrastinateJob.objects.count()
    outcomes = together(lambda: answer(ann, execution_id, "Twelve"), lambda: answer(ann, execution_id, "Thirteen"))
    assert names(outcomes) == ["Execution", "NotWaiting"]
    events = models.ExecutionEvent.objects.filter(execution_id=execution_id, event_type="clarification_answered")
    assert events.count() == 1
    assert ProcrastinateJob.objects.count() == jobs + 1


def test_the_same_answers_again_are_fine_and_others_are_not(ann: User) -> None:
    execution_id = ask(start(ann, ASKING).id).id
    first = answer(ann, execution_id, "Twelve")
    jobs = ProcrastinateJob.objects.count()
    assert answer(ann, execution_id, "Twelve") == first
    assert ProcrastinateJob.objects.count() == jobs
    with pytest.raises(NotWaiting):
        answer(ann, execution_id, "Thirteen")


def test_of_two_different_decisions_at_once_one_counts(ann: User) -> None:
    reports.publish(gated=True)
    execution_id = reports.hand_in(reports.start(ann)).id

    def say(verdict: AcceptanceAction) -> Callable[[], Execution]:
        return lambda: acceptance.decide_acceptance(
            user=ann,
            execution_id=execution_id,
            step_id="research",
            said=acceptance.PersonsDecision(decision=verdict, document_version=1, comment="Because."),
            now=timezone.now(),
        )

    outcomes = together(say(AcceptanceAction.REJECT), say(AcceptanceAction.REQUEST_CHANGES))
    assert names(outcomes) == ["Execution", "NotWaiting"]
    events = models.ExecutionEvent.objects.filter(execution_id=execution_id, event_type="acceptance_decided")
    assert events.count() == 1
    [step] = [each for each in repositories.get(execution_id).steps.values() if each.decisions]
    assert len(step.decisions) == 1


def test_an_answer_and_a_cancel_at_once_come_one_after_the_other(ann: User) -> None:
    execution_id = ask(start(ann, ASKING).id).id
    answered, cancelled = together(lambda: answer(ann, execution_id, "Twelve"), lambda: cancel(ann, execution_id))
    assert isinstance(cancelled, Execution)
    assert isinstance(answered, Execution | NotWaiting)
    assert repositories.get(execution_id) == cancelled
    assert _numbered(execution_id) == list(range(1, cancelled.last_sequence + 1))


def test_two_who_start_in_a_new_scope_at_once_share_it(ann: User) -> None:
    outcomes = together(lambda: start(ann), lambda: start(ann))
    scopes = {outcome.scope.id for outcome in outcomes if isinstance(outcome, Execution)}
    assert len(scopes) == 1
    assert models.Execution.objects.count() == 2


def test_two_executions_that_make_the_same_new_document_at_once_make_one_version_each(ann: User) -> None:
    begun = [begin(claim(start(ann).id)) for _ in range(2)]

    def complete(execution: Execution) -> Execution:
        return decide(
            execution.id,
            lambda now, context: core.complete_step(now, "one", context=context),
            fencing_token=execution.fencing_token,
            document=paper(execution),
        )

    outcomes = together(*(lambda one=one: complete(one) for one in begun))
    made = [each for each in outcomes if isinstance(each, Execution)]
    assert len(made) == 2
    head = documents.newest_version(begun[0].scope.id, "one")
    assert head is not None
    assert head.version == len(made)
    assert sorted(each.steps["one"].document_version or 0 for each in made) == list(range(1, len(made) + 1))


# --- too late --------------------------------------------------------------------------------------------------------


async def test_a_reply_that_comes_after_a_cancel_is_booked_and_changes_nothing(ann: User) -> None:
    begun = await in_thread(lambda: begin(claim(start(ann).id)))
    cancelled = await in_thread(cancel, ann, begun.id)
    assert (await in_thread(ModelCall.objects.get)).status == "discarded"
    late = replace(call(begun.id), status=CallStatus.DISCARDED, reply=document(), finished_at=timezone.now())
    await PostgresLedger(PostgresJournal()).settle(late)
    kept = await in_thread(ModelCall.objects.get)
    assert (kept.status, str(kept.cost_usd)) == ("discarded", "0.0100000000")
    assert await in_thread(repositories.get, begun.id) == cancelled


def test_a_cancel_again_changes_nothing(ann: User) -> None:
    execution_id = start(ann).id
    assert cancel(ann, execution_id) == cancel(ann, execution_id)
    assert models.ExecutionEvent.objects.filter(event_type="complete").count() == 1


def test_the_active_ones_are_listed_oldest_first_and_the_scopes_newest_first(ann: User) -> None:
    first, second, other = start(ann), start(ann), start(ann, scope="q")
    cancel(ann, first.id)
    assert repositories.list_active() == [second, other]
    assert [each.id for each in repositories.list_by_scope(first.scope.id)] == [second.id, first.id]


async def test_a_transition_that_was_overtaken_beside_the_journal_fails_alone(ann: User) -> None:
    overtaken, other = await in_thread(lambda: (claim(start(ann, scope="a").id), claim(start(ann, scope="b").id)))
    theirs = models.ExecutionStep.objects.filter(execution_id=overtaken.id, step_id="one")

    def begin_late(execution: Execution, context: core.Context) -> core.Change:
        together(lambda: theirs.update(version=F("version") + 1))
        return begin_one(execution, context)

    def begin_one(execution: Execution, context: core.Context) -> core.Change:
        return core.start_step(execution, "one", model="m", input_versions=(), context=context)

    journal = PostgresJournal()
    outcomes = await asyncio.gather(
        journal.commit(Transition(execution_id=overtaken.id, fencing_token=overtaken.fencing_token, decide=begin_late)),
        journal.commit(Transition(execution_id=other.id, fencing_token=other.fencing_token, decide=begin_one)),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes] == [VersionConflict, Execution]
    assert (await in_thread(repositories.get, overtaken.id)).version == overtaken.version
    assert (await in_thread(repositories.get, other.id)).version == other.version + 1


def test_a_runner_that_was_overtaken_in_an_outage_does_not_take_the_calls_of_another_for_its_own(ann: User) -> None:
    first = claim(start(ann).id, "a")
    second = claim(first.id, "b")
    begin(second)  # announces the call that the first would have announced

    def start_one(execution: Execution, context: core.Context) -> core.Change:
        return core.start_step(execution, "one", model="m", input_versions=(), context=context)

    mine = Transition(
        execution_id=first.id, fencing_token=first.fencing_token, decide=start_one, calls=(call(first.id, "one"),)
    )
    [outcome] = LockedBatch([mine], now=timezone.now(), known={}, maybe_stored=[mine]).commit().outcomes
    assert isinstance(outcome, StaleFencingToken)
    theirs = Transition(
        execution_id=first.id, fencing_token=second.fencing_token, decide=start_one, calls=(call(first.id, "one"),)
    )
    [outcome] = LockedBatch([theirs], now=timezone.now(), known={}, maybe_stored=[theirs]).commit().outcomes
    assert outcome == repositories.get(first.id)  # it was stored, but the caller had not got the response
