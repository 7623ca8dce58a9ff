"""Work for the workers, enqueued by name on the caller's own transaction: all or nothing.

Who waits longest does not always go first: users take turns, and within the jobs of one user the root scopes do. So a
thousand executions of one user keep no other's single one waiting, nor a thousand of one project another project's.
Both are start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996) with every job as one
unit: a job's start tag is that of the next one in the queue, or one more than the last of its own user or scope,
whichever is greater; the least tag goes first. Tags of users are priorities, negative as the greatest of those goes
first; tags of scopes are in the arguments, as `turn`. They begin again at 0 whenever there is no other job.

A worker takes jobs with the function `executions_take_jobs` (migration 0022). The least tag of all says whose turn it
is, the least `turn` of this user's jobs which of them goes. Users who have as many executions at work as they may are
passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException

from common.database import bulk
from common.database.errors import is_passing
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
_NEXT = "SELECT coalesce(max(priority), 0) FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = %s"


def enqueue_advance(execution_id: UUID) -> None:
    """Have a worker carry the execution on. A superfluous job costs a worker one look.

    The lock keeps two workers from the same execution; it does not fence (a paused worker wakes up), the epoch does.

    Raises:
        Unavailable: the connection was lost.
    """
    identity = str(execution_id)
    with _told_apart():
        found = bulk.execute(_TAGS, [QUEUE, QUEUE, execution_id]).fetchone()
        if found is None:
            return  # it is gone
        scope, user, tag, turn = found
        job = app.configure_task(ADVANCE, queue=QUEUE, lock=identity, priority=-tag, allow_unknown=True)
        job.defer(execution_id=identity, scope=scope, user=user, permit=turn)


def enqueue_prune() -> None:
    """Have a worker prune old logs; nothing when that waits for one already. Call it outside of a transaction.

    Raises:
        Unavailable: the connection was lost.
    """
    with _told_apart():
        (priority,) = bulk.execute(_NEXT, [QUEUE]).fetchone() or (0,)  # next, and no other's turn changes
        job = app.configure_task(
            PRUNE, queue=QUEUE, lock=PRUNE, queueing_lock=PRUNE, priority=priority, allow_unknown=True
        )
        with suppress(AlreadyEnqueued):
            job.defer()


@contextmanager
def _told_apart() -> Iterator[None]:
    """Tell a lost connection from what is wrong with a query."""
    try:
        yield
    except ConnectorException as error:
        if is_passing(error):
            raise DatabaseUnavailable("The database cannot be used now.") from error
        raise
