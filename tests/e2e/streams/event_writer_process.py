"""Writes events as workers do, and survives outages of the database: python -m … EXECUTIONS EVENTS PER_SECOND SIZE….

It prints a token and the executions' ids as a line of JSON, waits for a line, writes, and prints when all is written.
"""

from __future__ import annotations

import json
import random
import sys
import time
from functools import partial
from uuid import UUID

import django

from orchestrator import startup

startup.prepare()
django.setup()

from django.db import InterfaceError, OperationalError, connections, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from common.database import bulk  # noqa: E402
from executions import models  # noqa: E402
from executions.engine.domain.events import EventType, ProgressEvent  # noqa: E402
from executions.persistence import event_log  # noqa: E402
from executions.persistence.notifier import announce  # noqa: E402
from tests.e2e.streams.chaos_clients import text_of  # noqa: E402
from tests.factories.streams import make_execution, make_user  # noqa: E402

AWAY_SECONDS = 0.05
MOST_AT_ONCE = 12


class EventWriter:
    """Writes a number of events in each execution, `complete` last. The text sizes take turns."""

    def __init__(self, ids: list[UUID], *, each: int, sizes: list[int]) -> None:
        self._left = dict.fromkeys(ids, each)
        self._sizes = sizes
        self._chance = random.Random(1)  # noqa: S311 - it has to be repeatable

    def write_all(self, per_second: float) -> None:
        """Write all events, at an even rate as far as the database allows."""
        began, written = time.monotonic(), 0
        while self._left:
            due = int((time.monotonic() - began) * per_second)
            if due <= written:
                time.sleep(max(0.0, (written + 1) / per_second - (time.monotonic() - began)))
                continue
            execution_id = self._chance.choice(list(self._left))
            try:
                written += self._write(execution_id, min(due - written, MOST_AT_ONCE))
            except (OperationalError, InterfaceError):
                connections.close_all()
                time.sleep(AWAY_SECONDS)  # the row shows whether the transaction was committed

    def _write(self, execution_id: UUID, count: int) -> int:
        with transaction.atomic():
            row = models.Execution.objects.select_for_update().get(id=execution_id)
            last = min(row.last_sequence + count, self._left[execution_id])
            events = [self._event(execution_id, number) for number in range(row.last_sequence + 1, last + 1)]
            row.last_sequence = last
            over = last == self._left[execution_id]
            if over and events:
                row.status, row.finished_at = "completed", timezone.now()
            row.save(update_fields=["last_sequence", "status", "finished_at"])
            bulk.write(event_log.insert_writes(events))
            transaction.on_commit(partial(announce, execution_id))
        if over:
            del self._left[execution_id]
        return len(events)

    def _event(self, execution_id: UUID, number: int) -> ProgressEvent:
        over = number == self._left[execution_id]
        return ProgressEvent(
            execution_id=execution_id,
            sequence=number,
            event_type=EventType.COMPLETE if over else EventType.STEP_COMPLETED,
            step_id=None if over else "draft",
            data={"number": number, "text": text_of(number, self._sizes)},
            timestamp=timezone.now(),
        )


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    executions, events, rate, *characters = (int(word) for word in sys.argv[1:])
    user, token = make_user("alice")
    known = [make_execution(user, scope="p") for _ in range(executions)]
    _say({"token": token, "ids": [str(each) for each in known]})
    sys.stdin.readline()
    EventWriter(known, each=events // executions, sizes=characters).write_all(rate)
    _say({"written": events})
