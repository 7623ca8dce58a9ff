"""Django's PostgreSQL backend with two pools per process, and a statement timeout for read-only requests.

Requests share one pool. The threads of `executions/db_threads.py`, and so the worker, share the other: requests that
exhaust their pool do not block the worker.
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
from common.database.connections import Connection, is_background_thread, is_reading
from common.database.pools import drain_when_silent
from common.database.server import probe, server
from common.limits import limits

TRUST_SECONDS = 1.5  # a connection that left the pool more recently is not checked again

_Pool = ConnectionPool[Connection[Any]]

_pools: dict[str, _Pool] = {}
_used: WeakKeyDictionary[Connection[Any], float] = (
    WeakKeyDictionary()
)  # when it last left its pool, on the monotonic clock
_timeouts: WeakKeyDictionary[Connection[Any], int] = WeakKeyDictionary()  # statement timeouts in seconds; 0: none


def check(connection: Connection[Any]) -> None:
    """Check a connection as it leaves its pool, and set its statement timeout.

    The timeout is set only if it changes; that statement then replaces the empty query of the check, so that no request
    needs an extra round trip. Periodically a probe of the server replaces it. A connection that left its pool recently
    is not checked: if it is lost, the first statement fails. Behind a transaction pooler no timeout is set.

    Raises:
        psycopg.Error: the connection is lost.
    """
    wanted = limits().read_statement_seconds if is_reading() and not settings.DATABASE_DIRECT_URL else 0
    is_trusted = time.monotonic() - _used.get(connection, 0.0) <= TRUST_SECONDS
    _used[connection] = time.monotonic()
    if server.is_due():
        probe(connection)
    elif _timeouts.get(connection, 0) == wanted and not is_trusted:
        ConnectionPool.check_connection(connection)
    if _timeouts.get(connection, 0) == wanted:
        return
    connection.execute(f"SET statement_timeout = {wanted * 1000:d}" if wanted else "RESET statement_timeout")
    _timeouts[connection] = wanted


class Cursor(deferred_statements.Cursor, base.Cursor):
    """Django's cursor, which also sends deferred statements."""


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of one thread, from the request pool or the background pool.

    BEGIN and the statements of savepoints are deferred: they need no round trip of their own.
    """

    def get_connection_params(self) -> dict[str, Any]:
        """Return the arguments of psycopg."""
        return {**super().get_connection_params(), "cursor_factory": Cursor}

    def create_cursor(self, name: str | None = None) -> Any:
        """Return a new cursor; a named cursor is server-side, and sends the deferred statements first."""
        if name:
            deferred_statements.send_deferred(self.connection)
        cursor = super().create_cursor(name)
        if name:
            # psycopg sees an autocommit connection, because BEGIN is deferred. A transaction needs no WITH HOLD.
            cursor._withhold = self.get_autocommit()  # noqa: SLF001 - there is no public way
        return cursor

    def _set_autocommit(self, autocommit: bool) -> None:
        # psycopg's own BEGIN costs a round trip, even in pipeline mode.
        deferred_statements.drop_all(self.connection)
        super()._set_autocommit(True)  # type: ignore[misc]
        if not autocommit:
            deferred_statements.defer(self.connection, "BEGIN")

    def _savepoint(self, sid: str) -> None:
        deferred_statements.defer(self.connection, self.ops.savepoint_create_sql(sid))

    def _savepoint_commit(self, sid: str) -> None:
        if self.connection.pgconn.transaction_status == TransactionStatus.INERROR:
            super()._savepoint_commit(sid)  # type: ignore[misc]  # raises the error
        elif not deferred_statements.drop_last(self.connection, self.ops.savepoint_create_sql(sid)):
            deferred_statements.defer(self.connection, self.ops.savepoint_commit_sql(sid))

    def _savepoint_rollback(self, sid: str) -> None:
        if not deferred_statements.drop_after(self.connection, self.ops.savepoint_create_sql(sid)):
            super()._savepoint_rollback(sid)  # type: ignore[misc]

    def _commit(self) -> None:
        if self.connection is not None:
            with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
                self._commit_with_deferred()

    def _commit_with_deferred(self) -> None:
        try:
            deferred_statements.commit(self.connection)
        except psycopg.Error:
            raise  # Django rolls back
        except Exception:
            self.connection.rollback()  # a parameter of a deferred statement cannot be adapted
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
        """The pool of the current thread; None: connections are not pooled."""
        return self.pool_of(background=is_background_thread())

    def pool_of(self, *, background: bool) -> _Pool | None:
        """Return one of the two pools, created on first use; None: connections are not pooled."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        name = _pool_name(self.alias, background=background)
        if name not in _pools:
            own = settings.BACKGROUND_POOL if background else {}
            pool: _Pool = ConnectionPool(
                kwargs={**self.get_connection_params(), "autocommit": True},  # Django changes it as needed
                open=False,
                connection_class=Connection,
                configure=self._configure,
                check=check,
                name=name,
                **{**options, **own},
            )
            drain_when_silent(_pools.setdefault(name, pool))  # atomic: concurrent threads use the same pool
        return _pools[name]

    def _configure(self, connection: Connection[Any]) -> None:
        self._configure_connection(connection)  # type: ignore[attr-defined]  # missing in the stubs
        probe(connection)

    def close_pool(self) -> None:
        """Close both pools; the next use creates new ones."""
        for background in (False, True):
            pool = _pools.pop(_pool_name(self.alias, background=background), None)
            if pool is not None:
                pool.close()


def _pool_name(alias: str, *, background: bool) -> str:
    return f"{alias}-background" if background else alias
