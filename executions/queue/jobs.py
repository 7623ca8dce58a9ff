"""Work for the workers, enqueued by name on the caller's own transaction: all or nothing.

Who waits longest does not always go first: users take turns, and within the jobs of one user the root scopes do. So a
thousand executions of one user keep no other's single one waiting, nor a thousand of one project another project's.
Both are start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996) with every job as one
unit: a job's start tag is that of the next one in the queue, or one more than the last of its own user or scope,
whichever is greater; the least tag goes first. Tags of users are priorities, negative as the greatest of those goes
first; tags of scopes are in the arguments, as `turn`. They begin again at 0 whenever there is no other job.

A worker takes jobs with the function `executions_take_jobs` (migration 0001). The least tag of all says whose turn it
is, the least `turn` of this user's jobs which of them goes. Users who have as many executions at work as they may are
passed.
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
_NEXT = "SELECT coalesce(max(priority), 0) FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = %s"


def enqueue_advance(execution_id: UUID) -> None:
    """Have a worker carry the execution on. A superfluous job costs a worker one look.

    The lock keeps two workers from the same execution; a worker that was paused is fenced by the token alone.

    Raises:
        DatabaseUnavailable: the connection was lost.
    """
    identity = str(execution_id)
    with _told_apart():
        found = bulk.execute(_TAGS, [QUEUE, QUEUE, execution_id]).fetchone()
        if found is None:
            return  # it is gone
        scope, user, tag, turn = found
        job = app.configure_task(ADVANCE, queue=QUEUE, lock=identity, priority=-tag, allow_unknown=True)
        job.defer(execution_id=identity, scope=scope, user=user, turn=turn)


def enqueue_prune() -> None:
    """Have a worker prune old logs; nothing when that waits for one already. Call it outside of a transaction.

    Raises:
        DatabaseUnavailable: the connection was lost.
    """
    with _told_apart():
        (priority,) = bulk.execute(_NEXT, [QUEUE]).fetchone() or (0,)  # next, and no other's turn changes
        job = app.configure_task(
            PRUNE, queue=QUEUE, lock=PRUNE, queueing_lock=PRUNE, priority=priority, allow_unknown=True
        )
        with suppress(AlreadyEnqueued):
            job.defer()


def finish_stalled_jobs(*, silent_since: datetime) -> None:
    """End the jobs whose worker is gone, or has been silent since then: each would hold its lock for ever.

    A job that its worker ends at this moment is skipped: to end a job twice is an error.
    """
    bulk.execute(_FINISH_STALLED, [QUEUE, silent_since])


def has_open_job(execution_id: str) -> Exists:
    """Return a condition on executions: a job of the execution waits, or a worker is at it.

    Args:
        execution_id: Name of the column that holds the execution's id.
    """
    lock = Cast(OuterRef(execution_id), TextField())
    return Exists(ProcrastinateJob.objects.filter(lock=lock, status__in=["todo", "doing"]))


@contextmanager
def _told_apart() -> Iterator[None]:
    """Tell a lost connection from what is wrong with a query."""
    try:
        yield
    except ConnectorException as error:
        if is_transient(error):
            raise DatabaseUnavailable("The database cannot be used now.") from error
        raise
