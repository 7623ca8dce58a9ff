"""Pools whose idle connections are closed when the server says nothing.

Each connection would be waited for in turn: a pool looks at one, waits for the limit, and takes the next.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any
from weakref import WeakKeyDictionary

from psycopg_pool import AsyncConnectionPool, ConnectionPool

from common.database.connections import on_silence

Pool = ConnectionPool[Any] | AsyncConnectionPool[Any]

_lock = threading.Lock()
_drained_at: WeakKeyDictionary[Pool, float] = WeakKeyDictionary()  # on the monotonic clock
_loops: WeakKeyDictionary[Pool, asyncio.AbstractEventLoop] = WeakKeyDictionary()  # of those of asyncio
_draining: set[asyncio.Task[None]] = set()


def drain_when_silent(pool: Pool) -> None:
    """Have the idle connections of a pool made anew when an answer is late on any connection of this process.

    A pool of asyncio's is named by a coroutine of the event loop that it belongs to.
    """
    with _lock:
        _drained_at[pool] = -1.0
        if isinstance(pool, AsyncConnectionPool):
            _loops[pool] = asyncio.get_running_loop()


def _drain(silent_since: float) -> None:
    with _lock:
        due = [pool for pool, at in _drained_at.items() if at < silent_since]
        for pool in due:
            _drained_at[pool] = time.monotonic()
    for pool in due:
        if isinstance(pool, ConnectionPool):
            pool.drain()
        elif not (loop := _loops[pool]).is_closed():
            loop.call_soon_threadsafe(_drain_soon, pool)


def _drain_soon(pool: AsyncConnectionPool[Any]) -> None:
    task = asyncio.ensure_future(pool.drain())
    _draining.add(task)
    task.add_done_callback(_draining.discard)


on_silence(_drain)
