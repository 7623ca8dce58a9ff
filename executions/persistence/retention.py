"""Old logs: what is removed of them, and what stays."""

from __future__ import annotations

from datetime import datetime

from common.database import bulk
from executions.engine.domain.states import ENDED

#: All of a log but its last event, which is the `complete`. How long the execution waited is told by its events: it is
#: noted before they go. Who retries the execution in this moment is not waited for, nor made to wait.
_PRUNE = """
WITH old AS (
  SELECT id, last_sequence, finished_at
  FROM executions_execution
  WHERE finished_at < %s AND NOT pruned AND status = ANY(%s)
  ORDER BY finished_at, id
  LIMIT %s
  FOR NO KEY UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM executions_executionevent AS event USING old
  WHERE event.execution_id = old.id AND event.sequence < old.last_sequence
  RETURNING event.execution_id, CASE event.event_type
    WHEN 'execution_waiting' THEN old.finished_at - event.timestamp
    WHEN 'execution_resumed' THEN event.timestamp - old.finished_at
  END AS waited
)
UPDATE executions_execution AS execution
SET oldest_sequence = old.last_sequence,
    pruned = true,
    waited = execution.waited + coalesce(
      (SELECT sum(gone.waited) FROM gone WHERE gone.execution_id = execution.id), interval '0'
    )
FROM old
WHERE execution.id = old.id
"""


def prune(*, before: datetime, limit: int) -> int:
    """Prune the logs of executions that ended before a moment, oldest first, at most `limit`; return how many."""
    return bulk.execute(_PRUNE, [before, sorted(ENDED), limit]).rowcount
