"""Real processes and a model server with faults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution, wait_for_status, wait_until
from tests.integration.llm.model_server import Answer, Line, Misbehaviour, ModelServer, model_server
from tests.support.waiting import Stopwatch

pytestmark = pytest.mark.e2e


@contextmanager
def asking(machine: Machine, *script: Line) -> Iterator[ModelServer]:
    """Have the machine ask a model server that says these lines."""
    with model_server(*script) as server:
        machine.environment |= {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": f"{server.url}/v1",
            "MODEL_FAST": "openai:gpt-5",
            "MODEL_STANDARD": "openai:gpt-5",
            "MODEL_STRONG": "openai:gpt-5",
        }
        try:
            yield server
        finally:
            machine.stop()


def _calls(client: httpx.Client, execution_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    costs: dict[str, Any] = client.get(f"/telemetry/executions/{execution_id}/costs").json()
    return costs, [call for step in costs["steps"] for each in step["attempts"] for call in each["calls"]]


@pytest.mark.torture
def test_a_cancel_closes_the_connection_at_the_model_server_within_two_seconds(fresh: Machine) -> None:
    with asking(fresh, Misbehaviour.NEVER_ANSWER) as server:
        fresh.serve()
        with fresh.client() as client:
            execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
            wait_until(lambda: len(server.asked) == 3, what="three calls side by side")
            watch = Stopwatch()
            assert client.post(f"/executions/{execution_id}/cancel").status_code == 200
            wait_until(lambda: len(server.left) == 3, what="the end of the connections")
            assert watch.seconds() < 2
            assert client.get(f"/executions/{execution_id}").json()["status"] == "cancelled"
            costs, calls = _calls(client, execution_id)
    assert [(call["status"], call["cost_usd"]) for call in calls] == [("discarded", None)] * 3
    estimates = [Decimal(call["estimated_cost_usd"]) for call in calls]
    assert min(estimates) > 0
    assert Decimal(costs["estimated_unknown_cost_usd"]) == sum(estimates)
    assert (costs["total"]["cost_complete"], costs["total"]["cost_final"]) == (False, True)


@pytest.mark.torture
def test_an_execution_is_deferred_as_the_provider_asks_and_woken_when_it_may_go_on(fresh: Machine) -> None:
    busy = Answer(status=429, headers={"Retry-After": "7"}, body={"error": {"message": "Slow down."}})
    refused = Answer(status=401, body={"error": {"message": "No such key."}})
    with asking(fresh, busy, busy, busy, refused) as server:
        fresh.serve()
        with fresh.client() as client:
            execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
            waiting = wait_for_status(client, execution_id, "waiting")
            assert (waiting["waiting_on"], len(server.asked)) == (["rate_limit"], 3)
            resume_at = datetime.fromisoformat(waiting["resume_at"])
            assert (resume_at - datetime.now(UTC)).total_seconds() < 9
            step = client.get(f"/executions/{execution_id}/steps").json()["data"][0]
            assert (step["status"], step["clarification"]) == ("waiting", None)
            assert step["resume_at"] is not None
            watch = Stopwatch()
            left = (resume_at - datetime.now(UTC)).total_seconds()
            failed = wait_for_status(client, execution_id, "failed")
            assert watch.seconds() < max(left, 0) + 8  # recovery alone may take ten
            _, calls = _calls(client, execution_id)
    assert failed["error"]["code"] == "provider_rejected"
    assert "Check the API key" in failed["error"]["message"]
    assert (failed["resume_at"], failed["waiting_on"]) == (None, [])
    assert {call["status"] for call in calls} == {"failed"}
    assert sorted({call["ordinal"] for call in calls}) == [1, 2]
    assert failed["cost_usd"] == "0.0000000000"
