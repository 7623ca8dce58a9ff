"""Limits of database use: time of reads, and connections of requests."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from django.db import connection
from django.test import Client
from psycopg.conninfo import timeout_from_conninfo
from psycopg_pool import PoolTimeout
from rest_framework.test import APIClient

from access.user import User
from common.database import server
from common.database.connections import Connection, read_only_request
from common.database.parameters import connection_parameters, direct_parameters
from orchestrator.embedded_postgres import instance
from orchestrator.pooled_postgresql import base
from orchestrator.pooled_postgresql.base import DatabaseWrapper, check
from tests.factories import reports
from tests.factories.callers import Caller
from tests.support.tcp_proxy import tcp_proxy
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[..., APIClient]


@pytest.fixture
def fresh() -> Iterator[None]:
    """Have each request take a connection, as it does in a server."""
    connection.close()
    yield
    connection.close()


@pytest.fixture
def locked() -> Iterator[None]:
    """Have every statement about calls and executions take for ever."""
    with psycopg.connect(**connection_parameters()) as other:
        other.execute("LOCK TABLE telemetry_modelcall, executions_execution IN ACCESS EXCLUSIVE MODE")
        yield


def timeout() -> str:
    """Return the time limit of this thread's statements."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    "path", ["telemetry/summary", "telemetry/summary?group_by=day", "executions/?status=failed", "clarifications/"]
)
def test_a_read_that_the_database_has_no_time_for_is_refused_with_a_sentence(
    api: Api, restrict: Callable[..., None], staff: User, request: pytest.FixtureRequest, path: str
) -> None:
    client = api(staff)
    connection.close()
    restrict(read_statement_seconds=1)
    request.getfixturevalue("locked")
    response = client.get(f"/api/v1/{path}")
    assert (response.status_code, response.json()["code"]) == (503, "read-too-slow")
    assert "shorter time range" in response.json()["detail"]
    assert timeout() == "1s"  # of the connection that the request has used
    connection.close()
    client.post("/api/v1/auth/token", {"username": "nobody", "password": "x"}, format="json")
    assert timeout() == "0"  # the next request writes


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("path", ["/admin/telemetry/modelcall/", "/admin/executions/execution/"])
def test_a_page_that_the_database_has_no_time_for_says_so(
    admin_client: Client, restrict: Callable[..., None], request: pytest.FixtureRequest, path: str
) -> None:
    connection.close()
    restrict(read_statement_seconds=1)
    request.getfixturevalue("locked")
    response = admin_client.get(path)
    assert response.status_code == 503
    assert "The query takes too long." in response.content.decode()


def test_a_request_that_gets_no_connection_is_told_when_to_come_back(api: Api, staff: User) -> None:
    client = api(staff)
    connection.close()
    pool = cast(DatabaseWrapper, connection).pool_of(background=False)
    assert pool is not None
    held = [pool.getconn() for _ in range(pool.max_size)]
    try:
        response = client.get("/api/v1/executions/")
    finally:
        for each in held:
            pool.putconn(each)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert int(response["Retry-After"]) >= 1


class _Slots(threading.BoundedSemaphore):
    """Counts the connections of requests that are in use while a request waits for a slot."""

    in_use: list[int]

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        pool = cast(DatabaseWrapper, connection).pool_of(background=False)
        assert pool is not None
        stats = pool.get_stats()
        self.in_use.append(stats["pool_size"] - stats["pool_available"])
        return super().acquire(blocking, timeout)


@pytest.mark.usefixtures("fresh")
def test_a_download_has_no_connection_while_it_waits_and_renders(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    reports.publish()
    done = reports.finish(reports.start(ada.user))
    slots = _Slots(1)
    slots.in_use = []
    monkeypatch.setattr("documents.rendering.limited_process._slots", lambda: slots)
    monkeypatch.setattr("documents.downloads.SMALL", 10)
    for path in (f"executions/{done.id}/export", f"documents/{done.steps['research'].document_id}"):
        assert ada.get(f"/{path}?format=pdf").status_code == 200
    assert slots.in_use == [0, 0]


def test_the_time_limit_is_set_when_it_changes_and_costs_no_statement_more(
    restrict: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PROBE_INTERVAL_SECONDS", math.inf)
    restrict(read_statement_seconds=7)
    with (
        Connection.connect(**connection_parameters(), autocommit=True) as own,
        (tmp_path / "trace").open("wb") as trace,
    ):
        own.pgconn.trace(trace.fileno())
        for is_read in (True, True, True, False, False, True):
            with read_only_request() if is_read else nullcontext():
                check(own)
        own.pgconn.untrace()
    sent = [line for line in (tmp_path / "trace").read_text().splitlines() if "\tF\t" in line and "Query" in line]
    assert ["SET" in line for line in sent] == [True] * 3  # in between the connection is trusted


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(lambda: connection.get_connection_params(), id="a request's, or a worker's"),
        pytest.param(connection_parameters, id="a stream's, or a job's"),
        pytest.param(direct_parameters, id="a listener's, or the journal's"),
    ],
)
def test_a_connection_that_is_being_made_waits_for_seconds_not_for_minutes(
    parameters: Callable[[], dict[str, Any]],
) -> None:
    known = {name: value for name, value in parameters().items() if name == "connect_timeout"}
    assert timeout_from_conninfo(known) == 10


def test_when_one_connection_says_nothing_the_others_are_not_waited_for_in_turn(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(base, "TRUST_SECONDS", 0.0)
    with ExitStack() as stack:
        link = stack.enter_context(tcp_proxy(instance.socket_dir(settings.DATA_DIR) / instance.SOCKET))
        where = {**connection.settings_dict, "HOST": "127.0.0.1", "PORT": str(link.port)}
        wrapper = DatabaseWrapper(where, alias="behind-a-proxy")
        stack.callback(wrapper.close_pool)
        pool = wrapper.pool_of(background=False)
        assert pool is not None
        pool.open()
        held = [pool.getconn(timeout=HANG_SECONDS) for _ in range(4)]
        for each in held:
            pool.putconn(each)
        settings.DATABASE_WAIT_SECONDS = 1.0
        link.silence = True
        with pytest.raises(PoolTimeout):
            pool.getconn(timeout=0.1)
        link.silence = False
        settings.DATABASE_WAIT_SECONDS = HANG_SECONDS
        assert [each.closed for each in held] == [True] * 4
        with pool.connection(timeout=HANG_SECONDS) as new:
            assert new.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_is_looked_at_unless_it_was_used_a_moment_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PROBE_INTERVAL_SECONDS", math.inf)
    with Connection.connect(**connection_parameters(), autocommit=True) as own, own.cursor() as cursor:
        check(own)
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone() or [0]
        with psycopg.connect(**connection_parameters(), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        check(own)  # trusted: its first statement says that it is lost
        monkeypatch.setattr(base, "TRUST_SECONDS", 0.0)
        with pytest.raises(psycopg.OperationalError):
            check(own)
