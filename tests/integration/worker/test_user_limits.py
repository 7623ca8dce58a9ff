"""The limit of running executions per user, over all workers and through failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from pytest_django import Settings

from access.user import User
from executions import models
from executions.db_threads import in_thread
from executions.engine.domain.states import ExecutionStatus
from executions.queue.jobs import QUEUE
from executions.worker import recovery
from tests.factories.engine import Gate, document
from tests.factories.executions import cancel, start, together
from tests.integration.rows_read import rows_read
from tests.integration.worker.test_worker import Plug, plug, until, working

__all__ = ["plug"]

Restrict = Callable[..., None]
LATER = timedelta(seconds=600)


@pytest.fixture(autouse=True)
def rare(settings: Settings) -> None:
    """Workers whose recovery runs so rarely that no test waits for it."""
    settings.RECOVERY_INTERVAL_SECONDS = 600.0
    settings.SHUTDOWN_GRACE_SECONDS = 0.2


@pytest.fixture
def gate(plug: Plug) -> Gate:
    """A model that answers once it is let."""
    gate = Gate(document())
    plug(gate)
    return gate


def begun(user: User, *scopes: str) -> list[UUID]:
    return [start(user, scope=scope).id for scope in scopes]


def statuses(user: User) -> Counter[str]:
    return Counter(models.Execution.objects.filter(requested_by=user).values_list("status", flat=True))


def take(worker: int | None = None, *, many: int = 20, per_user: int = 2) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM executions_take_jobs(%s::varchar[], %s, %s, %s)", [[QUEUE], worker, many, per_user]
        )
        return [identity for (identity,) in cursor.fetchall()]


async def test_what_is_above_the_limit_waits_as_pending_and_goes_as_soon_as_another_ends(
    ann: User, bob: User, gate: Gate, restrict: Restrict
) -> None:
    restrict(executions_per_user=2)
    await in_thread(begun, ann, *"abcde")
    async with working():
        await until(lambda: statuses(ann) == {"running": 2, "pending": 3})
        await in_thread(begun, bob, "z")
        await until(lambda: statuses(bob) == {"running": 1})
        assert await in_thread(statuses, ann) == {"running": 2, "pending": 3}
        gate.opened.set()
        await until(lambda: statuses(ann) == {"completed": 5})


async def test_two_workers_count_together(ann: User, gate: Gate, restrict: Restrict) -> None:
    restrict(executions_per_user=3)
    await in_thread(begun, ann, *"abcdef")
    async with working("one"), working("two"):
        await until(lambda: statuses(ann) == {"running": 3, "pending": 3})
        gate.opened.set()
        await until(lambda: statuses(ann) == {"completed": 6})


async def test_one_that_is_cancelled_while_it_waits_takes_no_place(ann: User, gate: Gate, restrict: Restrict) -> None:
    restrict(executions_per_user=1)
    first, second, third = await in_thread(begun, ann, *"abc")
    async with working():
        await until(lambda: statuses(ann) == {"running": 1, "pending": 2})
        await in_thread(cancel, ann, second)
        await in_thread(cancel, ann, first)
        await until(lambda: models.Execution.objects.get(id=third).status == ExecutionStatus.RUNNING.value)


def test_slots_of_a_lost_worker_are_free_after_recovery(ann: User) -> None:
    begun(ann, *"abcd")
    with connection.cursor() as cursor:
        cursor.execute("SELECT worker_id FROM procrastinate_register_worker_v1()")
        worker = int(cursor.fetchone()[0])
    lost = take(worker)
    assert len(lost) == 2
    assert take() == []
    later = timezone.now() + LATER
    recovery.recover(now=later, worker="me", running=[], silent_seconds=30, idle_seconds=10, after_outage=False)
    assert len(take()) == 2
    assert not ProcrastinateJob.objects.filter(id__in=lost).exists()


def test_workers_that_take_at_once_take_no_more_than_the_limit(ann: User, bob: User) -> None:
    for user in (ann, bob):
        begun(user, *(f"{user.username}-{number}" for number in range(12)))
    outcomes = together(*[lambda: take(many=3, per_user=5)] * 8)
    assert all(isinstance(each, list) for each in outcomes)
    doing = ProcrastinateJob.objects.filter(status="doing")
    assert Counter(doing.values_list("args__user", flat=True)) == {str(ann.pk): 5, str(bob.pk): 5}


def test_those_who_are_passed_cost_nothing_however_many_of_theirs_wait(ann: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status, priority) "
            "SELECT %s, 'x', number::text, jsonb_build_object('user', (number %% 3)::text, 'turn', number), 'todo', "
            "-number FROM generate_series(1, 30000) AS number",
            [QUEUE],
        )
        cursor.execute("ANALYZE procrastinate_jobs")
        assert len(take(per_user=2)) == 6
    with transaction.atomic(), rows_read("procrastinate_jobs") as read:
        assert take(per_user=2) == []
    assert read[0] < 100
