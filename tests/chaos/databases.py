"""The databases that a chaos run can use, and their faults: the embedded server, or an installed PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import wait_until
from tests.support.postgresql_servers import Server, Servers, servers, url_of
from tests.support.tcp_proxy import TcpProxy, tcp_proxy

#: Undoes something, if there is something to undo, and returns whether all is well again. It is asked until it is.
Heal = Callable[[], bool]

DROP_CONNECTIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_IS_SYNCHRONOUS = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'"


class Database(Protocol):
    """What the processes of a run use, and what may happen to it. What cannot be done right now returns None."""

    name: str
    environment: dict[str, str]

    def is_whole(self) -> bool:
        """Return whether nothing is missing: it runs, and so does its replica, if it has one."""
        ...

    def end(self, number: signal.Signals) -> Heal | None:
        """Send its first process SIGKILL, or SIGQUIT: an immediate shutdown."""
        ...

    def drop_connections(self) -> Heal | None:
        """End every connection of a client."""
        ...


class Embedded:
    """The embedded PostgreSQL of a data directory. Its watchdog starts it again."""

    def __init__(self, data_dir: Path) -> None:
        """Name it; the first process that uses it starts it."""
        self.name = "the embedded PostgreSQL"
        self.environment: dict[str, str] = {}
        self._data_dir = data_dir

    def is_whole(self) -> bool:
        """Return whether it answers."""
        try:
            psycopg.connect(instance.url(self._data_dir), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def end(self, number: signal.Signals) -> Heal | None:
        """Send its first process a signal."""
        note = instance.home_of(self._data_dir) / "data" / "postmaster.pid"
        try:
            os.kill(int(note.read_text().splitlines()[0]), number)
        except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
            return None  # it is being started again
        return self.is_whole

    def drop_connections(self) -> Heal | None:
        """End every connection of a client."""
        try:
            with psycopg.connect(instance.url(self._data_dir), connect_timeout=2) as connection:
                connection.execute(DROP_CONNECTIONS)
        except psycopg.OperationalError:
            return None
        return lambda: True


class Installed:
    """An installed PostgreSQL with a synchronous replica. A proxy stands before each; their ports never change.

    Repairs take seconds. A thread does them, one after the other, as an operator or an init system would.
    """

    def __init__(self, made: Servers, proxies: tuple[TcpProxy, TcpProxy], operator: ThreadPoolExecutor) -> None:
        """Make the two servers."""
        self._servers, self._proxies, self._operator = made, proxies, operator
        self._replicas = 0
        self._primary = made.make(max_connections="200", wal_retrieve_retry_interval="2s")
        self._replica = self._new_replica()
        for proxy, server in zip(proxies, (self._primary, self._replica), strict=True):
            proxy.target = ("127.0.0.1", server.port)
        version = self._primary.execute("SHOW server_version")[0][0]
        self.name = f"PostgreSQL {version} with a synchronous replica"
        url = url_of(proxies, target_session_attrs="read-write", connect_timeout="3")
        self.environment = {"DATABASE_URL": url, "LOCAL": "1", "DATABASE_WAIT_SECONDS": "4"}

    def is_whole(self) -> bool:
        """Return whether the primary answers, and its commits wait for the replica."""
        try:
            return bool(self._primary.execute(_IS_SYNCHRONOUS))
        except psycopg.OperationalError:
            return False

    def end(self, number: signal.Signals) -> Heal | None:
        """End the primary, and have it started again."""
        if number == signal.SIGKILL:
            self._primary.kill()
        else:
            self._primary.stop(immediately=True)
        return self._repair(self._primary.start)

    def drop_connections(self) -> Heal | None:
        """End every connection of a client."""
        self._primary.execute(DROP_CONNECTIONS)
        return self.is_whole

    def take_no_changes(self) -> Heal | None:
        """Have transactions refuse to write by default, until it is healed."""
        self._primary.read_only()

        def take_changes() -> bool:
            self._primary.read_only(False)
            return True

        return take_changes

    def fall_silent(self) -> Heal | None:
        """Have the proxies take everything and answer nothing. Connections of that time stay silent for ever."""
        for proxy in self._proxies:
            proxy.silence = True

        def speak() -> bool:
            for proxy in self._proxies:
                proxy.silence = False
            return True

        return speak

    def fail_over(self) -> Heal | None:
        """Have the primary crash and the replica take over; a new replica comes up at the old primary's address."""
        old, self._primary = self._primary, self._replica
        old.stop(immediately=True)
        address = next(proxy for proxy in self._proxies if proxy.target == ("127.0.0.1", old.port))

        def take_over() -> None:
            self._primary.promote()
            self._primary.change(synchronous_standby_names="")
            self._replica = self._new_replica()
            address.target = ("127.0.0.1", self._replica.port)
            shutil.rmtree(old.data)

        return self._repair(take_over)

    def _new_replica(self) -> Server:
        self._replicas += 1
        return self._servers.replica(self._primary, name=f"replica_{self._replicas}", synchronous=True)

    def _repair(self, work: Callable[[], None]) -> Heal:
        """Have the operator do something, and wait until commits wait for the replica again."""

        def repair() -> None:
            work()
            wait_until(self.is_whole, what="that commits wait for the replica")

        done = self._operator.submit(repair)

        def heal() -> bool:
            if done.done():
                done.result()
            return done.done()

        return heal


@contextmanager
def installed() -> Iterator[Installed]:
    """Provide an installed PostgreSQL with its replica, and remove both afterwards."""
    with (
        servers() as made,
        ThreadPoolExecutor(1, "operator") as operator,
        tcp_proxy(("127.0.0.1", 0)) as first,
        tcp_proxy(("127.0.0.1", 0)) as second,
    ):
        yield Installed(made, (first, second), operator)
