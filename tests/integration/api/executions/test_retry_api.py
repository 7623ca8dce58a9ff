"""Retry of executions over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from access.permissions import Role
from executions.models import Execution as ExecutionRow
from executions.models import ExecutionEvent
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, grant, pointers

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_failed_execution_goes_on_from_its_failed_step(ada: Caller, report: int, slash: str) -> None:
    execution = reports.fail(reports.start(ada.user))
    jobs = ProcrastinateJob.objects.count()
    response = ada.post(f"/executions/{execution.id}/retry{slash}")
    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["status"], body["error"], body["finished_at"]) == ("running", None, None)
    steps = ada.get(f"/executions/{execution.id}/steps").json()["data"]
    assert [(step["status"], step["error"]) for step in steps] == [("pending", None)] * 2
    assert ProcrastinateJob.objects.count() == jobs + 1
    told = ExecutionEvent.objects.filter(execution_id=execution.id).order_by("-sequence").first()
    assert told is not None
    assert (told.event_type, told.data) == ("execution_retried", {"from_step": None, "requested_by": "ada"})
    assert ExecutionRow.objects.get(id=execution.id).fencing_token == execution.fencing_token + 1


def test_a_finished_step_is_kept_unless_it_is_named(ada: Caller, report: int) -> None:
    execution = reports.finish_step(reports.claim(reports.start(ada.user)), "research")
    for request, statuses in (({}, ["completed", "pending"]), ({"from_step": "research"}, ["pending", "pending"])):
        reports.cancel(ada.user, execution.id)
        assert ada.post(f"/executions/{execution.id}/retry", request).status_code == 200
        steps = ada.get(f"/executions/{execution.id}/steps").json()["data"]
        assert [step["status"] for step in steps] == statuses


def test_questions_that_were_open_are_open_again(ada: Caller, report: int) -> None:
    waiting = reports.ask(reports.start(ada.user))
    reports.cancel(ada.user, waiting.id)
    body = ada.post(f"/executions/{waiting.id}/retry", {}).json()
    assert (body["status"], body["waiting_on"]) == ("waiting", ["clarification"])
    path = f"/executions/{waiting.id}/steps/research/clarification"
    assert ada.post(path, {"answers": reports.GOOD_ANSWERS}).json()["status"] == "running"


@pytest.mark.parametrize("bring", [reports.finish, reports.claim, reports.ask])
def test_what_goes_on_or_is_completed_cannot_be_retried(ada: Caller, report: int, bring: Any) -> None:
    execution = bring(reports.start(ada.user))
    before = (counts(), ExecutionRow.objects.get(id=execution.id).version)
    response = ada.post(f"/executions/{execution.id}/retry")
    assert (response.status_code, response.json()["code"]) == (409, "illegal-transition")
    assert (counts(), ExecutionRow.objects.get(id=execution.id).version) == before


@pytest.mark.parametrize(("body", "pointer"), [({"from_step": "nowhere"}, "/from_step"), ({"step": "x"}, "/step")])
def test_a_step_that_is_not_there_is_named(ada: Caller, report: int, body: dict[str, str], pointer: str) -> None:
    execution = reports.fail(reports.start(ada.user))
    before = (counts(), ExecutionRow.objects.get(id=execution.id).version)
    response = ada.post(f"/executions/{execution.id}/retry", body)
    assert (response.status_code, pointers(response)) == (422, {pointer})
    assert (counts(), ExecutionRow.objects.get(id=execution.id).version) == before


@pytest.mark.parametrize(("role", "status"), [(Role.REVIEWER, 403), (Role.OPERATOR, 200)])
def test_an_operator_retries_and_a_reviewer_does_not(
    ada: Caller, eve: Caller, report: int, role: Role, status: int
) -> None:
    execution = reports.fail(reports.start(ada.user))
    assert eve.post(f"/executions/{execution.id}/retry").status_code == 404
    grant(eve.user, "alpha", role)
    assert eve.post(f"/executions/{execution.id}/retry").status_code == status
