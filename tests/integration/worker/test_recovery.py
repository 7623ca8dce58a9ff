"""Recovery finds the executions of lost workers, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from access.user import User
from executions import models
from executions.engine.domain.states import ExecutionStatus
from executions.persistence import repositories
from executions.worker import recovery
from tests.factories.engine import ASKING
from tests.factories.executions import ask, cancel, claim, empty_the_queue, names, start, together

SILENT_SECONDS, IDLE_SECONDS = 30, 10


def _recover(*, later_seconds: float = 0, running: set[UUID] | None = None, worker: str = "me") -> int:
    return recovery.recover(
        now=timezone.now() + timedelta(seconds=later_seconds),
        worker=worker,
        running=running or set(),
        silent_seconds=SILENT_SECONDS,
        idle_seconds=IDLE_SECONDS,
    )


def _register_procrastinate() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM procrastinate_register_worker_v1()")
        return int(cursor.fetchone()[0])


def _take_job(worker_id: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM procrastinate_fetch_job_v2(NULL, %s)", [worker_id])
        return int(cursor.fetchone()[0])


@pytest.fixture
def lost(ann: User) -> UUID:
    """An execution whose job got lost."""
    stored = start(ann)
    empty_the_queue()
    return stored.id


def test_one_whose_job_got_lost_is_enqueued_again_and_only_once(lost: UUID) -> None:
    assert _recover(later_seconds=11) == 1
    assert _recover(later_seconds=11) == 0  # it has a job now
    assert ProcrastinateJob.objects.get().lock == str(lost)


def test_one_that_was_touched_a_moment_ago_is_left_alone(lost: UUID) -> None:
    assert _recover(later_seconds=9) == 0


def test_one_whose_job_is_on_its_way_is_left_to_it(ann: User) -> None:
    start(ann)
    assert _recover(later_seconds=10_000) == 0
    assert ProcrastinateJob.objects.count() == 1


def test_one_whose_runner_is_silent_is_taken_over(lost: UUID) -> None:
    recovery.record_heartbeat(name="other", now=timezone.now())
    claim(lost, "other")
    assert _recover(later_seconds=25) == 0
    assert _recover(later_seconds=31) == 1


def test_one_whose_runner_left_is_taken_over_at_once(lost: UUID) -> None:
    recovery.record_heartbeat(name="other", now=timezone.now())
    claim(lost, "other")
    recovery.unregister(name="other")
    assert _recover() == 1


def test_one_that_this_worker_runs_is_left_alone_and_one_it_dropped_is_not(lost: UUID) -> None:
    recovery.record_heartbeat(name="me", now=timezone.now())
    claim(lost, "me")
    assert _recover(later_seconds=11, running={lost}) == 0
    assert _recover(later_seconds=9) == 0  # it may have been claimed this very moment
    assert _recover(later_seconds=11) == 1


def test_an_execution_of_another_live_worker_is_left_alone(lost: UUID) -> None:
    recovery.record_heartbeat(name="other", now=timezone.now())
    claim(lost, "other")
    assert _recover(later_seconds=11, worker="me") == 0


def test_one_that_waits_or_has_ended_costs_nothing(ann: User) -> None:
    waiting, ended = ask(start(ann, ASKING).id), start(ann, ASKING)
    cancel(ann, ended.id)
    empty_the_queue()
    assert repositories.get(waiting.id).status is ExecutionStatus.WAITING
    assert _recover(later_seconds=10_000) == 0


def test_a_job_that_a_dead_worker_holds_is_ended_and_another_takes_its_place(ann: User) -> None:
    stored = start(ann)
    held = _take_job(_register_procrastinate())
    claim(stored.id, "dead")
    assert _recover() == 0  # its runner is not known, but its job is under way: heartbeats come late at times
    assert _recover(later_seconds=31) == 1
    job = ProcrastinateJob.objects.get()
    assert (job.lock, job.status) == (str(stored.id), "todo")
    assert job.id != held


def test_a_job_whose_worker_is_forgotten_is_ended_as_well(ann: User) -> None:
    stored = start(ann)
    _take_job(_register_procrastinate())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")
    assert _recover(later_seconds=11) == 1
    assert ProcrastinateJob.objects.get(lock=str(stored.id)).status == "todo"


@contextmanager
def _finishing(job_id: int) -> Iterator[None]:
    """Be the worker that wakes up and ends its job, and has not committed yet."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT procrastinate_finish_job_v1(%s, 'succeeded', true)", [job_id])
        yield


def test_a_worker_that_wakes_up_and_ends_its_job_at_that_moment_does_not_disturb(ann: User) -> None:
    start(ann)
    job_id = _take_job(_register_procrastinate())
    with _finishing(job_id):
        [found] = together(lambda: _recover(later_seconds=31))
        assert found == 0  # it is not waited for, and nothing is enqueued beside it
    assert _recover(later_seconds=31) == 1


def test_many_that_wait_for_their_turn_do_not_hide_one_that_was_abandoned(ann: User) -> None:
    queued = start(ann)
    models.Execution.objects.filter(id=queued.id).update(updated_at=timezone.now() - timedelta(hours=1))
    row = models.Execution.objects.get(id=queued.id)
    abandoned = start(ann).id
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs WHERE lock = %s", [str(abandoned)])
        cursor.execute(
            "WITH many AS (INSERT INTO executions_execution SELECT (x).* FROM ("
            "  SELECT jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid())) AS x"
            "  FROM executions_execution AS e, generate_series(1, %s) WHERE e.id = %s) AS rows RETURNING id)"
            " INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args)"
            " SELECT 'executions', 'executions.advance', id::text, '{}' FROM many",
            [recovery.MAX_BATCH, row.id],
        )
    assert _recover(later_seconds=11) == 1
    assert ProcrastinateJob.objects.filter(lock=str(abandoned)).exists()


def test_two_workers_that_recover_at_once_enqueue_each_execution_once(lost: UUID) -> None:
    outcomes = together(lambda: _recover(later_seconds=11), lambda: _recover(later_seconds=11, worker="you"))
    assert names(outcomes) == ["int", "int"]
    assert sorted(str(each) for each in outcomes) == ["0", "1"]
    assert ProcrastinateJob.objects.count() == 1


def test_a_worker_that_was_taken_for_dead_announces_itself_again() -> None:
    recovery.record_heartbeat(name="other", now=timezone.now())
    _recover(later_seconds=31)
    assert not models.WorkerHeartbeat.objects.exists()
    recovery.record_heartbeat(name="other", now=timezone.now())
    assert models.WorkerHeartbeat.objects.get().name == "other"


def test_a_beat_keeps_a_worker_alive(lost: UUID) -> None:
    recovery.record_heartbeat(name="other", now=timezone.now() - timedelta(seconds=31))
    claim(lost, "other")
    recovery.record_heartbeat(name="other", now=timezone.now())
    assert _recover() == 0
