"""The connections over which a worker takes its jobs."""

from __future__ import annotations

from typing import Any

from procrastinate import PsycopgConnector
from procrastinate.contrib.django.utils import connector_params
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool


def connector() -> PsycopgConnector:
    """Return a connector of a pool of its own, on Django's database.

    Everything that Procrastinate asks for is one call of one function: a transaction around it, and a look at the
    connection before it, would be three more waits for the server each time. A connection that has broken ends the
    worker's taking, which begins again with a new pool.
    """
    return PsycopgConnector(kwargs=connector_params(), pool_factory=_pool)


def _pool(**arguments: Any) -> AsyncConnectionPool[AsyncConnection[Any]]:
    return AsyncConnectionPool(**{**arguments, "check": None, "configure": _commit_at_once})


async def _commit_at_once(connection: AsyncConnection[Any]) -> None:
    await connection.set_autocommit(True)
