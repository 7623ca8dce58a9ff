"""Times reads over the API, and starts to their ends, in this process: python -m … CALLS TRIES."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any, NamedTuple

from rest_framework.test import APIClient

from access.selectors import find_user
from benchmarks.systems import workload
from benchmarks.systems.scale.executions import BIG_SCOPE, STEPS
from executions.engine.runtime.runner import ExecutionRunner

SUMMARY = "/api/v1/telemetry/summary"
EXECUTIONS = "/api/v1/executions/"
GROUPS = "day,model,workflow,step,scope,user,tag"
PAGE = 10  # executions: as many as the rarest tag has, so that all pages are equally long
SUMS, ONE, LISTS = "sums", "one", "lists"  # kinds of read, which have goals of their own
RUNS = 20  # executions from start to end


class Read(NamedTuple):
    """A request to measure."""

    kind: str
    name: str
    path: str
    query: dict[str, str]


def sums(now: datetime) -> Iterator[Read]:
    """Yield the sums of calls, and the statistics of a workflow."""
    until = now.replace(day=1)
    since = (
        until.replace(month=until.month - 1) if until.month > 1 else until.replace(year=until.year - 1, month=12)
    ).date()
    month = {"from": since.isoformat(), "to": until.date().isoformat()}
    named = {
        "a month by day and model": {**month, "group_by": "day,model"},
        "a month by day and model, Berlin": {**month, "group_by": "day,model", "tz": "Europe/Berlin"},
        "a month by day × model, Kolkata": {**month, "cross": "day,model", "tz": "Asia/Kolkata"},
        "everything": {},
        "everything by day, Berlin": {"group_by": "day", "tz": "Europe/Berlin"},
        "everything, all groups": {"group_by": GROUPS},
    }
    yield from (Read(SUMS, name, SUMMARY, query) for name, query in named.items())
    yield Read(SUMS, "statistics of a workflow", "/api/v1/telemetry/workflows/line/stats", {})


def first_pages(executions: int) -> Iterator[Read]:
    """Yield the reads of one execution, and the first page of each list."""
    last = (executions - 1) // 200 * 200  # the newest one of the big scope whose workflow has a definition
    one = f"00000000-0000-7000-8000-{last:012}"
    named = {
        "an execution": f"{EXECUTIONS}{one}",
        "its steps": f"{EXECUTIONS}{one}/steps",
        "its events": f"{EXECUTIONS}{one}/events",
        "its calls": f"{EXECUTIONS}{one}/calls",
        "its costs": f"/api/v1/telemetry/executions/{one}/costs",
        "executions": EXECUTIONS,
        "documents": "/api/v1/documents/",
        "clarifications": "/api/v1/clarifications/",
        "scopes": "/api/v1/scopes/",
        "a scope": f"/api/v1/scopes/project/p{BIG_SCOPE}",
        "workflows": "/api/v1/workflows/",
        "audit log of a scope": "/api/v1/audit",
        "inbox": "/api/v1/inbox/",
    }
    scoped = {"audit log of a scope": {"scope_type": "project", "scope_id": f"p{BIG_SCOPE}"}}
    for name, path in named.items():
        page = {} if path.rpartition("/")[2] in {one, "costs", f"p{BIG_SCOPE}"} else {"limit": str(PAGE)}
        yield Read(ONE, name, path, {**page, **scoped.get(name, {})})


def lists(now: datetime) -> Iterator[Read]:
    """Yield the list of executions by each filter, and by each pair; many find nothing."""
    middle = (now - timedelta(days=183)).isoformat()
    single = {
        "failed": {"status": "failed"},
        "cancelled, none": {"status": "cancelled"},
        "workflow": {"workflow_id": "w7"},
        "tag": {"tag": "pilot"},
        "rare tag": {"tag": "rare"},
        "scope": {"scope_type": "project", "scope_id": f"p{BIG_SCOPE}"},
        "waits for an answer": {"waiting_on": "clarification"},
        "waits for a budget, none": {"waiting_on": "budget"},
        "dry runs": {"dry_run": "true"},
        "no dry runs": {"dry_run": "false"},
        "first half of the year": {"created_before": middle},
        "second half of the year": {"created_after": middle},
    }
    pairs = {
        f"{one} + {other}": {**single[one], **single[other]}
        for one, other in combinations(single, 2)
        if not single[one].keys() & single[other].keys()
    }
    for name, query in {**single, **pairs}.items():
        yield Read(LISTS, name, EXECUTIONS, {**query, "limit": str(PAGE)})


def time_reads(executions: int, *, tries: int) -> list[dict[str, Any]]:
    """Return the median duration of each request for each user, in milliseconds."""
    results, now = [], datetime.now(UTC)
    for name in ("all", "many", "few"):
        client = APIClient(SERVER_NAME="localhost")
        client.force_authenticate(find_user(name))
        for read in (*sums(now), *first_pages(executions), *lists(now)):
            if name == "many" and read.kind == SUMS:
                continue
            took = []
            for _ in range(tries + 1):
                began = time.perf_counter()
                response = client.get(read.path, read.query)
                took.append(time.perf_counter() - began)
                assert response.status_code == 200, (read, response.content)
            # The first one reads pages of the database into memory.
            found = response.json()
            rows = len(found["data"]) if "data" in found else None
            measured = {"kind": read.kind, "user": name, "read": read.name, "rows": rows}
            results.append({**measured, "p50_ms": statistics.median(took[1:]) * 1000, "min_ms": min(took) * 1000})
    return results


def time_runs() -> dict[str, Any]:
    """Return the median duration of an execution from its start to its end, with a model that replies at once."""
    ports = workload.use_model(workload.InstantModel())
    user, took = workload.publish(STEPS), []

    async def run() -> None:
        for number in range(RUNS):
            began = time.perf_counter()
            execution_id = await asyncio.to_thread(workload.start, user, f"run-{time.time_ns()}-{number}")
            await ExecutionRunner(ports, execution_id=execution_id, worker="me").run()
            took.append(time.perf_counter() - began)

    asyncio.run(run())
    middle, least = statistics.median(took[2:]) * 1000, min(took) * 1000
    return {"kind": ONE, "user": "", "read": "a start to its end", "p50_ms": middle, "min_ms": least}


if __name__ == "__main__":
    reads = time_reads(int(sys.argv[1]) // STEPS, tries=int(sys.argv[2]))
    print(json.dumps([*reads, time_runs()]))  # noqa: T201
