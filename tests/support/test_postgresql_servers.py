"""The PostgreSQL servers for fault tests, and the product's tables on each."""

from __future__ import annotations

import psycopg
import pytest

from tests.e2e.processes import wait_until
from tests.support.postgresql_servers import Servers, url_of

pytestmark = pytest.mark.postgresql


def test_a_role_without_rights_of_a_superuser_owns_the_database(postgresql: Servers) -> None:
    server = postgresql.make()
    with server.connect() as connection:
        connection.execute("CREATE TABLE made (number integer)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("ALTER SYSTEM SET jit = off")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url().replace("correct", "wrong"))


def test_a_server_that_stops_at_once_keeps_what_was_committed(postgresql: Servers) -> None:
    server = postgresql.make()
    server.execute("CREATE TABLE made AS SELECT 1 AS number")
    server.restart(immediately=True)
    assert server.execute("SELECT number FROM made") == [(1,)]


def test_a_primary_can_be_made_to_refuse_writes(postgresql: Servers) -> None:
    server = postgresql.make()
    server.read_only()
    with server.connect() as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE made (number integer)")
    server.read_only(False)
    with server.connect() as connection:
        connection.execute("CREATE TABLE made (number integer)")


@pytest.mark.parametrize("synchronous", [False, True])
def test_a_replica_follows_and_takes_over(postgresql: Servers, synchronous: bool) -> None:
    primary = postgresql.make()
    replica = postgresql.replica(primary, synchronous=synchronous)
    primary.execute("CREATE TABLE made AS SELECT 1 AS number")
    wait_until(lambda: replica.execute("SELECT to_regclass('made') IS NOT NULL") == [(True,)], what="the table")
    with replica.connect() as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("DELETE FROM made")
    primary.stop(immediately=True)
    replica.promote()
    with psycopg.connect(url_of([primary, replica], target_session_attrs="read-write")) as connection:
        assert connection.info.port == replica.port
