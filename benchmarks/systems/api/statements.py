"""Prints the requests to measure, and the statements that the API sends for each: python -m … USER.

The id of the first execution stands for that of any other one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from rest_framework.test import APIClient

from executions.models import Execution

EXECUTIONS = "/api/v1/executions/"


def paths(execution_id: object) -> dict[str, str]:
    """Return the paths to measure, by name."""
    return {
        "GET /executions/{id}": f"{EXECUTIONS}{execution_id}",
        "GET /executions/{id}/steps": f"{EXECUTIONS}{execution_id}/steps",
        "GET /executions/, first page": EXECUTIONS,
    }


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Record the queries of this process, with their parameters in the text."""
    found: list[str] = []
    send = psycopg.Cursor.execute

    def execute(cursor: Any, query: Any, parameters: Any = None, **options: Any) -> Any:
        made = psycopg.ClientCursor(cursor.connection).mogrify(query, parameters)
        if made.lstrip().startswith(("SELECT", "WITH")):
            found.append(made)
        return send(cursor, query, parameters, **options)

    psycopg.Cursor.execute = execute  # type: ignore[method-assign, assignment]
    try:
        yield found
    finally:
        psycopg.Cursor.execute = send  # type: ignore[method-assign]


def main() -> None:
    """Print them as JSON: the ids of executions, and path and statements by name."""
    ids = [str(each) for each in Execution.objects.order_by("created_at").values_list("id", flat=True)]
    client = APIClient(SERVER_NAME="localhost", HTTP_AUTHORIZATION=f"Bearer {sys.argv[1]}")
    requests = {}
    for name, path in paths(ids[0]).items():
        client.get(path)  # fills the caches of the process
        with recorded() as statements:
            response = client.get(path)
        assert response.status_code == 200, response.content
        requests[name] = {"path": path, "statements": statements}
    print(json.dumps({"ids": ids, "requests": requests}))  # noqa: T201


if __name__ == "__main__":
    main()
