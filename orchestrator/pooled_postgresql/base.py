"""Django's PostgreSQL backend with two pools for each process, and a time limit on the statements of reads.

Requests share one pool. The few threads of `executions/threads.py`, and so the worker, share the other: requests that
use up their pool keep no worker waiting.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import Connection
from psycopg_pool import ConnectionPool

from common.database_use import is_background_thread, is_reading
from common.limits import limits

_Pool = ConnectionPool[Connection[Any]]

_pools: dict[str, _Pool] = {}
_timeouts: WeakKeyDictionary[Connection[Any], int] = WeakKeyDictionary()  # of statements, in seconds; 0: none


def check(connection: Connection[Any]) -> None:
    """See that a connection works as it leaves its pool, and give it the time limit of what it is taken for.

    A limit is set only when it changes, and then in place of the empty query that would show that the connection works:
    neither kind of request waits for the server once more. Through a pooler there is no session to set it in.

    Raises:
        psycopg.Error: the connection is lost.
    """
    wanted = limits().read_statement_seconds if is_reading() and not settings.DATABASE_DIRECT_URL else 0
    if _timeouts.get(connection, 0) == wanted:
        ConnectionPool.check_connection(connection)
        return
    connection.execute(f"SET statement_timeout = {wanted * 1000:d}" if wanted else "RESET statement_timeout")
    if not connection.autocommit:
        connection.commit()
    _timeouts[connection] = wanted


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of one thread, from the pool that fits the thread."""

    @property
    def pool(self) -> _Pool | None:
        """The pool of the present thread; None: connections are not pooled."""
        return self.pool_of(background=is_background_thread())

    def pool_of(self, *, background: bool) -> _Pool | None:
        """Return one of the two pools, made when it is first asked for; None: connections are not pooled."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        name = _pool_name(self.alias, background=background)
        if name not in _pools:
            own = settings.BACKGROUND_POOL if background else {}
            pool: _Pool = ConnectionPool(
                kwargs={**self.get_connection_params(), "autocommit": True},  # Django sets it as it needs it
                open=False,
                configure=self._configure_connection,  # type: ignore[attr-defined]  # newer than its stubs
                check=check,
                name=name,
                **{**options, **own},
            )
            _pools.setdefault(name, pool)  # of two threads that come first, one makes it
        return _pools[name]

    def close_pool(self) -> None:
        """Close both pools; they are made anew when they are asked for."""
        for background in (False, True):
            pool = _pools.pop(_pool_name(self.alias, background=background), None)
            if pool is not None:
                pool.close()


def _pool_name(alias: str, *, background: bool) -> str:
    return f"{alias}-background" if background else alias
