"""Pruning of old logs: the events that are deleted, and the data that stays complete."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from access import services as access
from access.models import KeptAnswer
from access.user import User
from executions import models
from executions.db_threads import in_thread
from executions.persistence import retention
from executions.queue import jobs
from executions.selectors import costs
from executions.services import executions
from executions.worker import duties
from tests.factories import reports
from tests.factories.executions import empty_the_queue, together
from tests.integration.worker.test_worker import until, working

NOW = timezone.now()
LONG_AGO = NOW - timedelta(days=40)


@pytest.fixture(autouse=True)
def workflow(quiet: None) -> None:
    """The workflow that the tests run."""
    reports.publish()


def age(execution_id: UUID, finished_at: datetime = LONG_AGO) -> UUID:
    """Have an execution end long ago."""
    models.Execution.objects.filter(id=execution_id).update(finished_at=finished_at)
    return execution_id


def finished(user: User, key: str = "a") -> UUID:
    return reports.finish(reports.start(user, key=key)).id


def prune(*, days: int = 30, limit: int = 100) -> int:
    return retention.prune(before=NOW - timedelta(days=days), limit=limit)


def log(execution_id: UUID) -> list[tuple[int, str]]:
    rows = models.ExecutionEvent.objects.filter(execution_id=execution_id).order_by("sequence", "id")
    return list(rows.values_list("sequence", "event_type"))


def test_of_an_old_log_the_last_event_stays_and_the_numbers_go_on(ann: User) -> None:
    execution_id = age(finished(ann))
    whole = log(execution_id)
    assert prune() == 1
    assert log(execution_id) == whole[-1:] == [(len(whole), "complete")]
    row = models.Execution.objects.get(id=execution_id)
    assert (row.oldest_sequence, row.last_sequence) == (len(whole), len(whole))
    assert prune() == 0


def test_a_log_that_is_not_old_enough_is_left_alone(ann: User) -> None:
    execution_id = age(finished(ann), NOW - timedelta(days=30, seconds=-1))
    whole = log(execution_id)
    assert prune() == 0
    assert log(execution_id) == whole


@pytest.mark.parametrize("bring", [reports.start, reports.claim, reports.ask, reports.hand_in])
def test_an_execution_that_can_go_on_keeps_its_log_however_old(ann: User, bring: Any) -> None:
    execution = reports.start(ann)
    execution_id = age((execution if bring is reports.start else bring(execution)).id)
    whole = log(execution_id)
    assert prune() == 0
    assert log(execution_id) == whole


def test_a_failed_one_whose_log_was_pruned_goes_on_after_a_retry_and_is_pruned_again(ann: User) -> None:
    execution_id = age(reports.fail(reports.start(ann)).id)
    assert prune() == 1
    ((last, _),) = log(execution_id)
    executions.retry_execution(user=ann, execution_id=execution_id, now=timezone.now())
    assert [sequence for sequence, _ in log(execution_id)] == [last, last + 1]
    assert prune() == 0

    reports.cancel(ann, execution_id)
    newest = log(execution_id)[-1]
    age(execution_id)
    assert prune() == 1
    assert log(execution_id) == [newest]


def test_the_oldest_go_first_and_no_more_at_once_than_asked(ann: User) -> None:
    ids = [age(finished(ann, key), LONG_AGO - timedelta(days=days)) for days, key in enumerate("abc")]
    assert prune(limit=2) == 2
    assert [len(log(each)) == 1 for each in ids] == [False, True, True]


def test_who_holds_an_execution_is_not_waited_for(ann: User) -> None:
    execution_id = age(finished(ann))
    whole = log(execution_id)
    with transaction.atomic():
        models.Execution.objects.select_for_update().get(id=execution_id)
        assert together(prune) == [0]
    assert log(execution_id) == whole
    assert prune() == 1


def test_many_at_once_prune_each_log_once(ann: User) -> None:
    for key in "abcd":
        age(finished(ann, key))
    outcomes = together(*[lambda: prune(limit=2)] * 4)
    assert all(isinstance(each, int) for each in outcomes), outcomes
    while prune():
        pass
    assert models.ExecutionEvent.objects.count() == 4


def test_how_long_an_execution_waited_is_known_after_its_log_is_gone(ann: User) -> None:
    execution_id = finished(ann)
    row = models.Execution.objects.get(id=execution_id)
    ended_at = LONG_AGO + timedelta(seconds=100)
    models.Execution.objects.filter(id=row.id).update(
        created_at=LONG_AGO, started_at=LONG_AGO + timedelta(seconds=2), finished_at=ended_at
    )
    waits = [("execution_waiting", 10), ("execution_resumed", 40), ("execution_waiting", 50), ("execution_resumed", 55)]
    models.ExecutionEvent.objects.filter(execution=row, sequence__lte=4).delete()
    models.ExecutionEvent.objects.bulk_create(
        models.ExecutionEvent(
            execution=row,
            sequence=number,
            scope_id=row.scope_id,
            scope_sequence=1000 + number,
            event_type=name,
            timestamp=LONG_AGO + timedelta(seconds=seconds),
        )
        for number, (name, seconds) in enumerate(waits, 1)
    )
    before = costs.workflow_stats(user=ann, workflow_id="report")
    assert prune() == 1
    assert costs.workflow_stats(user=ann, workflow_id="report") == before
    assert models.Execution.objects.get(id=row.id).waited == timedelta(seconds=35)


def test_pruning_is_enqueued_once_and_does_not_change_the_order_of_users(ann: User) -> None:
    empty_the_queue()
    jobs.enqueue_prune()
    jobs.enqueue_prune()
    assert [(each.task_name, each.priority) for each in ProcrastinateJob.objects.all()] == [("executions.prune", 0)]

    empty_the_queue()
    for _ in range(3):
        reports.start(ann, key="a")
    ProcrastinateJob.objects.filter(priority=0).delete()
    jobs.enqueue_prune()
    assert ProcrastinateJob.objects.get(task_name="executions.prune").priority == -1


async def test_nothing_is_pruned_unless_that_is_asked_for(ann: User) -> None:
    assert await duties.prune_events(now=NOW + timedelta(days=100_000)) == 0


async def test_a_worker_removes_the_answers_that_are_too_old_to_be_told_again(ann: User) -> None:
    def keep(key: str, age: timedelta) -> None:
        told: dict[str, Any] = {
            "method": "POST",
            "path": "/api/v1/x",
            "body_hash": "",
            "status": 201,
            "headers": {},
            "answer": {},
        }
        access.keep_answer(user_id=ann.pk, key=key, now=timezone.now() - age, **told)

    await in_thread(keep, "old", timedelta(hours=25))
    await in_thread(keep, "new", timedelta(hours=23))
    async with working():
        await until(lambda: not KeptAnswer.objects.filter(key="old").exists())
    assert await in_thread(KeptAnswer.objects.filter(key="new").exists)


@pytest.mark.parametrize("days", [0, 30])
async def test_a_worker_prunes_when_it_is_told_to(ann: User, settings: Any, monkeypatch: Any, days: int) -> None:
    settings.EVENT_RETENTION_DAYS = days
    monkeypatch.setattr(duties, "PRUNE_BATCH_SIZE", 2)

    def prepare() -> list[UUID]:
        found = [age(finished(ann, key)) for key in "abcde"]
        empty_the_queue()
        return found

    old = await in_thread(prepare)
    fresh = await in_thread(finished, ann, "fresh")

    def pruned() -> list[bool]:
        return [len(log(each)) == 1 for each in old]

    async with working():
        if days:
            await until(lambda: all(pruned()))
        await until(lambda: not ProcrastinateJob.objects.exists())
    assert await in_thread(pruned) == [bool(days)] * 5
    assert len(await in_thread(log, fresh)) > 1
