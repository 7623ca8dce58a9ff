"""Budgets over HTTP: set, read and raise."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings
from procrastinate.contrib.django.models import ProcrastinateJob

from access.permissions import Role
from executions.composition import build_ports
from executions.engine.domain.execution import Execution
from executions.engine.transitions import budgets, core
from executions.llm.client import model_client
from executions.models import Execution as ExecutionRow
from executions.persistence import repositories
from telemetry.models import ScopeBudget
from tests.factories import reports
from tests.factories.callers import Caller
from tests.factories.executions import call
from tests.integration.api.checks import counts, grant, pointers

pytestmark = pytest.mark.django_db

START = {"workflow_id": "report", "scope_type": "project", "scope_id": "alpha", "input": "A brief."}


def begin_paid(execution: Execution, at_most: str | None) -> Execution:
    """Begin the first step with a call that may cost so much; it waits where the budget does not reach."""
    most = None if at_most is None else Decimal(at_most)
    paid = replace(call(execution.id, "research"), estimated_cost_usd=most, reserved_tokens=500)

    def start(now: Execution, context: core.Context) -> core.Change:
        begun = core.start_step(now, "research", model="m", input_versions=(), context=context)
        return budgets.hold_if_over_budget(begun, "research", paid, context=context)

    return reports.move(execution, start, calls=(paid,))


def test_an_unknown_price_is_not_zero(ada: Caller, report: int) -> None:
    execution = begin_paid(reports.claim(reports.start(ada.user, budget={"max_calls": 5})), None)
    used = ada.get(f"/executions/{execution.id}").json()["budget"]["used"]
    assert (used["cost_usd"], used["known_cost_usd"], used["cost_complete"]) == (None, "0.0000000000", False)


def test_calls_have_the_tags_of_their_execution(ada: Caller, report: int) -> None:
    begin_paid(reports.claim(reports.start(ada.user, tags=["pilot", "q3", "pilot"])), "0.10")
    groups = ada.get("/telemetry/summary", {"group_by": "tag"}).json()["groups"]["tag"]
    assert [(group["tag"], group["calls"]) for group in groups] == [("pilot", 1), ("q3", 1)]


def waiting(ada: Caller) -> Execution:
    """Return an execution that waits for a budget."""
    return begin_paid(reports.claim(reports.start(ada.user, budget={"max_cost_usd": Decimal("0.05")})), "0.10")


def test_a_start_takes_limits_and_the_execution_shows_how_near_it_is(ada: Caller, report: int) -> None:
    budget = {"max_cost_usd": "0.5", "max_tokens": 1000, "max_calls": None, "max_seconds": 600}
    response = ada.post("/executions/", {**START, "budget": budget})
    assert response.status_code == 201, response.content
    body = response.json()
    none = "0.0000000000"
    nothing = {"cost_usd": none, "known_cost_usd": none, "cost_complete": True, "tokens": 0, "calls": 0, "seconds": 0.0}
    assert body["budget"] == {**budget, "max_cost_usd": "0.5000000000", "used": nothing}
    row = ExecutionRow.objects.get(id=body["execution_id"])
    begin_paid(reports.claim(repositories.get(row.id)), "0.10")
    for shown in (ada.get(f"/executions/{row.id}").json(), ada.get("/executions/").json()["data"][0]):
        used = shown["budget"]["used"]
        assert (used["cost_usd"], used["tokens"], used["calls"]) == ("0.1000000000", 500, 1)
        assert used["seconds"] > 0
    assert ada.post("/executions/", START).json()["budget"] is None


def test_what_waits_for_a_budget_says_so_and_goes_on_when_it_is_raised(ada: Caller, report: int) -> None:
    execution = waiting(ada)
    body = ada.get(f"/executions/{execution.id}").json()
    assert (body["status"], body["waiting_on"], body["resume_at"]) == ("waiting", ["budget"], None)
    [step, _] = ada.get(f"/executions/{execution.id}/steps").json()["data"]
    assert (step["status"], step["blocked_by_limit"], step["resume_at"]) == ("waiting", "max_cost_usd", None)
    assert step["acceptance"] is None
    listed = ada.get("/executions/", {"waiting_on": "budget"}).json()["data"]
    assert [each["execution_id"] for each in listed] == [str(execution.id)]
    jobs = ProcrastinateJob.objects.count()
    response = ada.patch(f"/executions/{execution.id}/budget", {"max_cost_usd": "1", "max_calls": 9})
    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["status"], body["waiting_on"]) == ("running", [])
    assert (body["budget"]["max_cost_usd"], body["budget"]["max_calls"]) == ("1.0000000000", 9)
    assert ProcrastinateJob.objects.count() == jobs + 1
    events = ada.get(f"/executions/{execution.id}/events").json()["data"]
    assert [event["event_type"] for event in events[-2:]] == ["budget_changed", "execution_resumed"]
    assert events[-2]["data"]["changed_by"] == "ada"


def test_the_same_limits_again_change_nothing_and_null_takes_one_away(ada: Caller, report: int) -> None:
    execution = waiting(ada)
    path = f"/executions/{execution.id}/budget"
    before = counts()
    assert ada.patch(path, {"max_cost_usd": "0.0500"}).json()["version"] == execution.version
    assert ada.patch(path, {}).json()["version"] == execution.version
    assert counts() == before
    assert ada.patch(path, {"max_cost_usd": None}).json()["budget"] is None


@pytest.mark.parametrize(
    ("limits", "pointer"),
    [
        ({"max_cost_usd": "-1"}, "/max_cost_usd"),
        ({"max_cost_usd": "much"}, "/max_cost_usd"),
        ({"max_cost_usd": ""}, "/max_cost_usd"),
        ({"max_cost_usd": "1_000"}, "/max_cost_usd"),
        ({"max_tokens": "\uff11"}, "/max_tokens"),
        ({"max_seconds": " "}, "/max_seconds"),
        ({"max_seconds": True}, "/max_seconds"),
        ({"max_cost_usd": "NaN"}, "/max_cost_usd"),
        ({"max_cost_usd": "0.00000000001"}, "/max_cost_usd"),
        ({"max_tokens": 1.5}, "/max_tokens"),
        ({"max_tokens": 2**53}, "/max_tokens"),
        ({"max_calls": -1}, "/max_calls"),
        ({"max_seconds": "inf"}, "/max_seconds"),
        ({"max_dollars": 1}, "/max_dollars"),
    ],
)
def test_limits_that_are_none_are_named_and_nothing_changes(
    ada: Caller, report: int, limits: dict[str, Any], pointer: str
) -> None:
    execution = waiting(ada)
    before = (counts(), ExecutionRow.objects.get(id=execution.id).version)
    response = ada.patch(f"/executions/{execution.id}/budget", limits)
    assert (response.status_code, pointers(response)) == (422, {pointer})
    response = ada.post("/executions/", {**START, "budget": limits})
    assert (response.status_code, pointers(response)) == (422, {f"/budget{pointer}"})
    assert (counts(), ExecutionRow.objects.get(id=execution.id).version) == before


def test_the_budget_of_what_has_ended_is_a_conflict_and_a_stale_version_is_412(ada: Caller, report: int) -> None:
    execution = waiting(ada)
    path = f"/executions/{execution.id}/budget"
    assert ada.patch(path, {"max_calls": 1}, If_Match='"1"').status_code == 412
    reports.cancel(ada.user, execution.id)
    assert ada.patch(path, {"max_cost_usd": "1"}).status_code == 409


@pytest.mark.parametrize(("role", "status"), [(Role.REVIEWER, 403), (Role.OPERATOR, 200)])
def test_an_operator_raises_a_budget_and_a_reviewer_does_not(
    ada: Caller, eve: Caller, report: int, role: Role, status: int
) -> None:
    path = f"/executions/{waiting(ada).id}/budget"
    assert eve.patch(path, {"max_calls": 5}).status_code == 404
    grant(eve.user, "alpha", role)
    assert eve.patch(path, {"max_calls": 5}).status_code == status


def test_a_start_in_a_scope_that_has_spent_its_month_is_answered_with_402(ada: Caller, report: int) -> None:
    execution = reports.start(ada.user)
    ScopeBudget.objects.create(scope_id=execution.scope.id, max_cost_usd=0)
    assert ada.post("/executions/", START).status_code == 201  # the rehearsal is free
    with override_settings(MODEL_ALIASES={"standard": "openai:gpt-5"}):
        model_client.cache_clear()
        build_ports.cache_clear()
        before = counts()
        response = ada.post("/executions/", START)
    model_client.cache_clear()
    build_ports.cache_clear()
    assert (response.status_code, response.json()["code"]) == (402, "budget-exceeded")
    assert counts() == before
