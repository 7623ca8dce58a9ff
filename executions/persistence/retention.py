"""Retention: pruning of old event logs."""

from __future__ import annotations

from datetime import datetime

from common.database import bulk
from executions.engine.domain.states import ENDED

#: Deletes all events of a log but the last one, `complete`. The waiting time, which only the events tell, is added to
#: the execution before. SKIP LOCKED: pruning neither waits for a concurrent retry nor delays it.
_PRUNE = """
WITH old AS (
  SELECT id, last_sequence, finished_at
  FROM executions_execution
  WHERE finished_at < %s AND NOT pruned AND status = ANY(%s)
  ORDER BY finished_at, id
  LIMIT %s
  FOR NO KEY UPDATE SKIP LOCKED
), deleted AS (
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
      (SELECT sum(deleted.waited) FROM deleted WHERE deleted.execution_id = execution.id), interval '0'
    )
FROM old
WHERE execution.id = old.id
"""

_PRUNE_FEEDS = """
DELETE FROM executions_executionevent WHERE id IN (
  SELECT id FROM executions_executionevent WHERE execution_id IS NULL AND timestamp < %s
  ORDER BY timestamp LIMIT %s FOR UPDATE SKIP LOCKED
)"""


def prune(*, before: datetime, limit: int) -> int:
    """Prune the logs of executions that ended before a time, oldest first, at most `limit`; return their number.

    As many events that are in feeds alone are deleted.
    """
    feeds = bulk.execute(_PRUNE_FEEDS, [before, limit]).rowcount
    return max(feeds, bulk.execute(_PRUNE, [before, sorted(ENDED), limit]).rowcount)
