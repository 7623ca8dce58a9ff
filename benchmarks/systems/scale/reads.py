"""Times sums of calls over the API, in this process: python -m … TRIES."""

from __future__ import annotations

import json
import statistics
import sys
import time
from datetime import UTC, datetime
from typing import Any

from rest_framework.test import APIClient

from access.selectors import find_user

SUMMARY = "/api/v1/telemetry/summary"
GROUPS = "day,model,workflow,step,scope,user,tag"


def reads(now: datetime) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the requests to measure, by name: path and query."""
    until = now.replace(day=1)
    since = (
        until.replace(month=until.month - 1) if until.month > 1 else until.replace(year=until.year - 1, month=12)
    ).date()
    month = {"from": since.isoformat(), "to": until.date().isoformat()}
    return {
        "a month by day and model": (SUMMARY, {**month, "group_by": "day,model"}),
        "a month by day and model, Berlin": (SUMMARY, {**month, "group_by": "day,model", "tz": "Europe/Berlin"}),
        "a month by day × model, Kolkata": (SUMMARY, {**month, "cross": "day,model", "tz": "Asia/Kolkata"}),
        "everything": (SUMMARY, {}),
        "everything by day, Berlin": (SUMMARY, {"group_by": "day", "tz": "Europe/Berlin"}),
        "everything, all groups": (SUMMARY, {"group_by": GROUPS}),
        "statistics of a workflow": ("/api/v1/telemetry/workflows/line/stats", {}),
    }


def time_reads(*, tries: int) -> list[dict[str, Any]]:
    """Return the median duration of each request for each user, in milliseconds."""
    results = []
    for name in ("all", "few"):
        client = APIClient(SERVER_NAME="localhost")
        client.force_authenticate(find_user(name))
        for read, (path, query) in reads(datetime.now(UTC)).items():
            took = []
            for _ in range(tries + 1):
                began = time.perf_counter()
                response = client.get(path, query)
                took.append(time.perf_counter() - began)
                assert response.status_code == 200, response.content
            # The first one reads pages of the database into memory.
            results.append({"user": name, "read": read, "p50_ms": statistics.median(took[1:]) * 1000})
    return results


if __name__ == "__main__":
    print(json.dumps(time_reads(tries=int(sys.argv[1]))))  # noqa: T201
