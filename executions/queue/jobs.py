"""Jobs for workers, enqueued in the caller's transaction.

Jobs are not ordered by age alone: users take turns, and root scopes take turns within the jobs of a user. So a thousand
executions of one user or project do not delay the single execution of another. Both levels are start-time fair queueing
(Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996) with every job as one unit. A job's start tag is the
greater one of two: the tag of the next job in the queue, and one more than the last tag of its own user or scope. The
job with the lowest tag is next. The tags of users are stored as negative priorities, because the queue takes the
greatest priority first. The tags of scopes are stored in the arguments, as `turn`. Tags restart at 0 when no other job
waits.

A worker takes jobs with the SQL function `executions_take_jobs`. The lowest user tag decides whose job is next, and the
lowest `turn` decides which job of this user. Users who already run as many executions as permitted are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, TextField
from django.db.models.functions import Cast
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException

from common.database import bulk
from common.database.errors import is_transient
from executions.engine.domain.errors import DatabaseUnavailable

ADVANCE = "executions.advance"
PRUNE = "executions.prune"
QUEUE = "executions"
_TAGS = """
SELECT execution.scope_id::text, who.name, least(2147483647, greatest(
  (SELECT -max(priority) FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = %s),
  (SELECT 1 - min(priority) FROM procrastinate_jobs
   WHERE status = 'todo' AND queue_name = %s AND coalesce(args ->> 'user', '') = who.name),
  0
)), least(2147483647, greatest(
  (SELECT min(coalesce((args ->> 'turn')::integer, 0)) FROM procrastinate_jobs
   WHERE status = 'todo' AND coalesce(args ->> 'user', '') = who.name),
  (SELECT 1 + max(coalesce((args ->> 'turn')::integer, 0))::bigint FROM procrastinate_jobs
   WHERE status = 'todo' AND args ->> 'scope' = execution.scope_id::text AND coalesce(args ->> 'user', '') = who.name),
  0
))
FROM executions_execution AS execution, LATERAL (SELECT coalesce(execution.requested_by_id::text, '') AS name) AS who
WHERE execution.id = %s
"""
_FINISH_STALLED = """
SELECT procrastinate_finish_job_v1(stalled.id, 'failed', true) FROM (
  SELECT job.id
  FROM procrastinate_jobs AS job LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
  WHERE job.queue_name = %s AND job.status = 'doing' AND (worker.id IS NULL OR worker.last_heartbeat < %s)
  FOR UPDATE OF job SKIP LOCKED
) AS stalled
"""
_FORGET = "DELETE FROM procrastinate_jobs WHERE lock = %s AND status NOT IN ('todo', 'doing')"
_NEXT = "SELECT coalesce(max(priority), 0) FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = %s"


def enqueue_advance(execution_id: UUID) -> None:
    """Enqueue a job that runs the execution. A superfluous job costs a worker one query.

    The job lock keeps two workers from the same execution. It does not fence a worker that was paused; the fencing
    token does.

    Raises:
        DatabaseUnavailable: the connection was lost.
    """
    identity = str(execution_id)
    with _outages_as_unavailable():
        found = bulk.execute(_TAGS, [QUEUE, QUEUE, execution_id]).fetchone()
        if found is None:
            return  # the execution does not exist any more
        scope, user, tag, turn = found
        job = app.configure_task(ADVANCE, queue=QUEUE, lock=identity, priority=-tag, allow_unknown=True)
        job.defer(execution_id=identity, scope=scope, user=user, turn=turn)


def enqueue_prune() -> None:
    """Enqueue a job that prunes old logs, unless one is waiting. Call it outside of a transaction.

    Raises:
        DatabaseUnavailable: the connection was lost.
    """
    with _outages_as_unavailable():
        # The job is next, and the order of the other jobs does not change.
        (priority,) = bulk.execute(_NEXT, [QUEUE]).fetchone() or (0,)
        job = app.configure_task(
            PRUNE, queue=QUEUE, lock=PRUNE, queueing_lock=PRUNE, priority=priority, allow_unknown=True
        )
        with suppress(AlreadyEnqueued):  # one such job is enough
            job.defer()


def finish_stalled_jobs(*, silent_since: datetime) -> None:
    """Finish the jobs whose worker has disappeared or sent no heartbeat since then. They would hold their locks.

    Jobs that their worker is finishing now are skipped, because finishing a job twice is an error.
    """
    bulk.execute(_FINISH_STALLED, [QUEUE, silent_since])


def forget_jobs(execution_id: UUID) -> None:
    """Delete the ended jobs of an execution. An open one ends soon, because there is nothing to run."""
    bulk.execute(_FORGET, [str(execution_id)])


def has_open_job(execution_id: str) -> Exists:
    """Return a condition on executions: a job of the execution waits or runs.

    Args:
        execution_id: Name of the column that holds the execution's id.
    """
    lock = Cast(OuterRef(execution_id), TextField())
    return Exists(ProcrastinateJob.objects.filter(lock=lock, status__in=["todo", "doing"]))


@contextmanager
def _outages_as_unavailable() -> Iterator[None]:
    """Raise `DatabaseUnavailable` for connection failures; other errors pass."""
    try:
        yield
    except ConnectorException as error:
        if is_transient(error):
            raise DatabaseUnavailable("The database cannot be used now.") from error
        raise
