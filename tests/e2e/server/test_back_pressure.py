"""Back-pressure, limits and draining of the server, with an application that provokes them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.processes import ROOT, free_port, wait_until
from tests.e2e.server.plain_server import CHUNK, CHUNKS, PARTS
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e

Start = Callable[..., "Running"]


class Running:
    """A server process of the test."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.port = free_port()
        self._log = log
        command = [sys.executable, "-m", "tests.e2e.server.plain_server", str(self.port), *arguments]
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "orchestrator.settings"}
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)

    @property
    def text(self) -> str:
        return self._log.read_text()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=HANG_SECONDS)

    def ask(self, path: str) -> socket.socket:
        """Send a request, and read nothing."""
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(30)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return connection


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Running] = []

    def make(*arguments: str) -> Running:
        running = Running(tmp_path / "log", *arguments)
        started.append(running)
        wait_until(lambda: "ready" in running.text or running.process.poll() is not None, what="the server")
        return running

    yield make
    for running in started:
        running.process.kill()
        running.process.wait()


def settled(count: Callable[[], int]) -> int:
    """Return the count once it has stayed the same for a second."""
    last, since = count(), time.monotonic()
    while time.monotonic() - since < 1.0:
        if (now := count()) != last:
            last, since = now, time.monotonic()
        time.sleep(0.05)
    return last


def test_a_client_that_does_not_read_stops_the_application_that_writes(start: Start) -> None:
    server = start()
    with server.ask("/flood") as deaf:
        wait_until(lambda: int(server.get("/").text) > 0, what="the first chunk")
        assert settled(lambda: int(server.get("/").text)) < CHUNKS / 4
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received = received[-16:] + deaf.recv(1 << 20)
    assert int(server.get("/").text) == CHUNKS


def test_small_parts_and_large_ones_arrive_in_order_however_late_a_client_reads(start: Start) -> None:
    server = start()
    with httpx.stream("GET", f"http://127.0.0.1:{server.port}/parts", timeout=HANG_SECONDS) as answer:
        assert 0 < settled(lambda: int(server.get("/").text)) < PARTS
        numbers = [int(line.rstrip("x")) for line in answer.iter_lines() if "x" in line]
    assert numbers == list(range(PARTS))


def test_a_client_that_goes_away_lets_the_application_end(start: Start) -> None:
    server = start()
    with server.ask("/flood"):
        wait_until(lambda: int(server.get("/").text) > 0, what="the first chunk")
    wait_until(lambda: int(server.get("/").text) == CHUNKS, what="the application's end")


def test_a_client_that_does_not_read_does_not_hold_up_the_end(start: Start) -> None:
    server = start()
    with server.ask("/flood"):
        wait_until(lambda: int(server.get("/").text) > 0, what="the first chunk")
        server.process.terminate()
        assert server.process.wait(HANG_SECONDS) == 0, server.text


def test_the_end_waits_for_requests_and_for_the_worker(start: Start) -> None:
    server = start()
    with server.ask("/slow") as first, server.ask("/slow") as second:
        for connection in (first, second):
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        server.process.terminate()
        for connection in (first, second):
            rest = b""
            while data := connection.recv(65536):
                rest += data
            assert rest.endswith(b"1\r\n0\r\n0\r\n\r\n")
    assert server.process.wait(HANG_SECONDS) == 0, server.text
    assert "the worker has ended" in server.text


def test_no_stream_opens_while_the_server_ends(start: Start) -> None:
    server = start()
    with server.ask("/slow") as connection:
        connection.recv(65536)
        server.process.terminate()
        wait_until(lambda: _refused(server.port), what="the refusal")
        assert server.process.poll() is None


def test_a_worker_that_ends_by_itself_ends_the_server_with_an_error(start: Start) -> None:
    server = start("broken")
    assert server.process.wait(HANG_SECONDS) == 1
    assert "broken on purpose" in server.text


def test_an_upgrade_to_a_websocket_is_answered_as_an_ordinary_request(start: Start) -> None:
    server = start()
    answer = httpx.get(
        f"http://127.0.0.1:{server.port}/",
        headers={"Connection": "Upgrade", "Upgrade": "websocket"},
        timeout=HANG_SECONDS,
    )
    assert answer.status_code == 200


def test_an_answer_as_large_as_any_arrives_whole(start: Start) -> None:
    server = start()
    assert len(server.get("/flood").content) == CHUNKS * len(CHUNK) + len(str(CHUNKS))


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except ConnectionRefusedError:
        return True
    return False
