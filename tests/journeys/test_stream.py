"""Streams through real servers: live between processes, and ended cleanly."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import httpx
import pytest

from tests.journeys.processes import ROOT, Machine, start_execution, stream, wait_for_status, wait_until

pytestmark = pytest.mark.journey

CLOSED_BRIEF = (
    "# Tool library\n\nThe city lends 400 tools from 3 branches. The budget is 20,000 EUR, decided by Ms Ode."
)


class Follower(threading.Thread):
    """Reads a stream over a bare socket and keeps what came and how it ended."""

    def __init__(self, machine: Machine, client: httpx.Client, execution_id: str) -> None:
        super().__init__(daemon=True)
        self.received = b""
        self.reset = False
        self._socket = socket.create_connection(("127.0.0.1", machine.port))
        self._socket.sendall(
            f"GET /api/v1/executions/{execution_id}/stream HTTP/1.1\r\nHost: 127.0.0.1:{machine.port}\r\n"
            f"Authorization: {client.headers['Authorization']}\r\n\r\n".encode()
        )

    def run(self) -> None:
        try:
            while data := self._socket.recv(65536):
                self.received += data
        except ConnectionResetError:
            self.reset = True

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    @property
    def ended_cleanly(self) -> bool:
        """Whether the last chunk of the body arrived."""
        return not self.reset and self.received.endswith(b"0\r\n\r\n")


@contextmanager
def following(machine: Machine, client: httpx.Client, execution_id: str, *, count: int) -> Iterator[list[Follower]]:
    followers = [Follower(machine, client, execution_id) for _ in range(count)]
    for each in followers:
        each.start()
    yield followers
    for each in followers:
        each.join(30)
        each.close()


def test_progress_in_a_worker_of_its_own_arrives_live_through_the_web_process(fresh: Machine) -> None:
    fresh.serve("--no-worker")
    with fresh.client() as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        events = stream(client, execution_id)
        assert [name for _, name, _ in islice(events, 1)] == ["execution_created"]
        fresh.start("worker", REHEARSAL_LATENCY_SECONDS="1")
        arrived = [(sequence, name, time.time()) for sequence, name, _ in events]
        assert [sequence for sequence, _, _ in arrived] == list(range(2, len(arrived) + 2))
        assert arrived[-1][1] == "complete"
        started = next(moment for _, name, moment in arrived if name == "step_started")
        # Each reply of the rehearsal takes a second: events that came in one go were not live.
        assert arrived[-1][2] - started > 0.9
        assert client.get(f"/executions/{execution_id}").json()["status"] == "completed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_open_streams_between_two_events_and_the_server_with_0(
    fresh: Machine, number: signal.Signals
) -> None:
    server = fresh.serve(REHEARSAL_LATENCY_SECONDS="1")
    with fresh.client() as client:
        execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
        with following(fresh, client, execution_id, count=5) as followers:
            wait_until(lambda: all(b"event: step_started" in each.received for each in followers), what="events")
            server.send_signal(number)
            assert server.wait(30) == 0, fresh.logs()
        assert [(each.reset, each.received[-40:]) for each in followers if not each.ended_cleanly] == []
        assert all(each.received.startswith(b"HTTP/1.1 200") for each in followers)
        seen = followers[0].received.count(b"\nid: ")
        fresh.serve()
        wait_for_status(client, execution_id, "completed")
        rest = [sequence for sequence, _, _ in stream(client, execution_id, after=seen)]
        assert rest == list(range(seen + 1, seen + 1 + len(rest)))
        assert "Traceback" not in fresh.logs()


def test_requests_under_way_are_answered_before_the_server_ends(fresh: Machine) -> None:
    server = fresh.serve("--no-worker")
    with fresh.client() as client, socket.create_connection(("127.0.0.1", fresh.port)) as slow:
        body = b'{"workflow_id":"vendor-assessment","scope_type":"project","scope_id":"p1","input":"A brief."}'
        slow.sendall(
            b"POST /api/v1/executions/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + f"Authorization: {client.headers['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        server.terminate()
        assert slow.recv(65536).startswith(b"HTTP/1.1 201")
        assert server.wait(30) == 0, fresh.logs()


def test_a_body_over_the_limit_is_refused_before_it_has_been_sent(shared: Machine) -> None:
    with shared.client() as client, socket.create_connection(("127.0.0.1", shared.port)) as connection:
        connection.sendall(
            b"POST /api/v1/executions/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + f"Authorization: {client.headers['Authorization']}\r\nContent-Length: 9000000000\r\n\r\n".encode()
        )
        connection.settimeout(10)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"application/problem+json" in answer


def test_chunks_over_the_limit_are_refused(shared: Machine) -> None:
    with shared.client() as client:
        response = client.post("/executions/", content=(b"x" * 65536 for _ in range(40)))
        assert response.status_code == 413
        assert response.json()["code"] == "too-large"


def test_a_port_that_cannot_be_listened_on_is_a_clear_error(shared: Machine) -> None:
    for port, words in ((str(shared.port), f"Cannot listen on 127.0.0.1:{shared.port}"), ("0", "PORT=0")):
        done = subprocess.run(
            [sys.executable, "manage.py", "serve", "--no-worker", "--port", port],
            cwd=ROOT,
            env=shared._env({}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_a_server_says_when_it_is_ready_and_where(shared: Machine) -> None:
    assert f"ready {shared.url}\n" in shared.logs()


def test_the_access_log_tells_no_query(fresh: Machine) -> None:
    fresh.serve("--no-worker", "--access-log")
    httpx.get(f"{fresh.url}/healthz?secret=hunter2")
    wait_until(lambda: "GET /healthz 200" in fresh.logs(), what="the line in the log")
    assert "hunter2" not in fresh.logs()
