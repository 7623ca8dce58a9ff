"""A repeated start request: during the first one, after it, and after its process was killed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import httpx
import psycopg
import pytest

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import CLOSED_BRIEF, Machine, wait_until
from tests.e2e.server.test_drain import a_session_waits_in, cancelled_one, no_execution_starts_in

pytestmark = pytest.mark.e2e

KEY = {"Idempotency-Key": "one-start"}
BODY = {"workflow_id": "meeting-minutes", "scope_type": "project", "scope_id": "p1", "input": CLOSED_BRIEF}


def executions(installed: Machine) -> int:
    with psycopg.connect(instance.url(installed.data_dir)) as connection:
        found = connection.execute("SELECT count(*) FROM executions_execution WHERE status <> 'cancelled'").fetchone()
    assert found is not None
    return int(found[0])


@contextmanager
def under_way(installed: Machine, client: httpx.Client) -> Iterator[None]:
    """Send a start whose transaction stays open meanwhile."""
    with ThreadPoolExecutor(1) as pool, no_execution_starts_in("p1", installed):
        sent = pool.submit(client.post, "/executions/", json=BODY, headers=KEY)
        wait_until(lambda: a_session_waits_in(installed), what="the request")
        yield
    assert sent.exception() is not None or sent.result().status_code == 201


@pytest.mark.torture
def test_a_start_that_is_sent_again_while_the_first_is_under_way_waits_for_it(fresh: Machine) -> None:
    fresh.serve("--no-worker")
    with fresh.client() as client, fresh.client() as impatient:
        cancelled_one(client, key="p1")
        with under_way(fresh, client):
            refused = impatient.post("/executions/", json=BODY, headers=KEY)
            assert (refused.status_code, refused.json()["code"]) == (409, "idempotency-key-busy")
            assert refused.headers["Retry-After"] == "1"
        again = impatient.post("/executions/", json=BODY, headers=KEY)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert executions(fresh) == 1


@pytest.mark.torture
def test_twenty_starts_at_once_start_one_execution_though_the_web_process_is_killed(fresh: Machine) -> None:
    process = fresh.serve("--no-worker")

    def send(client: httpx.Client) -> httpx.Response:
        """Send the start until it has an answer, as a careful client does."""
        while True:
            try:
                response = client.post("/executions/", json=BODY, headers=KEY)
            except httpx.TransportError:
                wait_until(lambda: is_there(fresh), what="the web process")
                continue
            if response.status_code not in {409, 503}:
                return response
            Event().wait(float(response.headers["Retry-After"]))

    with fresh.client() as client, ThreadPoolExecutor(20) as pool:
        cancelled_one(client, key="p1")
        with no_execution_starts_in("p1", fresh):
            sent = [pool.submit(send, client) for _ in range(20)]
            wait_until(lambda: a_session_waits_in(fresh), what="a request that is under way")
            process.kill()
            process.wait()
        fresh.serve("--no-worker")
        answers = [each.result() for each in sent]
    assert {each.status_code for each in answers} == {201}
    assert len({each.json()["execution_id"] for each in answers}) == 1
    assert sum("Idempotency-Replayed" not in each.headers for each in answers) <= 1
    assert executions(fresh) == 1


def is_there(installed: Machine) -> bool:
    try:
        return httpx.get(f"{installed.url}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.torture
def test_a_start_whose_process_is_killed_is_neither_lost_nor_doubled(fresh: Machine, committed: bool) -> None:
    process = fresh.serve("--no-worker")
    with fresh.client() as client:
        cancelled_one(client, key="p1")
        if committed:
            assert client.post("/executions/", json=BODY, headers=KEY).status_code == 201
            process.kill()
        else:
            with under_way(fresh, client):
                process.kill()
                process.wait()
    process.wait()
    fresh.serve("--no-worker")

    def sent() -> httpx.Response | None:
        with fresh.client() as client:
            response = client.post("/executions/", json=BODY, headers=KEY)
        return None if response.status_code == 409 else response

    again = wait_until(sent, what="the answer")
    assert again.status_code == 201
    if committed:
        assert again.headers["Idempotency-Replayed"] == "true"
    assert executions(fresh) == 1
