"""Finding executions that nobody runs any more, and having them run again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from executions import models
from executions.engine.states import ExecutionStatus
from executions.jobs import QUEUE, enqueue_advance

_SWEEPING = 7_316_204_552  # key of the advisory lock: one worker at a time sweeps

#: Jobs whose worker is gone hold their lock for ever unless somebody ends them.
_END_STALLED_JOBS = """
SELECT procrastinate_finish_job_v1(job.id, 'failed', true)
FROM procrastinate_jobs AS job LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
WHERE job.queue_name = %s AND job.status = 'doing'
  AND (worker.id IS NULL OR worker.last_heartbeat < %s)
"""
_WAITING_LOCKS = "SELECT lock FROM procrastinate_jobs WHERE lock = ANY(%s) AND status IN ('todo', 'doing')"


@transaction.atomic
def sweep(*, now: datetime, runner: str, running: Collection[UUID], silent_seconds: float, idle_seconds: float) -> int:
    """Enqueue the executions that could go on and do not; return how many.

    These are the ones whose runner has been silent for `silent_seconds`; the ones that `runner` (who asks) is said to
    run and does not; and the runnable ones that nobody has touched for `idle_seconds`. None is judged by its job:
    jobs get lost. One that has a job all the same is left to it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_SWEEPING])
        if not cursor.fetchone()[0]:
            return 0  # somebody else is at it
        silent_since = now - timedelta(seconds=silent_seconds)
        cursor.execute(_END_STALLED_JOBS, [QUEUE, silent_since])
        found = _abandoned(
            now=now, runner=runner, running=running, silent_since=silent_since, idle_seconds=idle_seconds
        )
        cursor.execute(_WAITING_LOCKS, [[str(each) for each in found]])
        has_job = {row[0] for row in cursor.fetchall()}
    lost = [each for each in found if str(each) not in has_job]
    for execution_id in lost:
        enqueue_advance(execution_id)
    models.Runner.objects.filter(heartbeat_at__lt=silent_since).exclude(
        name__in=models.Execution.objects.filter(runner__isnull=False).values("runner")
    ).delete()
    return len(lost)


def _abandoned(
    *, now: datetime, runner: str, running: Collection[UUID], silent_since: datetime, idle_seconds: float
) -> list[UUID]:
    alive = models.Runner.objects.filter(heartbeat_at__gte=silent_since).values("name")
    untouched = Q(updated_at__lt=now - timedelta(seconds=idle_seconds))
    runnable = Q(status__in=[ExecutionStatus.PENDING.value, ExecutionStatus.RUNNING.value])
    dead = Q(runner__isnull=False) & ~Q(runner__in=alive)
    dropped = Q(runner=runner) & ~Q(id__in=list(running)) & untouched
    orphaned = Q(runner__isnull=True) & untouched
    rows = models.Execution.objects.filter(runnable & (dead | dropped | orphaned))
    return list(rows.order_by("updated_at", "id").values_list("id", flat=True)[:1000])


def register(*, name: str, now: datetime) -> None:
    """Announce a worker."""
    models.Runner.objects.create(name=name, started_at=now, heartbeat_at=now)


def beat(*, name: str, now: datetime) -> None:
    """Say that a worker is alive; one that was taken for dead announces itself again."""
    models.Runner.objects.update_or_create(
        name=name, defaults={"heartbeat_at": now}, create_defaults={"started_at": now, "heartbeat_at": now}
    )


def unregister(*, name: str) -> None:
    """Say that a worker stops."""
    models.Runner.objects.filter(name=name).delete()


def versions(execution_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the stored versions of executions."""
    rows = models.Execution.objects.filter(id__in=list(execution_ids))
    return dict(rows.values_list("id", "version"))
