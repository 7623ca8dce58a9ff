"""The connections over which a worker takes its jobs."""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

from procrastinate import PsycopgConnector
from procrastinate.contrib.django.utils import connector_params
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

TRUST_SECONDS = 1.0  # a connection that was used a moment ago is not looked at before it is used again

Connection = AsyncConnection[Any]


def connector() -> PsycopgConnector:
    """Return a connector of a pool of its own, on Django's database.

    Everything that Procrastinate asks for is one call of one function. With a transaction around it, and a look at the
    connection before it, a worker would wait for the server four times instead of once, for every job twice.
    """
    return PsycopgConnector(kwargs=connector_params(), pool_factory=_pool)


def _pool(**arguments: Any) -> AsyncConnectionPool[Connection]:
    used: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

    async def check(connection: Connection) -> None:
        if time.monotonic() - used.get(connection, 0.0) > TRUST_SECONDS:
            await AsyncConnectionPool.check_connection(connection)
        used[connection] = time.monotonic()

    return AsyncConnectionPool(**{**arguments, "check": check, "configure": _configure})


async def _configure(connection: Connection) -> None:
    """Commit at once, and find the next job by index.

    The planner goes by statistics that are always old for a queue, and then joins all jobs with all to take one.
    """
    await connection.set_autocommit(True)
    for option in ("seqscan", "bitmapscan", "hashjoin", "mergejoin", "sort"):
        await connection.execute(f"SET enable_{option} = off")
