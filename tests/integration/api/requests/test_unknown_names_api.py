"""The error for an unknown name lists the known names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from access.user import User
from tests.factories import reports
from tests.factories.callers import Caller
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]

START = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A tool library."}


def publish_another(name: str) -> None:
    """Publish the workflow under another name."""
    plain = reports.definition().model_dump(mode="json", exclude_defaults=True)
    workflows.publish(parse_definition({**plain, "id": name}), now=timezone.now())


def told(response: Any, status: int = 404) -> str:
    """Return the sentence that a problem says."""
    assert response.status_code == status, response.content
    return str(response.json()["detail"])


def detail(response: Any) -> str:
    """Return what is wrong with the one value that is."""
    assert response.status_code == 422, response.content
    [error] = response.json()["errors"]
    return str(error["detail"])


@pytest.mark.parametrize(
    "path",
    [
        "/workflows/nope",
        "/workflows/nope/versions",
        "/workflows/nope/schema/research",
        "/telemetry/workflows/nope/stats",
    ],
)
def test_an_unknown_workflow_is_answered_with_those_that_there_are(ada: Caller, report: int, path: str) -> None:
    publish_another("annual-report")
    assert told(ada.get(path)) == "There is no workflow 'nope'. Available: annual-report, report."


@pytest.mark.parametrize("version", [{}, {"workflow_version": 1}, {"workflow_version": 99}])
def test_a_start_or_an_estimate_of_an_unknown_workflow_names_no_version(
    ada: Caller, report: int, version: dict[str, int]
) -> None:
    wanted = "There is no workflow 'nope'. Available: report."
    assert told(ada.post("/executions/", {**START, "workflow_id": "nope", **version})) == wanted
    assert told(ada.post("/workflows/nope/estimate", {"input": "A tool library.", **version})) == wanted


def test_without_any_workflow_that_is_said(ada: Caller) -> None:
    assert told(ada.post("/executions/", START)) == "There is no workflow 'report'. No workflow is published."


def test_the_names_are_bounded(ada: Caller, report: int) -> None:
    for number in range(1, 24):
        publish_another(f"w-{number:02}")
    sentence = told(ada.get("/workflows/nope"))
    assert sentence.endswith("w-18, w-19 and 4 more.")
    assert sentence.count(",") == 19


def test_an_unknown_version_is_answered_with_the_newest_ones(ada: Caller, report: int) -> None:
    reports.publish("Another description, so another version.")
    wanted = "Workflow 'report' has no version 99. Available: 2, 1."
    assert told(ada.post("/executions/", {**START, "workflow_version": 99})) == wanted
    assert told(ada.post("/workflows/report/estimate", {"input": "A.", "workflow_version": 99})) == wanted


def test_an_unknown_step_of_a_workflow_is_answered_with_its_steps(ada: Caller, report: int) -> None:
    wanted = "Workflow 'report' has no step 'nope'. Available: research, summary."
    assert told(ada.get("/workflows/report/schema/nope")) == wanted


@pytest.mark.parametrize(
    ("action", "body"),
    [("clarification", {"answers": {}}), ("acceptance", {"decision": "accept", "document_version": 1})],
)
def test_an_unknown_step_of_an_execution_is_answered_with_its_steps(
    ada: Caller, report: int, action: str, body: Any
) -> None:
    execution = reports.start(ada.user)
    response = ada.post(f"/executions/{execution.id}/steps/nope/{action}", body)
    assert told(response) == "This execution has no step 'nope'. Its steps are: research, summary."


@pytest.mark.django_db(transaction=True)
def test_a_prompt_of_an_unknown_step_is_answered_with_the_steps(ada: Caller, report: int) -> None:
    execution = reports.start(ada.user)
    response = ada.get(f"/executions/{execution.id}/steps/nope/prompt")
    assert told(response) == "This execution has no step 'nope'. Its steps are: research, summary."


def test_a_retry_from_an_unknown_step_is_answered_with_its_steps(ada: Caller, report: int) -> None:
    execution = reports.fail(reports.start(ada.user))
    response = ada.post(f"/executions/{execution.id}/retry", {"from_step": "nope"})
    assert detail(response) == "This execution has no step 'nope'. Its steps are: research, summary."


def test_a_script_about_an_unknown_step_is_answered_with_the_steps(ada: Caller, report: int) -> None:
    body = {**START, "dry_run": True, "rehearsal": {"steps": {"nope": {}}}}
    response = ada.post("/executions/", body)
    assert detail(response) == "Workflow 'report' has no step 'nope'. Available: research, summary."


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("/executions/", {"status": "done"}, "pending, running, waiting, completed, failed, cancelled"),
        ("/executions/", {"waiting_on": "money"}, "clarification, acceptance, budget, rate_limit"),
        ("/documents/", {"status": "ready"}, "current"),
        ("/telemetry/summary", {"dry_run": "yes"}, "exclude, only, include"),
    ],
)
def test_an_invalid_choice_is_answered_with_the_valid_ones(
    ada: Caller, path: str, query: dict[str, str], words: str
) -> None:
    [given] = query.values()
    assert detail(ada.get(path, query)) == f"'{given}' is not one of: {words}."


def test_an_unknown_type_of_event_or_decision_is_answered_with_those_that_there_are(ada: Caller, report: int) -> None:
    execution = reports.start(ada.user)
    assert "step_completed" in detail(ada.get(f"/executions/{execution.id}/events", {"types": "step_done"}))
    body = {"decision": "yes", "document_version": 1}
    response = ada.post(f"/executions/{execution.id}/steps/research/acceptance", body)
    assert detail(response) == "'yes' is not one of: accept, reject, request_changes."


def test_a_scope_that_the_caller_may_not_see_is_named_nowhere(ada: Caller, eve: Caller, report: int) -> None:
    execution = reports.start(ada.user)
    response = eve.post(f"/executions/{execution.id}/steps/nope/clarification", {"answers": {}})
    assert "research" not in told(response)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "TRACE"])
def test_a_method_that_an_operation_lacks_is_told_before_its_query(api: Api, alice: User, method: str) -> None:
    response = api(alice).generic(method, "/api/v1/executions/?surprise=1")
    assert (response.status_code, response.json()["code"]) == (405, "method-not-allowed")
