"""Writing the logs of executions, and with them the feeds of their scopes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from common.database import bulk
from executions.engine.domain.events import ProgressEvent

#: An execution's events are numbered by whoever changes its row, one after the other. Those of a scope are numbered
#: here: counting locks the feed until the transaction ends, so that their numbers follow the order of commits, and have
#: no gaps.
_COUNTED = """
told AS (
  SELECT line.*, execution.scope_id,
    row_number() OVER (PARTITION BY execution.scope_id ORDER BY line.place) AS nth,
    count(*) OVER (PARTITION BY execution.scope_id) AS many
  FROM ROWS FROM (json_to_recordset(%s::json) AS (
    execution_id uuid, sequence integer, event_type text, step_id text, data text, timestamp timestamptz
  )) WITH ORDINALITY AS line(execution_id, sequence, event_type, step_id, data, timestamp, place)
  JOIN executions_execution AS execution ON execution.id = line.execution_id
), counted AS (
  INSERT INTO executions_feed AS feed (scope_id, last)
  SELECT scope_id, count(*) FROM told GROUP BY scope_id ORDER BY scope_id
  ON CONFLICT (scope_id) DO UPDATE SET last = feed.last + excluded.last
  RETURNING scope_id, last
)"""
_APPEND = """
INSERT INTO executions_executionevent
  (execution_id, sequence, scope_id, scope_sequence, event_type, step_id, data, timestamp)
SELECT execution_id, sequence, scope_id, counted.last - many + nth, event_type, step_id, data::json, timestamp
FROM told JOIN counted USING (scope_id)
ORDER BY place"""


def append(events: Sequence[ProgressEvent]) -> None:
    """Add lines to the logs of executions, whose rows are there and changed in the same transaction."""
    bulk.write(insert_writes(events))


def insert_writes(events: Sequence[ProgressEvent]) -> Iterator[bulk.Write]:
    """Yield the write that adds lines to the logs of executions; nothing if there are none."""
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
