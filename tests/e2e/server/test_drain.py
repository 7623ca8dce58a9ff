"""Shutdown of a web process: open requests end properly, and clients reconnect to another process."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import CLOSED_BRIEF, Machine, machine, start_execution, stream, wait_for_status, wait_until
from tests.e2e.streams.followers import Follower, following
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e

CLIENTS = 20
RARELY = "3600"  # seconds between two runs of recovery: a released execution continues without one


@contextmanager
def no_execution_starts_in(scope: str, installed: Machine) -> Iterator[psycopg.Connection]:
    """Hold the lock that a new execution of a project needs, so that the request waits."""
    held = (
        "SELECT 1 FROM executions_feed AS feed JOIN access_scope AS scope ON scope.id = feed.scope_id"
        " WHERE scope.key = %s FOR UPDATE OF feed"
    )
    with psycopg.connect(instance.url(installed.data_dir)) as connection:
        assert connection.execute(held, [scope]).rowcount == 1
        yield connection
        connection.rollback()


def a_session_waits_in(installed: Machine) -> bool:
    with psycopg.connect(instance.url(installed.data_dir)) as connection:
        waiting = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return waiting is not None and waiting[0] > 0


def cancelled_one(client: httpx.Client, *, key: str) -> None:
    """Have a project with a log of its own, in which nothing happens."""
    execution_id = start_execution(client, CLOSED_BRIEF, key=key)
    assert client.post(f"/executions/{execution_id}/cancel").status_code < 300
    wait_for_status(client, execution_id, "cancelled")


@pytest.mark.parametrize(
    ("either", "number"),
    [
        ("daphne", signal.SIGTERM),
        pytest.param("daphne", signal.SIGINT, marks=pytest.mark.torture),
        pytest.param("uvicorn", signal.SIGTERM, marks=pytest.mark.torture),
    ],
    indirect=["either"],
)
@pytest.mark.torture
def test_a_signal_ends_streams_between_two_events_and_answers_what_is_asked_and_the_work_goes_on_elsewhere(
    either: Machine, number: signal.Signals
) -> None:
    # The worker beside uvicorn works on while the server drains, and must not come to the end of the execution.
    server = either.serve(REHEARSAL_LATENCY_SECONDS="2" if either.server == "daphne" else "30")
    with (
        either.client() as client,
        machine(either.data_dir, server=either.server) as second,
        ThreadPoolExecutor() as another,
    ):
        second.serve("--no-worker")
        cancelled_one(client, key="slow")
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        with following(either, client, execution_id, after=[0] * CLIENTS) as followers:
            wait_until(lambda: all(b"event: step_started" in each.received for each in followers), what="events")
            with no_execution_starts_in("slow", either):
                slow = another.submit(start_execution, client, CLOSED_BRIEF, key="slow")
                wait_until(lambda: a_session_waits_in(either), what="a slow request")
                server.send_signal(number)
                for each in followers:
                    each.join(HANG_SECONDS)
                assert server.poll() is None, "it did not wait for the request"
            assert slow.result(HANG_SECONDS)
            assert server.wait(HANG_SECONDS) == either.exit_code(number), either.logs()
        assert [(each.reset, each.received[-40:]) for each in followers if not each.ended_cleanly] == []
        stop_workers(either)
        rest = go_on_elsewhere(second, execution_id, followers)
        assert "Traceback" not in either.logs()
        assert rest[-1] > followers[0].numbers[-1]


def stop_workers(installed: Machine) -> None:
    """End the worker beside a server that has none in it."""
    for process in installed.processes:
        if process.poll() is None:
            process.terminate()
            assert process.wait(HANG_SECONDS) == 0, installed.logs()


def go_on_elsewhere(second: Machine, execution_id: str, followers: list[Follower]) -> list[int]:
    """Have every client come back, and a worker too; return the numbers that one more client gets afterwards."""
    lasts = [each.numbers[-1] for each in followers]
    with second.client() as client, following(second, client, execution_id, after=lasts) as again:
        second.start("worker", RECOVERY_INTERVAL_SECONDS=RARELY)
        wait_for_status(client, execution_id, "completed")
        whole = [sequence for sequence, _, _ in stream(client, execution_id)]
    assert [(each.reset, each.received[-40:]) for each in again if not each.ended_cleanly] == []
    assert all(before.numbers + after.numbers == whole for before, after in zip(followers, again, strict=True))
    return whole


def test_requests_under_way_are_answered_before_the_server_ends(either: Machine) -> None:
    server = either.serve("--no-worker")
    with either.client() as client, socket.create_connection(("127.0.0.1", either.port)) as slow:
        body = b'{"workflow_id":"vendor-assessment","scope_type":"project","scope_id":"p1","input":"A brief."}'
        slow.sendall(
            b"POST /api/v1/executions/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + f"Authorization: {client.headers['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        server.terminate()
        assert slow.recv(65536).startswith(b"HTTP/1.1 201")
        assert server.wait(HANG_SECONDS) == either.exit_code(signal.SIGTERM), either.logs()
