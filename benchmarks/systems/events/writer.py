"""A process that writes events like a worker: python -m … announce|notify EXECUTIONS. Commands are lines of JSON.

Each event is a row of the log, in a transaction that also updates its execution. Events that are due at the same time
share a transaction, as in the journal. Then the notifier announces them (`announce`), or the transaction sends the
events in notifications (`notify`), as a server without the product's cursors would need.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from access.services import issue_token
from benchmarks.systems import workload
from common.database import bulk
from executions.engine.domain.events import EventType, ProgressEvent, event_json
from executions.persistence import event_log
from executions.persistence.notifier import announce

CHANNEL = "bench_events"

_SEQUENCES = """
UPDATE executions_execution AS execution SET last_sequence = wanted.last
FROM unnest(%s::uuid[], %s::int[]) AS wanted (id, last) WHERE execution.id = wanted.id
"""


class EventWriter:
    """Writes events to its executions, round robin. Their data has a number, from 0 over all executions."""

    def __init__(self, ids: list[UUID], *, announced: bool) -> None:
        self._last = dict.fromkeys(ids, 1)  # after `execution_created`
        self._ids = ids
        self._announced = announced
        self._next = 0
        self._committed: list[float] = []

    def publish(self, *, events: int, per_second: float, characters: int = 200) -> dict[str, Any]:
        """Write events at an even rate; return the first number, and the start time of each commit."""
        first, began = self._next, time.monotonic()
        self._committed = []
        while (done := self._next - first) < events:
            elapsed = time.monotonic() - began
            due = min(events, int(elapsed * per_second) + 1)
            if due == done:
                time.sleep(done / per_second - elapsed)
            else:
                self._write(due - done, "x" * characters)
        return {"first": first, "committed": self._committed}

    def _write(self, count: int, text: str) -> None:
        events = [self._event(text) for _ in range(count)]
        ids = {each.execution_id for each in events if each.execution_id is not None}
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_SEQUENCES, [list(ids), [self._last[each] for each in ids]])
                bulk.write(event_log.insert_writes(events))
                if not self._announced:
                    texts = [json.dumps(event_json(event)) for event in events]
                    cursor.execute("SELECT pg_notify(%s, text) FROM unnest(%s::text[]) AS text", [CHANNEL, texts])
            for each in ids if self._announced else ():
                transaction.on_commit(partial(announce, each))
            self._committed += [time.monotonic()] * count

    def _event(self, text: str) -> ProgressEvent:
        execution_id = self._ids[self._next % len(self._ids)]
        self._last[execution_id] += 1
        event = ProgressEvent(
            execution_id=execution_id,
            sequence=self._last[execution_id],
            event_type=EventType.STEP_COMPLETED,
            step_id="s0",
            data={"number": self._next, "text": text},
            timestamp=timezone.now(),
        )
        self._next += 1
        return event


def write_line(answer: dict[str, Any]) -> None:
    """Write a line of JSON."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    mode, executions = sys.argv[1:]
    user = workload.publish(1)
    started = [workload.start(user, f"p{number}") for number in range(int(executions))]
    writer = EventWriter(started, announced=mode == "announce")
    write_line({"token": issue_token(user)[1], "ids": [str(each) for each in started]})
    for command in sys.stdin:
        write_line(writer.publish(**json.loads(command)))
