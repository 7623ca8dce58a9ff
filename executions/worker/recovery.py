"""Recovery enqueues the executions of lost workers. Beside it: heartbeats, and queries for the other duties."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Min, Q

from common.database.server import database_now
from executions import models
from executions.engine.domain.states import ExecutionStatus, Limit, StepStatus
from executions.persistence import drafts
from executions.queue.jobs import enqueue_advance, finish_stalled_jobs, has_open_job

_NEVER = datetime.min.replace(tzinfo=UTC)
_RECOVERY_LOCK = 7_316_204_552  # key of the advisory lock: only one worker recovers at a time

MAX_BATCH = 1000  # executions per run; the next run continues

_ANY_DUE = """
SELECT EXISTS (SELECT FROM executions_execution WHERE resume_at <= %s)
  OR EXISTS (SELECT FROM executions_execution WHERE deadline_at <= %s)
  OR EXISTS (SELECT FROM executions_executionstep WHERE blocked_by_limit = %s AND status = %s)
"""


@transaction.atomic
def recover(
    *,
    now: datetime,
    worker: str,
    running: Collection[UUID],
    silent_seconds: float,
    idle_seconds: float,
    after_outage: bool = False,
) -> int:
    """Enqueue executions that are runnable but not running; return their number.

    These are: executions of workers without a heartbeat for `silent_seconds`; executions that are claimed by `worker`
    (the caller) and not in `running`; and runnable executions without a change for `idle_seconds`. Jobs do not count as
    evidence, because they can be lost. An execution that has a job is not enqueued again.

    `after_outage`: the caller has recently missed the database or its own heartbeats. Other workers may have, too, so
    missing heartbeats prove nothing then. The same holds just after a start of the database server.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_RECOVERY_LOCK])
        if not cursor.fetchone()[0]:
            return 0  # another worker is recovering
        silent_since = now - timedelta(seconds=silent_seconds)
        finish_stalled_jobs(silent_since=silent_since)
        cursor.execute("SELECT pg_postmaster_start_time() > %s", [silent_since])
        if cursor.fetchone()[0] or after_outage:
            silent_since = _NEVER
    lost = _abandoned(now=now, worker=worker, running=running, silent_since=silent_since, idle_seconds=idle_seconds)
    for execution_id in lost:
        enqueue_advance(execution_id)
    models.WorkerHeartbeat.objects.filter(heartbeat_at__lt=silent_since).exclude(
        name__in=models.Execution.objects.filter(claimed_by__isnull=False).values("claimed_by")
    ).delete()
    drafts.remove_abandoned()
    return len(lost)


def _abandoned(
    *, now: datetime, worker: str, running: Collection[UUID], silent_since: datetime, idle_seconds: float
) -> list[UUID]:
    alive = models.WorkerHeartbeat.objects.filter(heartbeat_at__gte=silent_since).values("name")
    untouched = Q(updated_at__lt=now - timedelta(seconds=idle_seconds))
    runnable = Q(status__in=[ExecutionStatus.PENDING.value, ExecutionStatus.RUNNING.value])
    dead = Q(claimed_by__isnull=False) & ~Q(claimed_by__in=alive)
    dropped = Q(claimed_by=worker) & ~Q(id__in=list(running)) & untouched
    orphaned = Q(claimed_by__isnull=True) & untouched
    rows = models.Execution.objects.filter(runnable & (dead | dropped | orphaned) & ~has_open_job("id"))
    return list(rows.order_by("updated_at", "id").values_list("id", flat=True)[:MAX_BATCH])


def is_any_due(*, now: datetime) -> bool:
    """Return whether an execution is due, overdue or blocked by its scope's monthly budget, with one query."""
    with connection.cursor() as cursor:
        cursor.execute(_ANY_DUE, [now, now, Limit.SCOPE_MONTH.value, StepStatus.WAITING.value])
        return bool(cursor.fetchone()[0])


def due_executions(*, now: datetime) -> list[UUID]:
    """Return the executions with due deferred steps, longest overdue first."""
    rows = models.Execution.objects.filter(resume_at__lte=now).order_by("resume_at", "id")
    return list(rows.values_list("id", flat=True)[:MAX_BATCH])


def blocked_by_scope_month() -> list[tuple[UUID, UUID, Decimal | None]]:
    """Return the executions blocked by their scope's monthly budget: id, scope, cost of the next call; oldest first."""
    steps = models.ExecutionStep.objects.filter(
        blocked_by_limit=Limit.SCOPE_MONTH.value, status=StepStatus.WAITING.value
    )
    rows = steps.values("execution_id", "execution__scope_id").annotate(needs=Min("required_usd"))
    found = rows.order_by("execution_id").values_list("execution_id", "execution__scope_id", "needs")
    return list(found[:MAX_BATCH])


def overdue_executions(*, now: datetime) -> list[UUID]:
    """Return the executions with overdue questions, longest overdue first."""
    rows = models.Execution.objects.filter(deadline_at__lte=now).order_by("deadline_at", "id")
    return list(rows.values_list("id", flat=True)[:MAX_BATCH])


def record_heartbeat(*, name: str, now: datetime) -> None:
    """Record a worker's heartbeat; insert its row if there is none."""
    if not models.WorkerHeartbeat.objects.filter(name=name).update(heartbeat_at=now):
        # An IntegrityError says that the row exists: an earlier insert was stored, but its response was lost.
        with suppress(IntegrityError), transaction.atomic():
            models.WorkerHeartbeat.objects.create(name=name, started_at=now, heartbeat_at=now)


def unregister(*, name: str) -> None:
    """Remove the heartbeat of a worker that stops."""
    models.WorkerHeartbeat.objects.filter(name=name).delete()


def is_claimed_elsewhere(execution_id: UUID, worker: str, *, silent_seconds: float) -> bool:
    """Return whether another worker with a current heartbeat runs the execution."""
    alive = models.WorkerHeartbeat.objects.filter(heartbeat_at__gte=database_now() - timedelta(seconds=silent_seconds))
    rows = models.Execution.objects.filter(id=execution_id, claimed_by__in=alive.values("name"))
    return rows.exclude(claimed_by=worker).exists()


def versions(execution_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the stored versions of executions."""
    rows = models.Execution.objects.filter(id__in=list(execution_ids))
    return dict(rows.values_list("id", "version"))
