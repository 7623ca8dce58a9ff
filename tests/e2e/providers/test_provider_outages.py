"""Provider outages: every execution waits without a worker, and completes afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.processes import Machine, free_port, machine, wait_for_status, wait_until
from tests.factories.engine import SCHEMA
from tests.integration.llm.model_server import Answer, Line, Misbehaviour, model_server
from tests.support.waiting import HANG_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.torture]

BUDGET = {"max_calls": 1000, "max_cost_usd": "1000.00", "max_tokens": 100_000_000}
TRIES = 6  # more than a step made before there was a patience
BUSY = {"error": {"message": "Slow down."}}
#: What a provider does while it is away, by a word in the brief.
AWAY: dict[str, list[Line]] = {
    "busy": [Answer(status=429, body=BUSY)],
    "hurried": [Answer(status=429, headers={"Retry-After": "1"}, body=BUSY)],
    "broken": [Answer(status=503, body={"error": {"message": "Down for a moment."}})],
    "cut": [Misbehaviour.HANG_UP],
}
MODELS = {**dict.fromkeys(AWAY, "openai:gpt-5"), "refused": "anthropic:claude-sonnet-5-5"}
SAYS = {
    "busy": "HTTP 429",
    "hurried": "HTTP 429",
    "broken": "HTTP 503",
    "cut": "could not be reached",
    "refused": "could not be reached",
}
EACH = 3  # executions of each kind


def publish(installed: Machine, folder: Path) -> None:
    """Publish a workflow of two steps for each provider."""
    for model in set(MODELS.values()):
        provider = model.partition(":")[0]
        steps = [
            {
                **{"id": name, "name": name.title(), "role": "writer", "task": "Write.", "produces": name},
                **{"model": model, "inputs": inputs, "output_schema": SCHEMA, "timeout_seconds": 30},
                "retries": {"base_seconds": 0.1, "cap_seconds": 1},
            }
            for name, inputs in (("one", []), ("two", ["one"]))
        ]
        roles = {"writer": {"name": "Writer", "instructions": "You write."}}
        workflow = {"id": provider, "name": "W", "description": "Writes.", "roles": roles, "steps": steps}
        (folder / provider).mkdir(parents=True)
        (folder / provider / "workflow.yaml").write_text(yaml.safe_dump(workflow), encoding="utf-8")
    installed.manage("load_catalog", "--catalog", str(folder))


@contextmanager
def without_providers(data_dir: Path) -> Iterator[tuple[Machine, Any]]:
    """Provide an installation whose providers are away, and what brings them back."""
    port = free_port()  # no server listens there yet
    with ExitStack() as stack:
        server = stack.enter_context(model_server(Answer(), scripts=AWAY))
        installed = stack.enter_context(machine(data_dir))
        installed.environment |= {
            **{"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": f"{server.url}/v1"},
            **{"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}"},
            "DEFER_AFTER_SECONDS": "0.3",
        }

        def bring_back() -> None:
            server.scripts = {}
            stack.enter_context(model_server(Answer(), port=port))

        yield installed, bring_back


def start(client: httpx.Client, word: str, number: int) -> str:
    body = {"workflow_id": MODELS[word].partition(":")[0], "scope_type": "project", "scope_id": f"{word}-{number}"}
    response = client.post("/executions/", json={**body, "input": f"It is {word}.", "budget": BUDGET})
    assert response.status_code == 201, response.text
    return str(response.json()["execution_id"])


def calls_of(client: httpx.Client, execution_id: str) -> list[dict[str, Any]]:
    costs = client.get(f"/telemetry/executions/{execution_id}/costs").json()
    return [call for step in costs["steps"] for each in step["attempts"] for call in each["calls"]]


def deferred_long(
    client: httpx.Client, execution_id: str
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """Return an execution, its first step and its calls, once it waits after more tries than it once had."""

    def look() -> Any:
        execution = client.get(f"/executions/{execution_id}").json()
        step = client.get(f"/executions/{execution_id}/steps").json()["data"][0]
        calls = calls_of(client, execution_id)
        still = client.get(f"/executions/{execution_id}").json()["version"] == execution["version"]
        assert execution["status"] in {"pending", "running", "waiting"}, execution["error"]
        waits = execution["status"] == "waiting" and still and len(calls) >= TRIES
        return (execution, step, calls) if waits else None

    found: tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]] = wait_until(look, what="a long wait")
    return found


def books_are_exact(execution: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    """Hold what is used of the budget against the ledger, a row for each call."""
    known = sum(Decimal(call["cost_usd"] or 0) for call in calls)
    unknown = sum(Decimal(call["estimated_cost_usd"] or 0) for call in calls if call["cost_usd"] is None)
    used = execution["budget"]["used"]
    assert (Decimal(used["cost_usd"]), used["calls"]) == (known + unknown, len(calls))
    assert Decimal(execution["known_cost_usd"]) == known
    assert execution["unpriced_calls"] == sum(call["status"] == "unknown" for call in calls)


def test_every_execution_completes_by_itself_when_its_provider_is_back(data_dir: Path) -> None:
    with without_providers(data_dir) as (installed, bring_back):
        installed.serve("--no-worker")
        publish(installed, data_dir / "catalog")
        worker = installed.start("worker")
        with installed.client() as client:
            started = {(word, n): start(client, word, n) for word in MODELS for n in range(EACH)}
            for (word, _), execution_id in started.items():
                execution, step, calls = deferred_long(client, execution_id)
                assert (execution["waiting_on"], step["status"]) == (["rate_limit"], "waiting")
                assert SAYS[word] in step["deferred_because"]
                assert execution["resume_at"] == step["resume_at"]
                assert {call["status"] for call in calls} == {"unknown" if word == "cut" else "failed"}
                books_are_exact(execution, calls)
            cancelled = start(client, "busy", EACH)
            deferred_long(client, cancelled)
            assert client.post(f"/executions/{cancelled}/cancel").json()["status"] == "cancelled"
            asked = len(calls_of(client, cancelled))
            worker.terminate()
            worker.wait(HANG_SECONDS)
            bring_back()
            installed.start("worker")
            for execution_id in started.values():
                completed = wait_for_status(client, execution_id, "completed", "failed")
                assert completed["status"] == "completed", completed["error"]
                calls = calls_of(client, execution_id)
                assert Counter(call["status"] for call in calls)["committed"] == 2
                assert (completed["resume_at"], completed["cost_final"]) == (None, True)
                books_are_exact(completed, calls)
            assert len(calls_of(client, cancelled)) == asked
            assert client.get(f"/executions/{cancelled}").json()["status"] == "cancelled"
