"""Times lists and searches of documents over the API, in this process: python -m … DOCUMENTS TRIES."""

from __future__ import annotations

import json
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.test import APIClient

from access.selectors import find_user
from benchmarks.systems.documents.rows import AUTHORS, COMMON, FREQUENT, RARE

PATH = "/api/v1/documents/"
PAGE = 10  # documents: as many as one text of 1,000 has among 10,000 documents, so that all pages are equally long
SCOPE = {"scope_type": "project", "scope_id": "p17"}
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)  # of the first document; one follows each second


def reads(documents: int) -> dict[str, dict[str, Any]]:
    """Return the queries to measure, by name."""
    middle = (BEGINNING + timedelta(seconds=documents // 2)).isoformat()
    searches = {
        "search, rare word": {"q": RARE},
        "search, word in one of 20": {"q": COMMON},
        "search, frequent word": {"q": FREQUENT},
        "search, phrase": {"q": f'"{FREQUENT} {COMMON}"'},
        "search, only without a word": {"q": f"-{FREQUENT}"},
    }
    filters = {
        "type": {"type": "t17"},
        "status": {"status": "current"},
        "execution_id": {"execution_id": f"00000000-0000-7000-8001-{documents // 20:012}"},
        "workflow_id": {"workflow_id": "w7"},
        "author": {"author": f"person{AUTHORS // 2}"},
        "stale": {"stale": "true"},
        "not stale": {"stale": "false"},
        "created_after": {"created_after": middle},
        "created_before": {"created_before": middle},
        "updated_after": {"updated_after": middle},
        "updated_before": {"updated_before": middle},
        "rare word": {"q": RARE},
    }
    both = {f"{name}, and scope": {**query, **SCOPE} for name, query in filters.items()}
    del filters["rare word"]
    return {**searches, "no filter": {}, "scope": SCOPE, **filters, **both}


def time_reads(documents: int, *, tries: int) -> list[dict[str, Any]]:
    """Return the median duration of each query for each user, in milliseconds."""
    results = []
    for name in ("all", "few"):
        client = APIClient(SERVER_NAME="localhost")
        client.force_authenticate(find_user(name))
        for read, query in reads(documents).items():
            took, rows = [], 0
            for _ in range(tries + 1):
                began = time.perf_counter()
                response = client.get(PATH, {**query, "limit": PAGE})
                took.append(time.perf_counter() - began)
                assert response.status_code == 200, response.content
                rows = len(response.json()["data"])
            # The first one reads pages of the database into memory.
            results.append({"user": name, "read": read, "rows": rows, "p50_ms": statistics.median(took[1:]) * 1000})
    return results


if __name__ == "__main__":
    print(json.dumps(time_reads(int(sys.argv[1]), tries=int(sys.argv[2]))))  # noqa: T201
