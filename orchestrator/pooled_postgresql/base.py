"""Django's PostgreSQL backend with two pools for each process, and a time limit on the statements of reads.

Requests share one pool. The few threads of `executions/db_threads.py`, and so the worker, share the other: requests
that use up their pool keep no worker waiting.
"""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.conf import settings
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from django.db.backends.utils import debug_transaction
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from common.database import deferred_statements
from common.database.connections import Connection
from common.database.pools import drain_when_silent
from common.database.server import probe, server
from common.database.usage import is_background_thread, is_reading
from common.limits import limits

TRUST_SECONDS = 1.5  # a connection that was used a moment ago, as by what comes every second, is not looked at again

_Pool = ConnectionPool[Connection[Any]]

_pools: dict[str, _Pool] = {}
_used: WeakKeyDictionary[Connection[Any], float] = WeakKeyDictionary()  # when it left its pool, on the monotonic clock
_timeouts: WeakKeyDictionary[Connection[Any], int] = WeakKeyDictionary()  # of statements, in seconds; 0: none


def check(connection: Connection[Any]) -> None:
    """See that a connection works as it leaves its pool, and give it the time limit of what it is taken for.

    A limit is set only when it changes, and then in place of the empty query that would show that the connection works:
    neither kind of request waits for the server once more. Now and then a look at the server takes that place. A
    connection that left its pool a moment ago is trusted: if it is lost all the same, the first statement says so.
    Through a pooler there is no session to set a limit in.

    Raises:
        psycopg.Error: the connection is lost.
    """
    wanted = limits().read_statement_seconds if is_reading() and not settings.DATABASE_DIRECT_URL else 0
    trusted = time.monotonic() - _used.get(connection, 0.0) <= TRUST_SECONDS
    _used[connection] = time.monotonic()
    if server.is_due():
        probe(connection)
    elif _timeouts.get(connection, 0) == wanted and not trusted:
        ConnectionPool.check_connection(connection)
    if _timeouts.get(connection, 0) == wanted:
        return
    connection.execute(f"SET statement_timeout = {wanted * 1000:d}" if wanted else "RESET statement_timeout")
    _timeouts[connection] = wanted


class Cursor(deferred_statements.Cursor, base.Cursor):
    """Django's cursor, with whose statements others travel."""


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of one thread, from the pool that fits the thread.

    The server is not waited for at the beginning of a transaction, nor at the beginning and the end of a savepoint.
    """

    def get_connection_params(self) -> dict[str, Any]:
        """Return psycopg's arguments."""
        return {**super().get_connection_params(), "cursor_factory": Cursor}

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a new cursor; one with a name lives on the server, and begins with what is kept."""
        if name:
            deferred_statements.send_deferred(self.connection)
        made = super().create_cursor(name)
        if name:
            # psycopg takes every connection for one that commits by itself. Within a transaction a cursor ends with it.
            made._withhold = self.get_autocommit()  # noqa: SLF001 - Django asks psycopg, and cannot be told
        return made

    def _set_autocommit(self, autocommit: bool) -> None:
        # psycopg would wait for its own BEGIN, also in pipeline mode.
        deferred_statements.drop_all(self.connection)
        super()._set_autocommit(True)  # type: ignore[misc]
        if not autocommit:
            deferred_statements.defer(self.connection, "BEGIN")

    def _savepoint(self, sid: str) -> None:
        deferred_statements.defer(self.connection, self.ops.savepoint_create_sql(sid))

    def _savepoint_commit(self, sid: str) -> None:
        if self.connection.pgconn.transaction_status == TransactionStatus.INERROR:
            super()._savepoint_commit(sid)  # type: ignore[misc]  # it says so
        elif not deferred_statements.drop_last(self.connection, self.ops.savepoint_create_sql(sid)):
            deferred_statements.defer(self.connection, self.ops.savepoint_commit_sql(sid))

    def _savepoint_rollback(self, sid: str) -> None:
        if not deferred_statements.drop_after(self.connection, self.ops.savepoint_create_sql(sid)):
            super()._savepoint_rollback(sid)  # type: ignore[misc]

    def _commit(self) -> None:
        if self.connection is not None:
            with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
                self._commit_whole()

    def _commit_whole(self) -> None:
        try:
            deferred_statements.commit(self.connection)
        except psycopg.Error:
            raise  # Django rolls back
        except Exception:
            self.connection.rollback()  # a parameter of what was kept cannot be sent
            raise

    def _rollback(self) -> None:
        if self.connection is not None:
            deferred_statements.drop_all(self.connection)
        super()._rollback()  # type: ignore[misc]

    def _close(self) -> None:
        if self.connection is not None:
            deferred_statements.drop_all(self.connection)
        super()._close()  # type: ignore[misc]

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
                connection_class=Connection,
                configure=self._configure,
                check=check,
                name=name,
                **{**options, **own},
            )
            drain_when_silent(_pools.setdefault(name, pool))  # of two threads that come first, one makes it
        return _pools[name]

    def _configure(self, connection: Connection[Any]) -> None:
        self._configure_connection(connection)  # type: ignore[attr-defined]  # newer than its stubs
        probe(connection)

    def close_pool(self) -> None:
        """Close both pools; they are made anew when they are asked for."""
        for background in (False, True):
            pool = _pools.pop(_pool_name(self.alias, background=background), None)
            if pool is not None:
                pool.close()


def _pool_name(alias: str, *, background: bool) -> str:
    return f"{alias}-background" if background else alias
