"""Threads for the database work of async code. Their connections return to the pool after every call."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import psycopg
from django.conf import settings
from django.db import Error, connections

from common.database.connections import mark_background_thread
from common.database.errors import is_transient
from executions.engine.domain.errors import DatabaseUnavailable

P = ParamSpec("P")
T = TypeVar("T")

BACKOFF_SECONDS = (0.1, 2.0)  # delay between two tries while the database is unavailable: the first, and the maximum

logger = logging.getLogger(__name__)

_pool = ThreadPoolExecutor(settings.DATABASE_THREADS, "database", initializer=mark_background_thread)
_journal = ThreadPoolExecutor(1, "journal", initializer=mark_background_thread)


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the function in a database thread and return its result.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or the connection was lost.
    """
    return await _run(_pool, partial(function, *args, **kwargs))


async def in_journal_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the function in the single thread that commits for all executions of this process; return its result.

    Raises:
        DatabaseUnavailable: the database cannot be reached, or the connection was lost.
    """
    return await _run(_journal, partial(function, *args, **kwargs))


async def retry_while_unavailable(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call the function in a database thread and return its result; retry while the database is unavailable.

    Only for reads and idempotent writes, because a failed call may have been executed.
    """
    delays = backoff_delays(getattr(function, "__name__", "a query"))
    while True:
        try:
            return await in_thread(function, *args, **kwargs)
        except DatabaseUnavailable:
            await asyncio.sleep(next(delays))


def backoff_delays(operation: str) -> Iterator[float]:
    """Yield the delay in seconds before each retry, and log the first one."""
    logger.warning("the database is unavailable; %s is retried", operation)
    seconds, max_seconds = BACKOFF_SECONDS
    while True:
        yield seconds
        seconds = min(2 * seconds, max_seconds)


async def _run(pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(pool, partial(context.run, _call, function))


def _call(function: Callable[[], T]) -> T:
    try:
        return function()
    except (Error, psycopg.Error) as error:
        if is_transient(error):
            raise DatabaseUnavailable("The database cannot be used now.") from error
        raise
    finally:
        # Return the connection to the pool, which checks it before the next use.
        connections.close_all()
