"""Guarantees of the database: versions, fencing tokens, and atomic writes."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import ConnectorException

from access.models import Scope
from access.user import User
from common.database import bulk
from common.errors import Invalid, VersionConflict
from documents import repository as documents
from executions import models
from executions.engine.domain.errors import IllegalTransition, StaleFencingToken
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus
from executions.engine.transitions import core
from executions.persistence import repositories
from telemetry.models import ModelCall
from tests.factories.engine import ASKING, LINE, document
from tests.factories.executions import answer, ask, begin, call, claim, decide, names, paper, start, together


def _numbered(execution_id: UUID) -> list[int]:
    rows = models.ExecutionEvent.objects.filter(execution_id=execution_id).order_by("sequence")
    return list(rows.values_list("sequence", flat=True))


# --- versions -------------------------------------------------------------------------------------------------------


def test_of_two_who_write_over_the_same_version_one_is_refused(ann: User) -> None:
    stored = start(ann)
    following = replace(stored, version=stored.version + 1)
    outcomes = together(lambda: repositories.save(following), lambda: repositories.save(following))
    assert names(outcomes) == ["NoneType", "VersionConflict"]
    assert repositories.get(stored.id).version == stored.version + 1


def _moved(execution: Execution, *, by: int) -> Execution:
    step = execution.steps["one"]
    return replace(execution, version=execution.version + 1).with_step(replace(step, version=step.version + by))


def test_a_step_that_was_changed_meanwhile_is_not_overwritten(ann: User) -> None:
    stored = start(ann)
    theirs = models.ExecutionStep.objects.filter(execution_id=stored.id, step_id="one")
    together(lambda: theirs.update(version=2, attempt=7))
    with pytest.raises(VersionConflict), transaction.atomic():
        bulk.write(repositories.replacement_writes([(stored, _moved(stored, by=1))]))
    assert repositories.get(stored.id).version == stored.version
    assert theirs.get().attempt == 7


def test_a_decision_about_a_step_that_was_moved_beside_the_journal_is_refused(ann: User) -> None:
    claimed = claim(start(ann).id)
    theirs = models.ExecutionStep.objects.filter(execution_id=claimed.id, step_id="one")

    def overtaken(execution: Execution, context: core.Context) -> core.Change:
        together(lambda: theirs.update(version=2, attempt=7))
        changed = core.start_step(execution, "one", model="m", input_versions=(), context=context)
        return replace(
            changed, execution=changed.execution.with_step(replace(changed.execution.steps["one"], version=3))
        )

    with pytest.raises(VersionConflict):
        decide(claimed.id, overtaken)
    assert theirs.get().attempt == 7


def test_a_step_is_not_put_back_to_an_earlier_version(ann: User) -> None:
    stored = start(ann)
    repositories.save(_moved(stored, by=2))
    ahead = repositories.get(stored.id)
    behind = replace(stored, version=ahead.version + 1)
    with pytest.raises(VersionConflict):
        repositories.save(behind)
    assert repositories.get(stored.id) == ahead


def test_a_runner_that_was_overtaken_writes_nothing(ann: User) -> None:
    execution_id = start(ann).id
    first = claim(execution_id, "a")
    second = claim(execution_id, "b")
    log = _numbered(execution_id)
    with pytest.raises(StaleFencingToken):
        begin(first)
    assert repositories.get(execution_id) == second
    assert _numbered(execution_id) == log
    assert not ModelCall.objects.exists()


def test_of_claims_at_once_each_gets_an_epoch_of_its_own(ann: User) -> None:
    execution_id = start(ann).id
    outcomes = together(*(lambda name=name: claim(execution_id, name) for name in "abc"))
    assert names(outcomes) == ["Execution"] * 3
    assert sorted(each.fencing_token for each in outcomes if isinstance(each, Execution)) == [1, 2, 3]
    assert _numbered(execution_id) == [1, 2]  # it was created, and started once


# --- all or nothing -------------------------------------------------------------------------------------------------


def test_a_decision_that_fails_takes_everything_with_it(ann: User) -> None:
    begun = begin(claim(start(ann).id))
    log = _numbered(begun.id)

    def fail(execution: Execution, context: core.Context) -> core.Change:
        core.complete_step(execution, "one", context=context)
        raise IllegalTransition("The execution", current="a", wanted="b")

    settled = replace(call(begun.id), status=CallStatus.COMMITTED, reply=document())
    with pytest.raises(IllegalTransition):
        decide(begun.id, fail, fencing_token=begun.fencing_token, calls=(settled,), document=paper(begun))
    assert repositories.get(begun.id) == begun
    assert _numbered(begun.id) == log
    assert ModelCall.objects.get().status == "pending"
    assert documents.newest_version(begun.scope.id, "one") is None


def test_a_log_that_cannot_be_written_takes_everything_with_it(ann: User) -> None:
    claimed = claim(start(ann).id)
    models.ExecutionEvent.objects.create(  # the number that the next event would have
        execution_id=claimed.id,
        sequence=claimed.last_sequence + 1,
        scope_id=claimed.scope.id,
        scope_sequence=1_000,
        event_type="x",
        timestamp=timezone.now(),
    )
    outcomes = together(lambda: begin(claimed))
    assert names(outcomes) == ["IntegrityError"]
    assert repositories.get(claimed.id) == claimed
    assert not ModelCall.objects.exists()


def test_a_start_that_is_rolled_back_leaves_neither_rows_nor_job(ann: User) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        start(ann)
        raise RuntimeError
    assert not models.Execution.objects.exists()
    assert not models.ExecutionEvent.objects.exists()
    assert not ProcrastinateJob.objects.exists()


def test_a_start_whose_job_cannot_be_stored_leaves_nothing(ann: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE procrastinate_jobs ADD CONSTRAINT closed CHECK (false) NOT VALID")
    try:
        with pytest.raises(ConnectorException):
            start(ann)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE procrastinate_jobs DROP CONSTRAINT closed")
    assert not models.Execution.objects.exists()
    assert not Scope.objects.exists()


def test_a_start_without_the_documents_that_it_needs_is_refused_and_claims_no_scope(ann: User) -> None:
    needy = LINE.model_copy(update={"scope_documents": ("one",)})
    with pytest.raises(Invalid) as refused:
        start(ann, needy)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/scope_id", "missing_document")]
    assert not Scope.objects.exists()


def test_an_answer_that_is_rolled_back_leaves_no_job(ann: User) -> None:
    waiting = ask(start(ann, ASKING).id)
    jobs = ProcrastinateJob.objects.count()
    with pytest.raises(RuntimeError), transaction.atomic():
        answer(ann, waiting.id, "Twelve")
        raise RuntimeError
    assert repositories.get(waiting.id) == waiting
    assert ProcrastinateJob.objects.count() == jobs


def test_a_start_leaves_one_job_under_the_lock_of_its_execution(ann: User) -> None:
    stored = start(ann)
    [job] = ProcrastinateJob.objects.all()
    assert job.lock == str(stored.id)
    assert job.queueing_lock is None
    named = {"execution_id": str(stored.id), "scope": str(stored.scope.id), "user": str(ann.pk)}
    assert job.args == {**named, "turn": 0}


# --- steps that began before the base of a step was stored --------------------------------------------------------


def test_a_step_that_goes_on_after_the_upgrade_replaces_no_version_of_a_person(ann: User) -> None:
    stored = ask(start(ann, ASKING).id)
    steps = models.ExecutionStep.objects.filter(execution_id=stored.id)
    steps.update(base_version=None)
    upgrade = import_module("executions.migrations.0005_base_of_begun_steps")
    with connection.cursor() as cursor:
        cursor.execute(upgrade.FILL)
    assert dict(steps.values_list("step_id", "base_version")) == {"one": 0, "two": None}
    repositories.save_document(replace(paper(stored), version=1, execution_id=None, author_name="ann"))
    answer(ann, stored.id, "Two.")
    begun = begin(claim(stored.id))
    assert begun.steps["one"].base_version == 0
