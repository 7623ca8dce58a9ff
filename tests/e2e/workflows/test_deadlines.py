"""Unanswered questions on real processes: workers apply the deadline, also after all processes were down."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.processes import STOP_SECONDS, Machine, start_execution, wait_for_status, wait_until
from tests.e2e.providers.test_providers import asking
from tests.factories.engine import SCHEMA
from tests.integration.llm import wire_formats
from tests.integration.llm.model_server import Answer

pytestmark = pytest.mark.e2e

QUESTION = {"text": "How many boats?", "answer_type": "number", "minimum": 1, "integer": True, "default": 17}
ASKS = Answer(streamed=wire_formats.completion("ask_clarification", {"questions": [QUESTION]}))
SECONDS = 3.0


def publish(machine: Machine, folder: Path, *policies: str) -> None:
    """Publish a workflow for each policy, which is its name, too."""
    for on_deadline in policies:
        step = {
            **{"id": "one", "name": "One", "role": "writer", "task": "Write.", "produces": "one"},
            "output_schema": SCHEMA,
            "clarification": {"deadline_seconds": SECONDS, "on_deadline": on_deadline},
        }
        roles = {"writer": {"name": "Writer", "instructions": "You write."}}
        workflow = {"id": on_deadline, "name": "W", "description": "Asks.", "roles": roles, "steps": [step]}
        (folder / on_deadline).mkdir(parents=True)
        (folder / on_deadline / "workflow.yaml").write_text(yaml.safe_dump(workflow), encoding="utf-8")
    machine.manage("load_catalog", "--catalog", str(folder))


def clarification(client: httpx.Client, execution_id: str) -> dict[str, Any]:
    """Return what the step shows of its questions."""
    shown: dict[str, Any] = client.get(f"/executions/{execution_id}/steps").json()["data"][0]["clarification"]
    return shown


def moment(text: str) -> datetime:
    """Return the moment that the API tells."""
    return datetime.fromisoformat(text)


@pytest.mark.torture
def test_the_defaults_stand_in_and_the_execution_goes_on(fresh: Machine, tmp_path: Path) -> None:
    with asking(fresh, ASKS, Answer()) as server:
        fresh.serve("--no-worker")
        fresh.start("worker")
        publish(fresh, tmp_path / "catalog", "defaults")
        with fresh.client() as client:
            execution_id = start_execution(client, "Boats.", workflow_id="defaults")
            wait_for_status(client, execution_id, "waiting")
            [open_question] = client.get("/clarifications/").json()["data"]
            assert (open_question["execution_id"], open_question["step_id"]) == (execution_id, "one")
            wait_for_status(client, execution_id, "completed")
            shown = clarification(client, execution_id)
            assert client.get("/clarifications/").json()["data"] == []
            log = client.get(f"/executions/{execution_id}/events").json()["data"]
    assert (shown["answers"], shown["answered_by"]) == ({"one.1.1": 17}, "the deadline")
    assert 0 <= (moment(shown["answered_at"]) - moment(shown["expires_at"])).total_seconds() < 60
    assert [each["event_type"] for each in log].count("clarification_answered") == 1
    assert "17" in str(server.asked[1])


@pytest.mark.torture
def test_what_expired_while_no_worker_was_there_fails_when_one_comes_and_can_be_asked_again(
    fresh: Machine, tmp_path: Path
) -> None:
    with asking(fresh, ASKS, Answer()):
        fresh.serve("--no-worker")
        worker = fresh.start("worker")
        publish(fresh, tmp_path / "catalog", "fail")
        with fresh.client() as client:
            execution_id = start_execution(client, "Boats.", workflow_id="fail")
            wait_for_status(client, execution_id, "waiting")
            worker.kill()
            worker.wait(STOP_SECONDS)
            expires_at = moment(clarification(client, execution_id)["expires_at"])
            wait_until(lambda: datetime.now(UTC) > expires_at, what="the deadline")
            assert client.get(f"/executions/{execution_id}").json()["status"] == "waiting"
            for _ in range(2):
                fresh.start("worker")
            failed = wait_for_status(client, execution_id, "failed")
            assert failed["error"]["code"] == "question_expired"
            path = f"/executions/{execution_id}/steps/one/clarification"
            assert client.post(path, json={"answers": {"one.1.1": 5}}).status_code == 409

            assert client.post(f"/executions/{execution_id}/retry", json={}).json()["status"] == "waiting"
            assert moment(clarification(client, execution_id)["expires_at"]) > datetime.now(UTC)
            assert client.post(path, json={"answers": {"one.1.1": 0}}).status_code == 422
            assert client.post(path, json={"answers": {"one.1.1": 5}}).status_code == 200
            wait_for_status(client, execution_id, "completed")
            log = client.get(f"/executions/{execution_id}/events").json()["data"]
    assert [each["event_type"] for each in log].count("step_failed") == 1
