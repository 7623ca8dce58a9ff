"""Number of database round trips: on a slow link each one adds the latency of the link."""

from __future__ import annotations

import signal
from uuid import uuid4

import httpx
import psycopg
import pytest

from orchestrator.embedded_postgres import instance
from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status, wait_until
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e

START, READ, STEP = 8, 3, 8  # round trips, at most
WORKFLOW, STEPS = "vendor-assessment", 4
LATENCY_SECONDS = 0.02  # so that what is sent in one go counts once
#: Queries of a worker with and without work, and of web processes without requests.
_DUTIES = (
    *(
        "executions_workerheartbeat",
        'resume_at" <=',
        'deadline_at" <=',
        'AS "needs"',
        "WHERE resume_at <=",
        "pg_postmaster_start_time",
        "telemetry_price",
        "telemetry_modellimit",
    ),
    *("procrastinate_update_heartbeat", "abort_requested", "_take_jobs"),
    *("pg_try_advisory_xact_lock", "search IS NULL", "to_tsvector", "title, content FROM", "WITH free AS"),
    *('"executions_execution"."version" AS "version"', "(nothing)", "(connect)"),
)
_RARELY = {  # duties of a worker
    "HEARTBEAT_SECONDS": "60",
    "RECOVERY_INTERVAL_SECONDS": "60",
    "WORKER_SILENT_SECONDS": "300",
}
_BUDGET = """
from telemetry.models import ScopeBudget
from access.models import Scope
for scope in Scope.objects.filter(parent=None):
    ScopeBudget.objects.get_or_create(scope=scope, defaults={"max_cost_usd": 1000})
"""


def counted(link: TcpProxy) -> list[list[str]]:
    """Return the round trips so far, without those of duties."""
    return [trip for trip in link.said() if not any(duty in text for text in trip for duty in _DUTIES)]


def told(trips: list[list[str]]) -> str:
    return "\n".join(
        f"{number} {' '.join(text.split())[:110]}" for number, trip in enumerate(trips, 1) for text in trip
    )


def start(client: httpx.Client, *, key: str | None = None) -> str:
    headers = {} if key is None else {"Idempotency-Key": key}
    with httpx.Client(base_url=client.base_url, headers={**client.headers, **headers}, timeout=HANG_SECONDS) as own:
        return start_execution(own, CLOSED_BRIEF, workflow_id=WORKFLOW)


@pytest.mark.parametrize("budget", [False, pytest.param(True, marks=pytest.mark.torture)])
@pytest.mark.torture
def test_a_start_and_a_read_take_few_round_trips(linked: Machine, link: TcpProxy, budget: bool) -> None:
    linked.serve("--no-worker")
    with linked.client() as client:
        started = start(client)
        if budget:
            linked.manage("shell", "-c", _BUDGET)
        for _ in range(3):  # statements are prepared, and caches filled
            start(client, key=str(uuid4()))
            client.get(f"/executions/{started}")
        link.latency = LATENCY_SECONDS
        for key in (None, str(uuid4())):
            client.get(f"/executions/{started}")  # the limit of a read is taken back
            link.reset_counts()
            start(client, key=key)
            wait_until(lambda: "pg_notify" in told(counted(link)), what="the notification")
            trips = counted(link)
            assert len(trips) <= START, told(trips)
        link.reset_counts()
        assert client.get(f"/executions/{started}").status_code == 200
        trips = counted(link)
        assert 1 < len(trips) <= READ, told(trips)


def completed(machine: Machine, execution_id: str) -> bool:
    """Return whether an execution is completed; it is asked past the link."""
    with psycopg.connect(instance.url(machine.data_dir)) as connection:
        row = connection.execute("SELECT status FROM executions_execution WHERE id = %s", [execution_id]).fetchone()
    return row == ("completed",)


@pytest.mark.parametrize("locked", [False, pytest.param(True, marks=pytest.mark.torture)])
def test_a_step_takes_few_round_trips(linked: Machine, link: TcpProxy, locked: bool) -> None:
    linked.serve("--no-worker")
    worker = linked.start("worker", REHEARSAL_LATENCY_SECONDS="0.2", **_RARELY)
    with linked.client() as client:
        wait_for_status(client, start(client), "completed")
        if locked:  # executions in a scope with a budget are always written under locks
            linked.manage("shell", "-c", _BUDGET)
        for _ in range(2):
            wait_for_status(client, start(client), "completed")
        link.latency = LATENCY_SECONDS
        worker.send_signal(signal.SIGSTOP)
        link.reset_counts()
        execution_id = start(client)
        wait_until(lambda: "pg_notify" in told(counted(link)), what="the notification of the start")
    link.reset_counts()
    worker.send_signal(signal.SIGCONT)
    wait_until(lambda: completed(linked, execution_id), what="the end")
    trips = counted(link)
    assert STEPS < len(trips) <= STEP * STEPS, told(trips)
