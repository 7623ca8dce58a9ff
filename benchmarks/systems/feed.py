"""Events as a worker writes them: python -m … announce|notify EXECUTIONS. It is told how many by lines of JSON.

Each is a row of the log, in a transaction that also writes its execution; events that are due at once share one, as
the journal has it. Then the notifier says so (`announce`), or PostgreSQL has said so with the commit (`notify`), with
the event itself in the notification: what one would build for a server without the product's cursors.
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
from benchmarks.systems import line
from executions.engine.domain.events import EventType, ProgressEvent, event_json
from executions.persistence import event_log
from executions.persistence.notifier import announce

CHANNEL = "bench_events"

_SEQUENCES = """
UPDATE executions_execution AS execution SET last_sequence = wanted.last
FROM unnest(%s::uuid[], %s::int[]) AS wanted (id, last) WHERE execution.id = wanted.id
"""


class Feed:
    """Writes events into the logs of its executions in turn; they are numbered over all of them, from 0."""

    def __init__(self, ids: list[UUID], *, announced: bool) -> None:
        self._last = dict.fromkeys(ids, 1)  # the log begins with `execution_created`
        self._ids = ids
        self._announced = announced
        self._next = 0
        self._committed: list[float] = []

    def publish(self, *, events: int, per_second: float, characters: int = 200) -> dict[str, Any]:
        """Write so many events at an even rate; return the first number, and when each one's commit began."""
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
        ids = {each.execution_id for each in events}
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_SEQUENCES, [list(ids), [self._last[each] for each in ids]])
                event_log.append(events)
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


def say(answer: dict[str, Any]) -> None:
    """Answer with a line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    how, executions = sys.argv[1:]
    user = line.publish(1)
    started = [line.start(user, f"p{number}") for number in range(int(executions))]
    feed = Feed(started, announced=how == "announce")
    say({"token": issue_token(user)[1], "ids": [str(each) for each in started]})
    for command in sys.stdin:
        say(feed.publish(**json.loads(command)))
