"""A dry run on real processes with every scripted failure, while a worker is killed."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, wait_for_status, wait_until
from tests.support.waiting import HANG_SECONDS

pytestmark = pytest.mark.e2e

SCRIPT: dict[str, Any] = {
    "latency_seconds": 0.3,
    "steps": {
        "discovery": {"ask": [{"text": "Who decides?"}], "fail": ["timed_out"]},
        "requirements": {"invalid": 1, "latency_seconds": 3},
    },
}


@pytest.mark.torture
def test_a_scripted_dry_run_survives_its_worker_and_leaves_the_scope_as_it_was(fresh: Machine) -> None:
    fresh.environment |= {"WORKER_SILENT_SECONDS": "3", "RECOVERY_INTERVAL_SECONDS": "1", "HEARTBEAT_SECONDS": "0.5"}
    fresh.serve("--no-worker")
    worker = fresh.start("worker")
    with fresh.client() as client:
        body = {"workflow_id": "strategy-document", "scope_type": "project", "scope_id": "p1", "input": CLOSED_BRIEF}
        started = client.post("/executions/", json={**body, "dry_run": True, "rehearsal": SCRIPT}).json()
        execution_id = started["execution_id"]
        wait_for_status(client, execution_id, "waiting")
        path = f"/executions/{execution_id}/steps"
        assert client.post(f"{path}/discovery/clarification", json={"answers": {"Who decides?": "Ms Ode"}}).is_success
        wait_until(
            lambda: client.get(path).json()["data"][1]["status"] in {"running", "remediating"}, what="the second step"
        )
        worker.send_signal(signal.SIGKILL)
        worker.wait(HANG_SECONDS)
        fresh.start("worker")
        ended = wait_for_status(client, execution_id, "completed")
        costs = client.get(f"/telemetry/executions/{execution_id}/costs").json()
        documents = client.get("/documents/", params={"execution_id": execution_id}).json()["data"]
        mine = client.get("/documents/", params={"scope_type": "project", "scope_id": "p1"}).json()["data"]
        summary = client.get("/telemetry/summary").json()
    assert (ended["dry_run"], ended["rehearsal"], ended["cost_usd"]) == (True, True, "0.0000000000")
    assert len(documents) == 4
    assert {each["scope_type"] for each in documents} == {"dry-run"}
    assert mine == []
    assert summary["totals"]["calls"] == 0
    kinds = {
        step["step_id"]: [(each["attempt"], call["kind"]) for each in step["attempts"] for call in each["calls"]]
        for step in costs["steps"]
    }
    assert kinds["discovery"] == [(1, "generate"), (1, "generate"), (2, "clarify")]
    assert sorted(set(kinds["requirements"])) == [(1, "generate"), (2, "remediate")]
