"""Reads the first page of an inbox over HTTP, in this process: python -m … WAITING TRIES LIMIT."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone

from access.services import ensure_user, issue_token
from access.user import User
from benchmarks.systems import bulk_rows, transitions, workload
from benchmarks.systems.waiting import ask
from executions.engine.ports import Transition
from executions.persistence.journal import journal
from executions.selectors import inbox

TABLES = ("executions_executionstep", "executions_inboxentry")


def fill(waiting: int) -> int:
    """Let as many executions wait for answers; return the id of the scope's owner."""
    pattern = workload.start(workload.publish(1), "inbox")
    begin, *_ = transitions.transitions_of(pattern, 1)
    for transition in (begin, Transition(execution_id=pattern, fencing_token=begin.fencing_token, decide=ask)):
        journal.apply(transition, now=timezone.now())
    bulk_rows.copy_execution(pattern, waiting - 1, tables=TABLES)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SELECT requested_by_id FROM executions_execution LIMIT 1")
        return int(cursor.fetchone()[0])


def explain(user: Any, limit: int) -> str:
    """Return the plan of the page's query."""
    rows = inbox.with_executions(inbox.entries(user=user, now=timezone.now())).order_by("since", "id")[: limit + 1]
    return rows.explain(analyze=True, buffers=True)


def read(user: Any, *, tries: int, limit: int) -> list[float]:
    """Return the seconds of each read."""
    _, token = issue_token(user)
    client, took = Client(headers={"Authorization": f"Bearer {token}", "Host": "localhost"}), []
    for _ in range(tries):
        began = time.perf_counter()
        response = client.get(f"/api/v1/inbox/?limit={limit}")
        took.append(time.perf_counter() - began)
        if response.status_code != 200 or len(response.json()["data"]) != limit:
            raise RuntimeError(response.content)
    return took


if __name__ == "__main__":
    waiting, tries, limit = map(int, sys.argv[1:4])
    owner = User.objects.get(id=fill(waiting))
    staff = ensure_user(name="root", superuser=True)
    sys.stderr.write(explain(owner, limit))
    times = {name: read(user, tries=tries, limit=limit) for name, user in (("staff", staff), ("owner", owner))}
    sys.stdout.write(json.dumps({"waiting": waiting, **times}))
