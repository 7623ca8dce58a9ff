"""What the database guards: versions, epochs, and that all of a thing is stored or nothing."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from documents import repository as documents
from executions import models, repository
from executions.engine import changes
from executions.engine.errors import IllegalTransition, NotWaiting, Superseded, VersionConflict
from executions.engine.execution import Execution
from executions.engine.states import CallStatus
from executions.ledger import PostgresLedger
from executions.threads import in_thread
from telemetry.models import ModelCall
from tests.engine.world import ASKING, document
from tests.executions.moves import answer, ask, begin, call, cancel, claim, decide, names, paper, start, together


def _numbered(execution_id: UUID) -> list[int]:
    rows = models.ExecutionEvent.objects.filter(execution_id=execution_id).order_by("sequence")
    return list(rows.values_list("sequence", flat=True))


# --- versions -------------------------------------------------------------------------------------------------------


def test_of_two_who_write_over_the_same_version_one_is_refused(ann: User) -> None:
    stored = start(ann)
    following = replace(stored, version=stored.version + 1)
    outcomes = together(lambda: repository.save(following), lambda: repository.save(following))
    assert names(outcomes) == ["NoneType", "VersionConflict"]
    assert repository.get(stored.id).version == stored.version + 1


def _moved(execution: Execution, *, by: int) -> Execution:
    step = execution.steps["one"]
    return replace(execution, version=execution.version + 1).with_step(replace(step, version=step.version + by))


def test_a_step_that_somebody_moved_meanwhile_is_not_overwritten(ann: User) -> None:
    stored = start(ann)
    theirs = models.ExecutionStep.objects.filter(execution_id=stored.id, step_id="one")
    together(lambda: theirs.update(version=2, attempt=7))
    with pytest.raises(VersionConflict):
        repository.save(_moved(stored, by=1), over=stored)
    assert repository.get(stored.id).version == stored.version
    assert theirs.get().attempt == 7


def test_a_step_is_not_put_back_to_an_earlier_version(ann: User) -> None:
    stored = start(ann)
    repository.save(_moved(stored, by=2))
    ahead = repository.get(stored.id)
    behind = replace(stored, version=ahead.version + 1)
    with pytest.raises(VersionConflict):
        repository.save(behind)
    assert repository.get(stored.id) == ahead


def test_a_runner_that_was_overtaken_writes_nothing(ann: User) -> None:
    execution_id = start(ann).id
    first = claim(execution_id, "a")
    second = claim(execution_id, "b")
    log = _numbered(execution_id)
    with pytest.raises(Superseded):
        begin(first)
    assert repository.get(execution_id) == second
    assert _numbered(execution_id) == log
    assert not ModelCall.objects.exists()


def test_of_claims_at_once_each_gets_an_epoch_of_its_own(ann: User) -> None:
    execution_id = start(ann).id
    outcomes = together(*(lambda name=name: claim(execution_id, name) for name in "abc"))
    assert names(outcomes) == ["Execution"] * 3
    assert sorted(each.runner_epoch for each in outcomes if isinstance(each, Execution)) == [1, 2, 3]
    assert _numbered(execution_id) == [1, 2]  # it was created, and started once


# --- all or nothing -------------------------------------------------------------------------------------------------


def test_a_decision_that_fails_takes_everything_with_it(ann: User) -> None:
    begun = begin(claim(start(ann).id))
    log = _numbered(begun.id)

    def fail(execution: Execution, context: changes.Context) -> changes.Change:
        changes.complete_step(execution, "one", context=context)
        raise IllegalTransition("The execution", current="a", wanted="b")

    settled = replace(call(begun.id), status=CallStatus.COMMITTED, reply=document())
    with pytest.raises(IllegalTransition):
        decide(begun.id, fail, epoch=begun.runner_epoch, calls=(settled,), document=paper(begun))
    assert repository.get(begun.id) == begun
    assert _numbered(begun.id) == log
    assert ModelCall.objects.get().status == "pending"
    assert documents.head_of(begun.scope.id, "one") is None


def test_a_log_that_cannot_be_written_takes_everything_with_it(ann: User) -> None:
    claimed = claim(start(ann).id)
    models.ExecutionEvent.objects.create(  # the number that the next event would have
        execution_id=claimed.id, sequence=claimed.last_sequence + 1, event_type="x", timestamp=timezone.now()
    )
    outcomes = together(lambda: begin(claimed))
    assert names(outcomes) == ["IntegrityError"]
    assert repository.get(claimed.id) == claimed
    assert not ModelCall.objects.exists()


def test_a_start_that_is_rolled_back_leaves_neither_rows_nor_job(ann: User) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        start(ann)
        raise RuntimeError
    assert not models.Execution.objects.exists()
    assert not models.ExecutionEvent.objects.exists()
    assert not ProcrastinateJob.objects.exists()


def test_an_answer_that_is_rolled_back_leaves_no_job(ann: User) -> None:
    waiting = ask(start(ann, ASKING).id)
    jobs = ProcrastinateJob.objects.count()
    with pytest.raises(RuntimeError), transaction.atomic():
        answer(ann, waiting.id, "Twelve")
        raise RuntimeError
    assert repository.get(waiting.id) == waiting
    assert ProcrastinateJob.objects.count() == jobs


def test_a_start_leaves_one_job_under_the_lock_of_its_execution(ann: User) -> None:
    stored = start(ann)
    [job] = ProcrastinateJob.objects.all()
    assert job.lock == str(stored.id)
    assert job.queueing_lock is None
    assert job.args == {"execution_id": str(stored.id)}


# --- at once --------------------------------------------------------------------------------------------------------


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


def test_an_answer_and_a_cancel_at_once_come_one_after_the_other(ann: User) -> None:
    execution_id = ask(start(ann, ASKING).id).id
    answered, cancelled = together(lambda: answer(ann, execution_id, "Twelve"), lambda: cancel(ann, execution_id))
    assert isinstance(cancelled, Execution)
    assert isinstance(answered, Execution | NotWaiting)
    assert repository.get(execution_id) == cancelled
    assert _numbered(execution_id) == list(range(1, cancelled.last_sequence + 1))


def test_two_who_start_in_a_new_scope_at_once_share_it(ann: User) -> None:
    outcomes = together(lambda: start(ann), lambda: start(ann))
    scopes = {outcome.scope.id for outcome in outcomes if isinstance(outcome, Execution)}
    assert len(scopes) == 1
    assert models.Execution.objects.count() == 2


def test_two_executions_that_make_the_same_new_document_at_once_make_one_version_each_or_are_told(ann: User) -> None:
    begun = [begin(claim(start(ann).id)) for _ in range(2)]

    def complete(execution: Execution) -> Execution:
        return decide(
            execution.id,
            lambda now, context: changes.complete_step(now, "one", context=context),
            epoch=execution.runner_epoch,
            document=paper(execution),
        )

    outcomes = together(*(lambda one=one: complete(one) for one in begun))
    made = [each for each in outcomes if isinstance(each, Execution)]
    assert set(names(outcomes)) <= {"Execution", "VersionConflict"}
    head = documents.head_of(begun[0].scope.id, "one")
    assert head is not None
    assert head.version == len(made)
    assert sorted(each.steps["one"].document_version or 0 for each in made) == list(range(1, len(made) + 1))


# --- ended ----------------------------------------------------------------------------------------------------------


async def test_a_reply_that_comes_after_a_cancel_is_booked_and_changes_nothing(ann: User) -> None:
    begun = await in_thread(lambda: begin(claim(start(ann).id)))
    cancelled = await in_thread(cancel, ann, begun.id)
    assert (await in_thread(ModelCall.objects.get)).status == "discarded"
    late = replace(call(begun.id), status=CallStatus.DISCARDED, reply=document(), finished_at=timezone.now())
    await PostgresLedger().settle(late)
    kept = await in_thread(ModelCall.objects.get)
    assert (kept.status, str(kept.cost_usd)) == ("discarded", "0.0100000000")
    assert await in_thread(repository.get, begun.id) == cancelled


def test_a_cancel_again_changes_nothing(ann: User) -> None:
    execution_id = start(ann).id
    assert cancel(ann, execution_id) == cancel(ann, execution_id)
    assert models.ExecutionEvent.objects.filter(event_type="complete").count() == 1


def test_the_active_ones_are_listed_oldest_first_and_the_scopes_newest_first(ann: User) -> None:
    first, second, other = start(ann), start(ann), start(ann, scope="q")
    cancel(ann, first.id)
    assert repository.list_active() == [second, other]
    assert [each.id for each in repository.list_by_scope(first.scope.id)] == [second.id, first.id]
