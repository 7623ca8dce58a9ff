"""Cancelling an execution, as clients do."""

from __future__ import annotations

from typing import Any

import pytest

from access.permissions import Role
from executions.engine.domain.execution import Execution
from executions.models import ExecutionEvent
from telemetry.models import ModelCall
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers, state

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(ada: Caller, report: int) -> Execution:
    """An execution of Ada's that waits for answers."""
    return reports.ask(reports.start(ada.user))


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_cancel_stops_everything_that_has_not_ended(ada: Caller, waiting: Execution, slash: str) -> None:
    response = ada.post(f"/executions/{waiting.id}/cancel{slash}")
    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["status"], body["waiting_on"], body["error"]) == ("cancelled", [], None)
    assert body["finished_at"] is not None
    steps = ada.get(f"/executions/{waiting.id}/steps").json()["data"]
    assert {step["status"] for step in steps} == {"cancelled"}
    last = ExecutionEvent.objects.filter(execution_id=waiting.id).order_by("-sequence").first()
    assert last is not None
    assert (last.event_type, last.data["status"]) == ("complete", "cancelled")


def test_a_cancel_gives_up_the_call_under_way(ada: Caller, report: int) -> None:
    execution, _ = reports.begin(reports.claim(reports.start(ada.user)))
    body = ada.post(f"/executions/{execution.id}/cancel", {}).json()
    assert ModelCall.objects.get(execution_id=execution.id).status == "discarded"
    assert (body["cost_usd"], body["cost_final"]) == (None, True)


def test_a_second_cancel_answers_like_the_first_and_changes_nothing(ada: Caller, waiting: Execution) -> None:
    first = ada.post(f"/executions/{waiting.id}/cancel")
    before = state(waiting)
    second = ada.post(f"/executions/{waiting.id}/cancel")
    assert (second.status_code, second.json()) == (200, first.json())
    assert state(waiting) == before


@pytest.mark.parametrize("end", [reports.finish, reports.fail])
def test_what_has_ended_otherwise_cannot_be_cancelled(ada: Caller, report: int, end: Any) -> None:
    execution = end(reports.start(ada.user))
    before = state(execution)
    response = ada.post(f"/executions/{execution.id}/cancel")
    assert (response.status_code, response.json()["code"]) == (409, "illegal-transition")
    assert state(execution) == before


@pytest.mark.parametrize("tag", ['"1"', 'W/"3"', '"x"', '""', '"03"', '"1", "2", W/"3"', '"' + "9" * 5_000 + '"'])
def test_a_cancel_of_another_version_than_was_read_is_refused(ada: Caller, waiting: Execution, tag: str) -> None:
    before = state(waiting)
    response = ada.post(f"/executions/{waiting.id}/cancel", If_Match=tag)
    assert (response.status_code, response.json()["code"]) == (412, "version-conflict")
    assert state(waiting) == before


@pytest.mark.parametrize("tag", ["*", '"{version}"'])
def test_a_cancel_of_the_version_that_was_read_is_done(ada: Caller, waiting: Execution, tag: str) -> None:
    response = ada.post(f"/executions/{waiting.id}/cancel", If_Match=tag.format(version=waiting.version))
    assert response.status_code == 200


def test_a_cancel_with_a_field_is_refused(ada: Caller, waiting: Execution) -> None:
    before = state(waiting)
    response = ada.post(f"/executions/{waiting.id}/cancel", {"reason": "rain"})
    assert (response.status_code, pointers(response)) == (422, {"/reason"})
    assert state(waiting) == before


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.REVIEWER, 403), (Role.OPERATOR, 200)])
def test_an_operator_cancels_and_a_reviewer_does_not(eve: Caller, waiting: Execution, role: Role, status: int) -> None:
    grant(eve.user, "alpha", role)
    before = state(waiting)
    assert eve.post(f"/executions/{waiting.id}/cancel").status_code == status
    assert (state(waiting) == before) == (status == 403)
