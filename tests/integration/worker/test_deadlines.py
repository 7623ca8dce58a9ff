"""Deadlines of questions: the first of a worker or a person counts, exactly once."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from access.user import User
from executions import models
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus, FailureCode, StepStatus
from executions.persistence import repositories
from executions.selectors import clarifications
from executions.worker import duties, recovery
from tests.factories.engine import ASKING
from tests.factories.executions import answer, ask, cancel, empty_the_queue, names, start, together
from workflows.definitions.definition import ClarificationPolicy, OnDeadline

SECONDS = 60


def asked(user: User, on_deadline: OnDeadline, *, default: str | None = "Ten") -> UUID:
    """Have a new execution ask, and wait a minute."""
    policy = ClarificationPolicy(deadline_seconds=SECONDS, on_deadline=on_deadline)
    execution_id = ask(start(user, ASKING).id, policy=policy, default=default).id
    empty_the_queue()
    return execution_id


def expire(later_seconds: float = SECONDS + 1) -> int:
    """Do what every worker does every second."""
    return duties.act_on_deadlines(now=timezone.now() + timedelta(seconds=later_seconds))


@pytest.fixture
def waiting(ann: User) -> UUID:
    """An execution whose question has a default, which stands in after a minute."""
    return asked(ann, OnDeadline.DEFAULTS)


def test_nothing_happens_before_the_moment(waiting: UUID) -> None:
    before = repositories.get(waiting)
    assert recovery.overdue_executions(now=timezone.now()) == []
    assert expire(SECONDS - 1) == 0
    assert repositories.get(waiting) == before
    assert not ProcrastinateJob.objects.exists()


def test_the_defaults_stand_in_and_it_is_enqueued_once(waiting: UUID) -> None:
    assert expire() == 1
    assert expire() == 0
    assert ProcrastinateJob.objects.get().lock == str(waiting)
    execution = repositories.get(waiting)
    assert (execution.status, execution.deadline_at) == (ExecutionStatus.RUNNING, None)
    assert execution.steps["one"].rounds[0].answers == {"one.1.1": "Ten"}


def test_one_that_fails_is_not_enqueued(ann: User) -> None:
    execution_id = asked(ann, OnDeadline.FAIL)
    assert expire() == 1
    execution = repositories.get(execution_id)
    assert execution.failure is not None
    assert execution.failure.code is FailureCode.QUESTION_EXPIRED
    assert (execution.status, execution.deadline_at) == (ExecutionStatus.FAILED, None)
    assert not ProcrastinateJob.objects.exists()


def test_one_that_waits_all_the_same_costs_no_look(ann: User) -> None:
    execution_id = asked(ann, OnDeadline.WAIT)
    assert recovery.overdue_executions(now=timezone.now() + timedelta(days=400)) == []
    assert repositories.get(execution_id).steps["one"].status is StepStatus.WAITING


def test_one_that_was_cancelled_stays_cancelled(ann: User, waiting: UUID) -> None:
    cancel(ann, waiting)
    assert recovery.overdue_executions(now=timezone.now() + timedelta(days=1)) == []
    assert expire() == 0


def test_each_expires_at_its_own_moment(ann: User, waiting: UUID) -> None:
    later = ask(start(ann, ASKING).id, policy=ClarificationPolicy(deadline_seconds=90), default="Ten").id
    assert expire() == 1
    assert repositories.get(later).status is ExecutionStatus.WAITING
    assert expire(91) == 1


@pytest.mark.parametrize("on_deadline", [OnDeadline.DEFAULTS, OnDeadline.FAIL])
def test_two_workers_that_look_at_once_do_it_once(ann: User, on_deadline: OnDeadline) -> None:
    execution_id = asked(ann, on_deadline)
    outcomes = together(expire, expire)
    assert sorted(map(str, outcomes)) == ["0", "1"]
    told = models.ExecutionEvent.objects.filter(
        execution_id=execution_id, event_type__in=["clarification_answered", "step_failed"]
    )
    assert told.count() == 1
    assert ProcrastinateJob.objects.count() == (1 if on_deadline is OnDeadline.DEFAULTS else 0)


@pytest.mark.parametrize("on_deadline", [OnDeadline.DEFAULTS, OnDeadline.FAIL])
@pytest.mark.parametrize("turn", range(5))
def test_of_an_answer_and_the_deadline_at_once_one_counts(ann: User, on_deadline: OnDeadline, turn: int) -> None:
    execution_id = asked(ann, on_deadline)
    said, expired = together(lambda: answer(ann, execution_id, "Twelve"), expire)
    stored = repositories.get(execution_id)
    by = stored.steps["one"].rounds[0].answered_by
    if isinstance(said, Execution):
        assert (expired, by, stored.status) == (0, "ann", ExecutionStatus.RUNNING)
    else:
        assert (type(said).__name__, expired) == ("NotWaiting", 1)
        assert by == ("the deadline" if on_deadline is OnDeadline.DEFAULTS else None)
    sequences = models.ExecutionEvent.objects.filter(execution_id=execution_id).values_list("sequence", flat=True)
    assert sorted(sequences) == list(range(1, stored.last_sequence + 1))


def test_two_who_say_the_same_at_once_are_both_right(ann: User, waiting: UUID) -> None:
    outcomes = together(lambda: answer(ann, waiting, "Twelve"), lambda: answer(ann, waiting, "Twelve"))
    assert names(outcomes) == ["Execution", "Execution"]
    assert outcomes[0] == outcomes[1]
    assert models.ExecutionEvent.objects.filter(event_type="clarification_answered").count() == 1
    assert ProcrastinateJob.objects.count() == 1


def test_looking_for_them_reads_only_those_that_expire(waiting: UUID) -> None:
    rows = models.Execution.objects.filter(deadline_at__lte=timezone.now()).order_by("deadline_at", "id")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        assert "execution_deadline" in rows.values_list("id").explain()


def test_the_inbox_reads_only_open_questions(ann: User, waiting: UUID) -> None:
    rows = clarifications.open_clarifications(user=ann).order_by("asked_at", "id")[:51]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")  # the index has the order; statistics of other tests do not count
        assert "step_asking" in rows.explain()
