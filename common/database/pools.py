"""Connection pools that replace their idle connections when the server stops responding.

Otherwise callers would wait for the time limit on each dead connection in turn.
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
_loops: WeakKeyDictionary[Pool, asyncio.AbstractEventLoop] = WeakKeyDictionary()  # event loops of the asyncio pools
_draining: set[asyncio.Task[None]] = set()


def drain_when_silent(pool: Pool) -> None:
    """Replace the idle connections of a pool when a response is late on any connection of this process.

    Call it for an asyncio pool within the event loop of that pool.
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
