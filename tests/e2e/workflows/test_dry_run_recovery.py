"""Two dry runs of one script, one with repeatedly killed workers: both have the same outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, wait_for_status, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.torture]

SCHEMA = {
    "type": "object",
    "required": ["title", "points"],
    "properties": {"title": {"type": "string"}, "points": {"type": "array", "items": {"type": "string"}}},
}
STEP = {"role": "writer", "task": "Write.", "output_schema": SCHEMA, "model": "openai:gpt-5", "fallbacks": ["no:such"]}
WORKFLOW = {
    "id": "tried",
    "name": "Tried",
    "description": "Uses models of providers without an API key.",
    "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
    "steps": [
        {
            **STEP,
            "id": "plan",
            "name": "Plan",
            "produces": "plan",
            "clarification": {},
            "retries": {"base_seconds": 0},
            "review": {"rubric": "Is it short?", "model": "anthropic:claude-sonnet-4-5"},
        },
        {**STEP, "id": "summary", "name": "Summary", "produces": "summary", "inputs": ["plan"]},
    ],
}
SCRIPT: dict[str, Any] = {
    "latency_seconds": 1,
    "steps": {
        "plan": {
            "fail": ["provider_unavailable", "model_refused"],
            "ask": [{"text": "Which ferry?", "answer_type": "number", "minimum": 1}],
            "invalid": 1,
            "verdicts": ["needs_revision", "satisfied"],
        }
    },
}
COMMITTED = [
    ("plan", 2, "generate"),
    ("plan", 3, "clarify"),
    ("plan", 4, "remediate"),
    ("plan", 4, "review"),
    ("plan", 5, "remediate"),
    ("plan", 5, "review"),
    ("summary", 1, "generate"),
]


def calls(client: httpx.Client, execution_id: str) -> list[tuple[str, int, str, str]]:
    """Return all calls, as (step, attempt, kind, status)."""
    costs = client.get(f"/telemetry/executions/{execution_id}/costs").json()
    return [
        (step["step_id"], each["attempt"], call["kind"], call["status"])
        for step in costs["steps"]
        for each in step["attempts"]
        for call in each["calls"]
    ]


def wait_for_call(client: httpx.Client, execution_id: str, *call: object) -> None:
    """Wait until there is such a call."""
    wait_until(lambda: call in calls(client, execution_id), what=f"the call {call}")


def begin(client: httpx.Client, key: str) -> str:
    """Start the dry run, see it fail, open it again and answer what it asks; return its id."""
    body = {"workflow_id": "tried", "scope_type": "project", "scope_id": key, "input": CLOSED_BRIEF}
    started = client.post("/executions/", json={**body, "dry_run": True, "rehearsal": SCRIPT})
    assert started.status_code == 201, started.text
    execution_id = str(started.json()["execution_id"])
    failed = wait_for_status(client, execution_id, "failed")
    assert failed["error"]["code"] == "model_refused"
    assert client.post(f"/executions/{execution_id}/retry").is_success
    wait_for_status(client, execution_id, "waiting")
    path = f"/executions/{execution_id}/steps/plan/clarification"
    assert client.post(path, json={"answers": {"Which ferry?": 0}}).status_code == 422
    assert client.post(path, json={"answers": {"Which ferry?": 2}}).is_success
    return execution_id


def written(client: httpx.Client, execution_id: str) -> list[Any]:
    """Return what the documents say."""
    found = client.get("/documents/", params={"execution_id": execution_id}).json()["data"]
    assert all(each["rehearsal"] for each in found)
    return [client.get(f"/documents/{each['id']}").json()["content"] for each in found]


def test_a_dry_run_whose_workers_are_killed_does_what_another_does(fresh: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "catalog" / "tried"
    folder.mkdir(parents=True)
    (folder / "workflow.yaml").write_text(json.dumps(WORKFLOW), encoding="utf-8")
    fresh.environment |= {"WORKER_SILENT_SECONDS": "2", "RECOVERY_INTERVAL_SECONDS": "0.5", "HEARTBEAT_SECONDS": "0.5"}
    fresh.serve("--no-worker")
    fresh.manage("load_catalog", "--catalog", str(folder.parent))
    worker = fresh.start("worker")
    with fresh.client() as client:
        whole = begin(client, "whole")
        wait_for_status(client, whole, "completed")
        broken = begin(client, "broken")
        for lost in (("plan", 3, "clarify"), ("plan", 4, "review")):
            wait_for_call(client, broken, *lost, "pending")
            worker.kill()
            worker.wait()
            worker = fresh.start("worker")
            wait_for_call(client, broken, *lost, "unknown")
        wait_for_status(client, broken, "completed")
        for execution_id in (whole, broken):
            assert [each[:3] for each in calls(client, execution_id) if each[3] == "committed"] == COMMITTED
        assert written(client, whole) == written(client, broken)
        assert client.get("/telemetry/workflows/tried/stats").json()["executions"] == 0
