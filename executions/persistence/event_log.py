"""Writes events to the logs of executions and to the feeds of their scopes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from common.database import bulk
from executions.engine.domain.events import ProgressEvent

#: The transaction that changes an execution numbers its events. This statement numbers the events of a scope: it locks
#: the scope's counter until the transaction ends. So the numbers follow the order of commits and have no gaps.
_COUNTED = """
numbered AS (
  SELECT event.*, execution.scope_id,
    row_number() OVER (PARTITION BY execution.scope_id ORDER BY event.row_order) AS position,
    count(*) OVER (PARTITION BY execution.scope_id) AS total
  FROM ROWS FROM (json_to_recordset(%s::json) AS (
    execution_id uuid, sequence integer, event_type text, step_id text, data text, timestamp timestamptz
  )) WITH ORDINALITY AS event(execution_id, sequence, event_type, step_id, data, timestamp, row_order)
  JOIN executions_execution AS execution ON execution.id = event.execution_id
), counted AS (
  INSERT INTO executions_feed AS feed (scope_id, last)
  SELECT scope_id, count(*) FROM numbered GROUP BY scope_id ORDER BY scope_id
  ON CONFLICT (scope_id) DO UPDATE SET last = feed.last + excluded.last
  RETURNING scope_id, last
)"""
_APPEND = """
INSERT INTO executions_executionevent
  (execution_id, sequence, scope_id, scope_sequence, event_type, step_id, data, timestamp)
SELECT execution_id, sequence, scope_id, counted.last - total + position, event_type, step_id, data::json, timestamp
FROM numbered JOIN counted USING (scope_id)
ORDER BY row_order"""


def insert_writes(events: Sequence[ProgressEvent]) -> Iterator[bulk.Write]:
    """Yield the write that appends events to the logs; nothing if there are no events."""
    if not events:
        return
    rows: list[bulk.Row] = [
        {
            "execution_id": event.execution_id,
            "sequence": event.sequence,
            "event_type": str(event.event_type),
            "step_id": event.step_id,
            "data": event.data,
            "timestamp": event.timestamp,
        }
        for event in events
    ]
    yield bulk.Write(_APPEND, bulk.rows_as_json(rows, inner=("data",)), count=len(rows), before=_COUNTED)
