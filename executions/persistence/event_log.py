"""Writes events to the logs of executions and to the feeds of their scopes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from psycopg.types.json import Json

from common.database import bulk
from executions.engine.domain.events import Event, EventType, ProgressEvent
from executions.persistence.notifier import announce

#: `number_events` has numbered the events within their executions. This statement numbers them within their scopes. It
#: locks each scope's counter until the transaction ends. So the numbers follow the order of commits and have no gaps.
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

_APPEND_TO_FEED = """
WITH counted AS (
  INSERT INTO executions_feed AS feed (scope_id, last) VALUES (%s, 1)
  ON CONFLICT (scope_id) DO UPDATE SET last = feed.last + 1
  RETURNING last
)
INSERT INTO executions_executionevent (sequence, scope_id, scope_sequence, event_type, step_id, data, timestamp)
SELECT 0, %s, last, %s, %s, %s, %s FROM counted"""


def append_to_feed(scope_id: UUID, event: Event, *, now: datetime) -> None:
    """Append an event that belongs to no execution's log to the feed of a root scope, with COMMIT at the latest."""
    values = [scope_id, scope_id, str(event.event_type), event.step_id, Json(event.data()), now]
    bulk.execute_later(_APPEND_TO_FEED, values)
    transaction.on_commit(partial(announce, scope_id))


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


def reused(events: Sequence[ProgressEvent]) -> set[tuple[UUID, int]]:
    """Return the document versions that steps took over, by document id and number: their titles are told."""
    taken = [each.data for each in events if each.event_type == EventType.STEP_REUSED]
    return {(UUID(str(data["document_id"])), int(str(data["document_version"]))) for data in taken}
