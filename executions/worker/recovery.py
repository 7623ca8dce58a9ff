"""Recovery: finds executions whose worker was lost, and enqueues them again."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, Min, OuterRef, Q, TextField
from django.db.models.functions import Cast
from procrastinate.contrib.django.models import ProcrastinateJob

from common.database.server import database_now
from executions import models
from executions.engine.domain.states import ExecutionStatus, Limit, StepStatus
from executions.persistence import drafts
from executions.queue.jobs import QUEUE, enqueue_advance

_NEVER = datetime.min.replace(tzinfo=UTC)
_LOCK_KEY = 7_316_204_552  # key of the advisory lock: only one worker recovers at a time

MAX_BATCH = 1000  # executions per run; the next run continues

#: A job whose worker was lost would hold its lock for ever, so it is ended here. Jobs that a worker is ending at this
#: moment are skipped: ending a job twice is an error.
_END_STALLED_JOBS = """
SELECT procrastinate_finish_job_v1(stalled.id, 'failed', true) FROM (
  SELECT job.id
  FROM procrastinate_jobs AS job LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
  WHERE job.queue_name = %s AND job.status = 'doing' AND (worker.id IS NULL OR worker.last_heartbeat < %s)
  FOR UPDATE OF job SKIP LOCKED
) AS stalled
"""

_ANY_DUE = """
SELECT EXISTS (SELECT FROM executions_execution WHERE resume_at <= %s)
  OR EXISTS (SELECT FROM executions_execution WHERE deadline_at <= %s)
  OR EXISTS (SELECT FROM executions_executionstep WHERE short_of = %s AND status = %s)
"""


@transaction.atomic
def sweep(
    *,
    now: datetime,
    runner: str,
    running: Collection[UUID],
    silent_seconds: float,
    idle_seconds: float,
    after_outage: bool = False,
) -> int:
    """Enqueue executions that are runnable but not running; return their number.

    These are: executions of workers without a heartbeat for `silent_seconds`; executions that are assigned to `runner`
    (the caller) and not in `running`; and runnable executions without a change for `idle_seconds`. Jobs do not count as
    evidence, because they can be lost. An execution that has a job is not enqueued again.

    `after_outage`: the caller has recently missed the database or its own heartbeats. Other workers may have, too, so
    missing heartbeats prove nothing then. The same holds just after a start of the database server.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK_KEY])
        if not cursor.fetchone()[0]:
            return 0  # another worker is recovering
        silent_since = now - timedelta(seconds=silent_seconds)
        cursor.execute(_END_STALLED_JOBS, [QUEUE, silent_since])
        cursor.execute("SELECT pg_postmaster_start_time() > %s", [silent_since])
        if cursor.fetchone()[0] or after_outage:
            silent_since = _NEVER
    lost = _abandoned(now=now, runner=runner, running=running, silent_since=silent_since, idle_seconds=idle_seconds)
    for execution_id in lost:
        enqueue_advance(execution_id)
    models.Runner.objects.filter(heartbeat_at__lt=silent_since).exclude(
        name__in=models.Execution.objects.filter(runner__isnull=False).values("runner")
    ).delete()
    drafts.remove_abandoned()
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
    job = ProcrastinateJob.objects.filter(lock=Cast(OuterRef("id"), TextField()), status__in=["todo", "doing"])
    rows = models.Execution.objects.filter(runnable & (dead | dropped | orphaned) & ~Exists(job))
    return list(rows.order_by("updated_at", "id").values_list("id", flat=True)[:MAX_BATCH])


def is_any_due(*, now: datetime) -> bool:
    """Return whether `due`, `blocked_by_month` or `overdue` would find executions, with a single query."""
    with connection.cursor() as cursor:
        cursor.execute(_ANY_DUE, [now, now, Limit.SCOPE_MONTH.value, StepStatus.WAITING.value])
        return bool(cursor.fetchone()[0])


def due_executions(*, now: datetime) -> list[UUID]:
    """Return the executions with due deferred steps, longest overdue first."""
    rows = models.Execution.objects.filter(resume_at__lte=now).order_by("resume_at", "id")
    return list(rows.values_list("id", flat=True)[:MAX_BATCH])


def blocked_by_scope_budget() -> list[tuple[UUID, UUID, Decimal | None]]:
    """Return the executions blocked by their scope's monthly budget: id, scope, cost of the next call; oldest first."""
    steps = models.ExecutionStep.objects.filter(short_of=Limit.SCOPE_MONTH.value, status=StepStatus.WAITING.value)
    rows = steps.values("execution_id", "execution__scope_id").annotate(needs=Min("needs_usd"))
    pairs = rows.order_by("execution_id").values_list("execution_id", "execution__scope_id", "needs")
    return list(pairs[:MAX_BATCH])


def overdue_executions(*, now: datetime) -> list[UUID]:
    """Return the executions with overdue questions, longest overdue first."""
    rows = models.Execution.objects.filter(deadline_at__lte=now).order_by("deadline_at", "id")
    return list(rows.values_list("id", flat=True)[:MAX_BATCH])


def record_heartbeat(*, name: str, now: datetime) -> None:
    """Record a worker's heartbeat; insert its row if there is none."""
    if not models.Runner.objects.filter(name=name).update(heartbeat_at=now):
        # the row exists: an earlier insert was stored, but its response was lost
        with suppress(IntegrityError), transaction.atomic():
            models.Runner.objects.create(name=name, started_at=now, heartbeat_at=now)


def unregister(*, name: str) -> None:
    """Remove the heartbeat of a worker that stops."""
    models.Runner.objects.filter(name=name).delete()


def is_claimed_elsewhere(execution_id: UUID, runner: str, *, silent_seconds: float) -> bool:
    """Return whether another worker with a current heartbeat runs the execution."""
    alive = models.Runner.objects.filter(heartbeat_at__gte=database_now() - timedelta(seconds=silent_seconds))
    rows = models.Execution.objects.filter(id=execution_id, runner__in=alive.values("name"))
    return rows.exclude(runner=runner).exists()


def versions(execution_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the stored versions of executions."""
    rows = models.Execution.objects.filter(id__in=list(execution_ids))
    return dict(rows.values_list("id", "version"))
