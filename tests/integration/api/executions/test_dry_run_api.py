"""Dry runs over HTTP: marked, in a separate scope, and excluded from telemetry by default."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.states import ExecutionStatus
from executions.models import Execution
from telemetry.models import ScopeBudget
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, ids, pointers
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition

pytestmark = pytest.mark.django_db
BODY: dict[str, Any] = {
    "workflow_id": "report",
    "scope_type": "project",
    "scope_id": "dry",
    "input": "# Ferry\n\nA ferry.",
}
SCRIPT: dict[str, Any] = {"latency_seconds": 0.1, "steps": {"research": {"fail": ["timed_out"], "invalid": 1}}}


def test_a_dry_run_is_flagged_and_found(ada: Caller, report: int) -> None:
    response = ada.post("/executions/", {**BODY, "dry_run": True, "rehearsal": SCRIPT})
    assert response.status_code == 201, response.content
    started = response.json()
    assert started["dry_run"] is True
    real = ada.post("/executions/", BODY).json()
    assert real["dry_run"] is False
    assert ids(ada, dry_run=True) == [started["execution_id"]]
    assert ids(ada, dry_run=False) == [real["execution_id"]]
    assert len(ids(ada)) == 2
    row = Execution.objects.get(id=started["execution_id"])
    assert row.script is not None
    assert row.script["steps"]["research"]["invalid"] == 1
    steps = ada.get(f"/executions/{row.id}/steps").json()["data"]
    assert {step["scope"]["type"] for step in steps if step.get("scope")} <= {"dry-run"}


@pytest.mark.parametrize(
    ("steps", "wrong"),
    [
        ({"research": {"invalid": 99}}, "/research/invalid"),
        ({"nothing": {}}, "/nothing"),
        ({"summary": {"verdicts": ["failed"]}}, "/summary/verdicts"),
        ({"research": {"fail": ["bored"]}}, "/research/fail/0"),
        ({"research": {"ask": [{"text": "Which?", "answer_type": "single_choice"}]}}, "/research/ask/0/choices"),
        ({"summary": {"ask": [{"text": "Which?"}]}}, "/summary/ask"),
    ],
)
def test_a_step_of_a_script_that_cannot_be_is_named_where_it_is_wrong(
    ada: Caller, report: int, steps: dict[str, Any], wrong: str
) -> None:
    before = counts()
    response = ada.post("/executions/", {**BODY, "dry_run": True, "rehearsal": {"steps": steps}})
    assert (response.status_code, pointers(response)) == (422, {f"/rehearsal/steps{wrong}"}), response.content
    assert counts() == before


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"rehearsal": SCRIPT}, {"/rehearsal"}),
        ({"dry_run": True, "rehearsal": []}, {"/rehearsal"}),
        (
            {"dry_run": True, "rehearsal": {"steps": {"a": {"ask": [{"text": "nul\x00"}]}}}},
            {"/rehearsal/steps/a/ask/0/text"},
        ),
        ({"dry_run": "perhaps"}, {"/dry_run"}),
    ],
)
def test_a_script_that_cannot_be_is_named_where_it_is_wrong(
    ada: Caller, report: int, body: dict[str, Any], wrong: set[str]
) -> None:
    before = counts()
    response = ada.post("/executions/", {**BODY, **body})
    assert (response.status_code, pointers(response)) == (422, wrong), response.content
    assert counts() == before


def test_what_is_not_meant_counts_in_no_sum_unless_it_is_asked_for(ada: Caller, report: int) -> None:
    reports.finish(reports.start(ada.user, key="real"))
    reports.finish(reports.start(ada.user, key="dry", script=DryRunScript()))
    found = {
        wanted: ada.get("/telemetry/summary", {"dry_run": wanted} if wanted else {}).json()["totals"]["calls"]
        for wanted in ("", "exclude", "only", "include")
    }
    assert found == {"": 2, "exclude": 2, "only": 2, "include": 4}
    stats = ada.get("/telemetry/workflows/report/stats").json()
    assert (stats["executions"], stats["by_status"][ExecutionStatus.COMPLETED], stats["totals"]["calls"]) == (1, 1, 2)
    assert ada.get("/telemetry/summary", {"dry_run": "perhaps"}).status_code == 422


def test_who_reads_questions_or_events_of_a_dry_run_is_told_so(ada: Caller, report: int) -> None:
    dry = reports.ask(reports.start(ada.user, key="dry", script=DryRunScript()))
    real = reports.ask(reports.start(ada.user, key="real"))
    inbox = {row["execution_id"]: row["dry_run"] for row in ada.get("/clarifications/").json()["data"]}
    assert inbox == {str(dry.id): True, str(real.id): False}
    for execution, told in ((dry, True), (real, False)):
        [created, *_] = ada.get(f"/executions/{execution.id}/events").json()["data"]
        assert (created["event_type"], created["data"]["dry_run"]) == ("execution_created", told)


def test_more_questions_than_the_step_may_ask_are_refused(ada: Caller, report: int) -> None:
    asked = [{"text": f"Question {number}?"} for number in range(6)]
    response = ada.post("/executions/", {**BODY, "dry_run": True, "rehearsal": {"steps": {"research": {"ask": asked}}}})
    assert (response.status_code, pointers(response)) == (422, {"/rehearsal/steps/research/ask"})


def test_a_dry_run_starts_whatever_was_spent_and_whatever_has_no_price(ada: Caller, report: int, settings: Any) -> None:
    settings.REQUIRE_PRICED = True
    step = {**reports.definition().steps[0].model_dump(mode="json"), "model": "openai:unlisted-model"}
    known = reports.definition().model_dump(mode="json")
    workflows.publish(parse_definition({**known, "id": "dear", "steps": [step]}), now=timezone.now())
    ScopeBudget.objects.create(scope_id=reports.start(ada.user, key="dry").scope.id, max_cost_usd=0)
    body = {**BODY, "workflow_id": "dear"}
    assert ada.post("/executions/", body).status_code == 402
    assert ada.post("/executions/", {**body, "dry_run": True}).status_code == 201
