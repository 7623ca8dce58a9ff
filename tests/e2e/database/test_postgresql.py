"""Debian's PostgreSQL, with a role that has rights only in its own database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.cpu import seconds_of
from tests.e2e.processes import Machine, machine, start_execution, stream, wait_until
from tests.e2e.workflows.test_clarification import answer_all
from tests.support.postgresql_servers import Server, Servers

pytestmark = [pytest.mark.e2e, pytest.mark.postgresql]

IDLE_SECONDS = 30.0
IDLE_CORES = 0.04  # of one core; twice what it takes where nothing else runs


@pytest.fixture
def server(postgresql: Servers) -> Server:
    """A server with JIT on, as Debian's are."""
    return postgresql.make(jit="on")


@pytest.fixture
def installed(server: Server, tmp_path: Path) -> Iterator[Machine]:
    """An installation on the server, with its tables and nothing started."""
    with machine(tmp_path / "data", DATABASE_URL=server.url(), LOCAL="1") as made:
        made.prepare()
        yield made


def run_with_questions(client: httpx.Client, brief: str) -> None:
    """Start an execution that asks something, answer it, and see it end; its stream has each event once."""
    execution_id = start_execution(client, brief)
    answer_all(client, execution_id)
    told = list(stream(client, execution_id))
    assert "clarification_answered" in [event for _, event, _ in told]
    numbers = [number for number, _, _ in told]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_role_without_rights_of_a_superuser_migrates_and_runs_everything(
    installed: Machine, server: Server, brief: str
) -> None:
    installed.serve()
    with installed.client() as client:
        run_with_questions(client, brief)
    assert server.execute("SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'owner'") == [
        (False, False, False)
    ]


def test_an_installation_that_has_nothing_to_do_takes_next_to_no_cpu(installed: Machine, server: Server) -> None:
    installed.serve("--no-worker")
    workers = [installed.start("worker") for _ in range(2)]
    registered = "SELECT count(*) FROM executions_workerheartbeat"
    wait_until(lambda: server.execute(registered) == [(len(workers),)], what="two workers")
    time.sleep(10)  # until what a start brings with it is done
    assert server.pid is not None
    pids = [process.pid for process in installed.processes] + [server.pid]
    before, began = seconds_of(*pids), time.monotonic()
    time.sleep(IDLE_SECONDS)
    cores = (seconds_of(*pids) - before) / (time.monotonic() - began)
    assert cores <= IDLE_CORES, f"{cores:.3f} cores"
