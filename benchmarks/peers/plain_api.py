"""A plain Starlette view that sends the API's statements, and answers with their rows: python -m … PORT FILE."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.workload import database_url

UUID = "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
pool = AsyncConnectionPool(database_url(), min_size=1, max_size=16, open=False, kwargs={"autocommit": True})


def view(statements: Sequence[str], known: str) -> Callable[[Request], Awaitable[Response]]:
    """Return a view: its first statement finds the token; the others share a round trip, for the id in the path."""

    async def read(request: Request) -> Response:
        wanted = request.path_params.get("id", known)
        token, *others = (statement.replace(known, wanted) for statement in statements)
        async with pool.connection() as connection:
            rows = [await (await connection.execute(token)).fetchall()]
            async with connection.pipeline():
                cursors = [await connection.execute(each) for each in others]
            rows += [await each.fetchall() for each in cursors]
        return Response(json.dumps(rows, default=str), media_type="application/json")

    return read


@asynccontextmanager
async def lifespan(_application: Starlette) -> Any:
    """Open the pool."""
    async with pool:
        yield


def main() -> None:
    """Serve."""
    given = json.loads(Path(sys.argv[2]).read_text())
    known = given["ids"][0]
    routes = [
        Route(re.sub(UUID, "{id}", each["path"]), view(each["statements"], known))
        for each in given["requests"].values()
    ]
    application = Starlette(routes=routes, lifespan=lifespan)
    uvicorn.run(application, port=int(sys.argv[1]), access_log=False, log_level="error")


if __name__ == "__main__":
    main()
