"""A database that is read-only or does not respond for a while: all work continues afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, stream, wait_for_status, wait_until
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e


def take_changes(machine: Machine, *, wanted: bool) -> None:
    """Have the database of an installation refuse all changes, or take them again; also from who is connected."""
    with psycopg.connect(instance.url(machine.data_dir), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'off' if wanted else 'on'}")
        connection.execute("SELECT pg_reload_conf()")


def refusal_of_a_start(client: httpx.Client) -> httpx.Response | None:
    """Try to start an execution; return the answer if it is a refusal."""
    body = {"workflow_id": "meeting-minutes", "scope_type": "project", "scope_id": "refused", "input": CLOSED_BRIEF}
    answer = client.post("/executions/", json=body)
    return None if answer.status_code == 201 else answer


@pytest.mark.torture
def test_a_database_that_takes_no_changes_for_a_while_ends_nothing(fresh: Machine) -> None:
    process = fresh.serve(REHEARSAL_LATENCY_SECONDS="0.5")
    with fresh.client() as client:
        ids = [start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key=f"p{n}") for n in range(5)]
        take_changes(fresh, wanted=False)
        refused = wait_until(lambda: refusal_of_a_start(client), what="a refusal")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert "read-only now" in refused.json()["detail"]
        ready = httpx.get(f"{fresh.url}/readyz", timeout=HANG_SECONDS)
        assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "read-only")
        wait_until(
            lambda: "the database is unavailable; the journal is retried" in fresh.logs(), what="that a worker waits"
        )
        take_changes(fresh, wanted=True)
        for each in ids:
            wait_for_status(client, each, "completed")
        start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key="after")
    assert process.poll() is None


@pytest.mark.torture
def test_a_database_that_does_not_answer_for_a_while_ends_nothing(linked: Machine, link: TcpProxy) -> None:
    settings = {"DATABASE_WAIT_SECONDS": "2", "REHEARSAL_LATENCY_SECONDS": "0.5"}
    started = [linked.serve("--no-worker", **settings), *(linked.start("worker", **settings) for _ in range(2))]
    with linked.client() as client, linked.client() as other, ThreadPoolExecutor(1) as threads:
        ids = [start_execution(client, CLOSED_BRIEF, workflow_id="meeting-minutes", key=f"p{n}") for n in range(8)]
        following = threads.submit(lambda: list(stream(other, ids[0])))
        wait_for_status(client, ids[0], "running")
        link.silence = True
        wait_until(lambda: "The listener lost its connection" in linked.logs(), what="that the web process gives up")
        wait_until(lambda: linked.logs().count("the database is unavailable") > 2, what="that the workers give up")
        link.silence = False
        for each in ids:
            wait_for_status(client, each, "completed")
        events = following.result(HANG_SECONDS)
    assert [number for number, *_ in events] == list(range(1, len(events) + 1))
    assert [each.poll() for each in started] == [None] * 3
