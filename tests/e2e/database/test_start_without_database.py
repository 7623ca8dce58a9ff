"""Processes start while the database is unavailable: they log that, and continue when it is available."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.processes import Machine, free_port, machine, wait_until
from tests.support.postgresql_servers import Server, Servers

pytestmark = pytest.mark.e2e

Start = Callable[[Machine], "subprocess.Popen[bytes]"]

PUSHPIN = "http://127.0.0.1:9/?verify-key=a-key-of-32-bytes-or-more"
WAITING = 3.0  # seconds for which a process has to stand by, at least
AT_ONCE = 5.0  # seconds within which SIGTERM ends a process that only waits
STARTS: dict[str, Start] = {
    "worker": lambda installed: installed.start("worker"),
    "serve": lambda installed: installed.start("serve"),
    "serve-alone": lambda installed: installed.start("serve", "--no-worker"),
    "uvicorn": lambda installed: installed.start_web("--no-worker"),
    "relay": lambda installed: installed.start("relay", GRIP_URL=PUSHPIN),
}
OFTEN = {"serve"}  # the others start in the same way
started = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in OFTEN else pytest.mark.torture) for name in STARTS]
)


def installation(folder: Path, name: str, url: str) -> Machine:
    """Return an installation on a database, nothing started."""
    server = "uvicorn" if name == "uvicorn" else "daphne"
    return Machine(folder, server=server, environment={"DATABASE_URL": url, "LOCAL": "1"})


@pytest.fixture
def nowhere(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Machine, int]]:
    """An installation whose database is not there, and the port on which it is not."""
    port = free_port()
    name = request.getfixturevalue("name")
    installed = installation(tmp_path / "data", name, f"postgresql://u:secret@127.0.0.1:{port}/scriptorium")
    yield installed, port
    installed.stop()


@started
def test_it_says_what_it_waits_for_and_ends_on_sigterm(nowhere: tuple[Machine, int], name: str) -> None:
    installed, port = nowhere
    process = STARTS[name](installed)
    wait_until(lambda: process.poll() is not None or f"port {port}" in installed.logs(), what="its word", seconds=60)
    began = time.monotonic()
    while time.monotonic() - began < WAITING:
        assert process.poll() is None, installed.logs()
        time.sleep(0.1)
    assert f"port {port}" in installed.logs()
    assert "secret" not in installed.logs()
    process.send_signal(signal.SIGTERM)
    assert process.wait(AT_ONCE) == installed.exit_code(signal.SIGTERM)


@pytest.mark.postgresql
@pytest.mark.parametrize("name", ["worker", "serve"])
def test_it_goes_on_once_the_database_is_there(postgresql: Servers, tmp_path: Path, name: str) -> None:
    server = postgresql.make()
    with machine(tmp_path / "data", DATABASE_URL=server.url(), LOCAL="1") as installed:
        installed.prepare()
        server.stop()
        process = STARTS[name](installed)
        wait_until(lambda: process.poll() is not None or f"port {server.port}" in installed.logs(), what="its word")
        server.start()
        wait_until(lambda: _registered(server) or process.poll() is not None, what="a worker")
        assert process.poll() is None, installed.logs()
        if name == "serve":
            assert httpx.get(f"{installed.url}/readyz").status_code == 200


def _registered(server: Server) -> bool:
    return server.execute("SELECT count(*) FROM executions_workerheartbeat") == [(1,)]
