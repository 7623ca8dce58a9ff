"""Starting with a brief, and without one."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, pointers
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition

pytestmark = pytest.mark.django_db

START = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha"}
ESTIMATE = "/workflows/report/estimate"


def publish(brief: str) -> None:
    """Publish the workflow with this word about its brief."""
    plain = reports.definition().model_dump(mode="json", exclude_defaults=True)
    workflows.publish(parse_definition({**plain, "brief": brief}), now=timezone.now())


@pytest.mark.parametrize("more", [{}, {"input": None}, {"dry_run": True}, {"dry_run": True, "input": None}])
def test_three_fields_are_enough_for_a_start(ada: Caller, report: int, more: dict[str, Any]) -> None:
    response = ada.post("/executions/", {**START, **more})
    assert response.status_code == 201, response.content
    assert response.json()["input"] is None
    assert ada.get(f"/executions/{response.json()['execution_id']}").json()["input"] is None
    assert ada.get("/executions/").json()["data"][0]["input"] is None


@pytest.mark.parametrize("body", [{}, {"input": None}])
def test_an_estimate_needs_no_brief_either(ada: Caller, report: int, body: dict[str, Any]) -> None:
    without = ada.post(ESTIMATE, body)
    assert without.status_code == 200, without.content
    assert without.json()["input_tokens"]["low"] > 0
    with_brief = ada.post(ESTIMATE, {"input": "A long brief. " * 500})
    assert without.json()["input_tokens"]["low"] < with_brief.json()["input_tokens"]["low"]


@pytest.mark.parametrize("path", ["/executions/", ESTIMATE])
@pytest.mark.parametrize("brief", ["", {}, " \t\n ", "\u2003", [], 7, False])
def test_a_brief_that_says_nothing_is_refused_rather_than_taken_for_none(
    ada: Caller, report: int, path: str, brief: object
) -> None:
    before = counts()
    response = ada.post(path, {**(START if path == "/executions/" else {}), "input": brief})
    assert response.status_code == 422, response.content
    assert pointers(response) == {"/input"}
    assert counts() == before


@pytest.mark.parametrize("more", [{}, {"input": None}, {"dry_run": True}])
def test_a_workflow_that_needs_a_brief_does_not_start_without_one(ada: Caller, more: dict[str, Any]) -> None:
    publish("required")
    before = counts()
    response = ada.post("/executions/", {**START, **more})
    assert response.status_code == 422, response.content
    assert pointers(response) == {"/input"}
    assert response.json()["errors"][0]["code"] == "required"
    assert pointers(ada.post(ESTIMATE, {})) == {"/input"}
    assert counts() == before
    assert ada.post("/executions/", {**START, **more, "input": "A tool library."}).status_code == 201


@pytest.mark.parametrize("brief", ["A tool library.", {"goal": "lend tools"}])
def test_a_workflow_that_takes_no_brief_says_so(ada: Caller, brief: object) -> None:
    publish("none")
    response = ada.post("/executions/", {**START, "input": brief})
    assert response.status_code == 422, response.content
    assert pointers(response) == {"/input"}
    assert "accepts no brief" in response.json()["errors"][0]["detail"]
    assert pointers(ada.post(ESTIMATE, {"input": brief})) == {"/input"}
    assert ada.post("/executions/", START).status_code == 201
    assert ada.post("/executions/", {**START, "input": None}).status_code == 201
