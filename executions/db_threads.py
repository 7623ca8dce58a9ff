"""Where async code does its database work: a few threads, whose connections are given back after every call."""

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

from common.database.errors import is_transient
from common.database.usage import mark_background_thread
from executions.engine.domain.errors import DatabaseUnavailable

P = ParamSpec("P")
T = TypeVar("T")

BACKOFF_SECONDS = (0.1, 2.0)  # between two tries while the database is away: at first, and at most

logger = logging.getLogger(__name__)

_pool = ThreadPoolExecutor(settings.DATABASE_THREADS, "database", initializer=mark_background_thread)
_journal = ThreadPoolExecutor(1, "journal", initializer=mark_background_thread)


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the function returns, called in one of the database threads.

    Raises:
        Unavailable: the database is away, or the connection was lost.
    """
    return await _run(_pool, partial(function, *args, **kwargs))


async def in_journal_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the function returns, called in the one thread that commits for all runners of this process.

    Raises:
        Unavailable: the database is away, or the connection was lost.
    """
    return await _run(_journal, partial(function, *args, **kwargs))


async def retry_while_unavailable(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the function returns, called in a database thread; while the database is away, wait for it.

    For reading, and for what may be done twice: whether a call that failed was carried out is not known.
    """
    waits = backoff_delays(getattr(function, "__name__", "a query"))
    while True:
        try:
            return await in_thread(function, *args, **kwargs)
        except DatabaseUnavailable:
            await asyncio.sleep(next(waits))


def backoff_delays(what: str) -> Iterator[float]:
    """Yield how many seconds to wait before each further try; the first one is told in the log."""
    logger.warning("the database is away; %s waits for it", what)
    seconds, most = BACKOFF_SECONDS
    while True:
        yield seconds
        seconds = min(2 * seconds, most)


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
        # Back to the pool, which checks it before anyone uses it again.
        connections.close_all()
