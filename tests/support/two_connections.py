"""Two database connections at once: the test's own, and one in a thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connection, connections

from tests.support.waiting import HANG_SECONDS

T = TypeVar("T")
DEADLINE_SECONDS = HANG_SECONDS


def elsewhere(function: Callable[[], T]) -> T:
    """Run a function to its end on another connection, and return what it returns."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_with_own_connection, function).result(DEADLINE_SECONDS)


@contextmanager
def blocked(function: Callable[[], T]) -> Iterator[Future[T]]:
    """Start a function on another connection; return when it waits for a lock in the database."""
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(_with_own_connection, function)
        _wait_until_one_waits()
        yield future


#: Of this test's database: what waits may have given its first connection back.
_ANY_WAITS = """
SELECT 1 FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
WHERE NOT granted AND activity.datname = current_database()
"""


def _wait_until_one_waits() -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(_ANY_WAITS)
            if cursor.fetchone():
                return
    raise AssertionError("The other connection has never had to wait.")


def _with_own_connection(function: Callable[[], T]) -> T:
    try:
        return function()
    finally:
        connections.close_all()
