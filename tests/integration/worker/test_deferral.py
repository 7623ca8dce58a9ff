"""Deferred executions hold no worker. When they are due, exactly one worker resumes them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from access.user import User
from executions import models
from executions.engine.domain.states import ExecutionStatus, StepStatus, WaitingOn
from executions.engine.transitions import backoff
from executions.persistence import repositories
from executions.worker import duties
from tests.factories.executions import begin, cancel, claim, decide, empty_the_queue, names, start, together

DEFERRED_SECONDS = 20.0


def defer(user: User, *, seconds: float = DEFERRED_SECONDS) -> UUID:
    """Defer a new execution's first step."""
    begun = begin(claim(start(user).id))
    resume_at = timezone.now() + timedelta(seconds=seconds)
    decide(begun.id, lambda now, context: backoff.defer_step(now, "one", resume_at=resume_at, context=context))
    empty_the_queue()
    return begun.id


def resume(later_seconds: float = DEFERRED_SECONDS + 1) -> int:
    """Do what every worker does every second."""
    return duties.resume_deferred_steps(now=timezone.now() + timedelta(seconds=later_seconds))


@pytest.fixture
def deferred(ann: User) -> UUID:
    """An execution whose only step that could go on is deferred."""
    return defer(ann)


def test_a_deferred_execution_waits_for_the_provider(deferred: UUID) -> None:
    execution = repositories.get(deferred)
    assert (execution.status, execution.claimed_by) == (ExecutionStatus.WAITING, None)
    assert execution.waiting_on == (WaitingOn.RATE_LIMIT,)
    assert execution.resume_at is not None
    assert execution.resume_at == execution.steps["one"].resume_at


def test_no_deferred_step_resumes_early(deferred: UUID) -> None:
    assert resume(DEFERRED_SECONDS - 1) == 0
    assert not ProcrastinateJob.objects.exists()
    assert repositories.get(deferred).status is ExecutionStatus.WAITING


def test_it_is_woken_and_enqueued_once(deferred: UUID) -> None:
    assert resume() == 1
    assert resume() == 0
    assert ProcrastinateJob.objects.get().lock == str(deferred)
    execution = repositories.get(deferred)
    assert (execution.status, execution.resume_at) == (ExecutionStatus.RUNNING, None)
    assert execution.steps["one"].status is StepStatus.PENDING


def test_two_workers_that_wake_at_once_enqueue_it_once(deferred: UUID) -> None:
    outcomes = together(resume, resume)
    assert names(outcomes) == ["int", "int"]
    assert sorted(str(each) for each in outcomes) == ["0", "1"]
    assert ProcrastinateJob.objects.count() == 1


def test_one_that_was_cancelled_stays_cancelled(ann: User, deferred: UUID) -> None:
    cancel(ann, deferred)
    assert resume() == 0
    assert repositories.get(deferred).status is ExecutionStatus.CANCELLED


def test_each_is_woken_at_its_own_moment(ann: User, deferred: UUID) -> None:
    later = defer(ann, seconds=60)
    assert resume() == 1
    assert repositories.get(later).status is ExecutionStatus.WAITING
    assert resume(61) == 1


def test_a_step_is_made_ready_beside_others_that_are_at_work(ann: User) -> None:
    begun = begin(claim(start(ann).id))
    models.Execution.objects.filter(id=begun.id).update(resume_at=timezone.now())
    assert resume() == 0  # the column alone is no reason
    assert repositories.get(begun.id).steps["one"].status is StepStatus.RUNNING


def test_looking_for_them_reads_only_those_that_are_deferred(deferred: UUID) -> None:
    rows = models.Execution.objects.filter(resume_at__lte=timezone.now()).order_by("resume_at", "id")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "execution_resume" in rows.values_list("id").explain()
