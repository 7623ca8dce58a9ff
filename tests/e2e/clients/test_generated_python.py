"""A client that `openapi-python-client` makes of our document: it has every endpoint, and does the main job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import httpx
import pytest
from httpx_sse import EventSource

from tests.e2e.processes import Machine, wait_until

pytestmark = pytest.mark.e2e

OPEN_BRIEF = "# Ferry\n\nIt is undecided whether to buy a ferry or to build a bridge. The budget is 20,000 EUR."
PACKAGE = "generated_scriptorium"


@pytest.fixture(scope="module")
def document(shared: Machine) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{shared.url}/api/v1/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def warnings(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Generate the client into a package that can be imported; provide what the generator wrote."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "config.yaml").write_text("post_hooks: []\n", encoding="utf-8")  # nothing is formatted
    words = ["--path", "openapi.json", "--config", "config.yaml", "--meta", "none", "--fail-on-warning"]
    done = subprocess.run(
        [Path(sys.executable).parent / "openapi-python-client", "generate", *words, "--output-path", PACKAGE],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield done.stdout + done.stderr
    sys.path.remove(str(folder))


def module(operation: str, tag: str) -> ModuleType:
    return import_module(f"{PACKAGE}.api.{tag}.{operation}")


def models() -> ModuleType:
    return import_module(f"{PACKAGE}.models")


def test_no_endpoint_is_left_out(warnings: str, document: dict[str, Any]) -> None:
    assert "warning" not in warnings.lower()
    for methods in document["paths"].values():
        for operation in methods.values():
            made = module(operation["operationId"], operation["tags"][0])
            assert callable(made.sync_detailed)


@pytest.fixture
def client(warnings: str, shared: Machine) -> Iterator[Any]:
    """A generated client with Alice's token."""
    made = import_module(f"{PACKAGE}.client").AuthenticatedClient(
        base_url=shared.url, token=shared.token("alice"), timeout=httpx.Timeout(60), raise_on_unexpected_status=True
    )
    with made as opened:
        yield opened


def answers_to(questions: list[Any]) -> dict[str, Any]:
    """Return an answer to each question: the first choice, a number or a text."""
    typed = {"number": 5, "yes_no": True, "date": "2027-04-01", "free_text": "Ms Ode"}
    return {
        each.id: each.choices[0].value if each.choices else typed[str(each.answer_type.value)] for each in questions
    }


def test_it_starts_follows_answers_and_reads(client: Any) -> None:
    body = models().StartExecutionRequest(
        workflow_id="strategy-document", scope_type="project", scope_id="generated", input_=OPEN_BRIEF, tags=["made"]
    )
    started = module("executions_create", "executions").sync(client=client, body=body)
    assert isinstance(started, models().ExecutionResponse)

    told: list[str] = []
    asked: list[str] = []
    for event in followed(client, started.execution_id):
        told.append(event["event_type"])
        if event["event_type"] == "clarification_needed":
            asked.append(event["step_id"])
            answer(client, started.execution_id, event["step_id"])
    assert told[0] == "execution_created"
    assert told[-1] == "complete"
    assert asked[0] == "discovery"

    ended = module("executions_retrieve", "executions").sync(started.execution_id, client=client)
    assert ended.status.value == "completed"
    page = module("documents_list", "documents").sync(client=client, execution_id=started.execution_id)
    assert {each.type_ for each in page.data} == {"discovery", "requirements", "architecture", "review"}
    read = module("documents_retrieve", "documents").sync(page.data[0].id, client=client)
    assert read.title == page.data[0].title
    assert read.content["title"] == read.title


def followed(client: Any, execution_id: UUID) -> Iterator[dict[str, Any]]:
    """Yield the events of an execution, asked for as the generated function asks, but read as they come."""
    request = module("executions_stream", "executions")._get_kwargs(execution_id, last_event_id_header="0")
    with client.get_httpx_client().stream(**request) as response:
        assert response.status_code == 200, response.read()
        for event in EventSource(response).iter_sse():
            if event.data and event.event != "step_delta":
                yield event.json()


def answer(client: Any, execution_id: UUID, step_id: str) -> None:
    """Answer what a step asks."""
    inbox = module("clarifications_list", "executions").sync(client=client, scope_id="generated")
    [open_one] = [each for each in inbox.data if each.step_id == step_id]
    given = models().ClarificationAnswersAnswers.from_dict(answers_to(open_one.clarification.questions))
    answered = module("executions_steps_clarification_create", "executions").sync_detailed(
        execution_id, step_id, client=client, body=models().ClarificationAnswers(answers=given)
    )
    assert answered.status_code == 200, answered.content


def test_it_reads_a_problem_and_the_groups_of_costs(client: Any) -> None:
    body = models().StartExecutionRequest(workflow_id="nope", scope_type="project", scope_id="generated")
    refused = module("executions_create", "executions").sync_detailed(client=client, body=body)
    assert refused.status_code == 404
    assert isinstance(refused.parsed, models().Problem)
    assert "strategy-document" in refused.parsed.detail

    groups = [models().TelemetrySummaryGroupByItem(name) for name in ("day", "model")]
    summary = module("telemetry_summary", "telemetry").sync(client=client, group_by=groups)
    assert sorted(summary.groups.additional_keys) == ["day", "model"]


def test_the_whole_stream_of_an_execution_that_has_ended_comes_as_text(client: Any) -> None:
    body = models().StartExecutionRequest(
        workflow_id="vendor-assessment", scope_type="project", scope_id="generated", input_="A ferry for 20,000 EUR."
    )
    started = module("executions_create", "executions").sync(client=client, body=body)
    read = module("executions_retrieve", "executions").sync
    wait_until(lambda: read(started.execution_id, client=client).status.value == "completed", what="the end")
    kinds = [models().ExecutionsStreamTypesItem(name) for name in ("execution_created", "complete")]
    text = module("executions_stream", "executions").sync(started.execution_id, client=client, types=kinds)
    assert [line for line in text.splitlines() if line.startswith("event:")] == [
        "event: execution_created",
        "event: complete",
    ]
