"""Candidates over HTTP: authors try a definition in a dry run before they publish it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from executions.models import Execution
from tests.factories.callers import Caller
from tests.factories.workflows import plan, step
from tests.integration.api.checks import counts, pointers
from workflows.models import WorkflowVersion
from workflows.repository import LAST_PUBLISHED

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {"scope_type": "project", "scope_id": "trials", "dry_run": True}


def test_a_candidate_is_tried_and_nowhere_else(author: Caller) -> None:
    tried = author.post("/executions/", {**BODY, "definition": plan()})
    assert (tried.status_code, tried.json()["dry_run"], tried.json()["workflow_id"]) == (201, True, "note")
    number = tried.json()["workflow_version"]
    assert number == LAST_PUBLISHED + 1
    assert author.get(f"/executions/{tried.json()['execution_id']}").json()["workflow_version"] == number
    assert author.get("/workflows/", {"retired": True}).json()["data"] == []
    for path in ("note", "note/versions", f"note/export?version={number - LAST_PUBLISHED}"):
        assert author.get(f"/workflows/{path}").status_code == 404
    by_number = {**BODY, "workflow_id": "note", "workflow_version": number}
    assert author.post("/executions/", by_number).status_code == 404
    assert author.post("/workflows/", plan()).json()["version"] == 1
    assert author.post("/executions/", by_number).status_code == 404
    assert author.post("/workflows/note/current", {"version": 2}).status_code == 422
    assert [row["version"] for row in author.get("/workflows/note/versions").json()["data"]] == [1]


def test_equal_candidates_are_stored_once(author: Caller) -> None:
    text = yaml.safe_dump(plan(), sort_keys=False)
    for source in (plan(), text, plan(description="Other.")):
        assert author.post("/executions/", {**BODY, "definition": source}).status_code == 201
    rows = WorkflowVersion.objects.order_by("version")
    assert [row.version - LAST_PUBLISHED for row in rows] == [1, 2]
    assert Execution.objects.filter(workflow_version__in=rows).count() == 3


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dry_run": False}, {"/definition"}),
        ({"workflow_id": "note"}, {"/workflow_id"}),
        ({"workflow_version": 1}, {"/workflow_version"}),
        ({"definition": plan(steps=[step(role="ghost")])}, {"/definition/steps/0/role"}),
        ({"definition": "id: [", "dry_run": True}, {"/definition"}),
        ({"rehearsal": {"steps": {"nothing": {}}}}, {"/rehearsal/steps/nothing"}),
    ],
)
def test_a_candidate_that_cannot_be_tried_leaves_nothing(
    author: Caller, changes: dict[str, Any], expected: set[str]
) -> None:
    before = counts()
    refused = author.post("/executions/", {**BODY, "definition": plan(), **changes})
    assert (refused.status_code, pointers(refused)) == (422, expected)
    assert (counts(), WorkflowVersion.objects.count()) == (before, 0)
