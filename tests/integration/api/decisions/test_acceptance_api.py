"""Deciding about documents, as clients do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from access.permissions import Role
from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from executions.models import ExecutionEvent
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import counts, grant, pointers

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(ada: Caller) -> Execution:
    """An execution of Ada's whose document waits for a decision."""
    reports.publish(gated=True)
    return reports.hand_in(reports.start(ada.user))


def decide(caller: Caller, execution: Execution, body: object, step: str = "research", **headers: str) -> Any:
    """Send a decision."""
    return caller.post(f"/executions/{execution.id}/steps/{step}/acceptance", body, **headers)


def state(execution: Execution) -> tuple[object, ...]:
    """Return everything about an execution that a refused request must leave alone."""
    row = ExecutionRow.objects.get(id=execution.id)
    steps = list(row.steps.order_by("position").values_list("status", "version", "decisions"))
    return (row.status, row.version, row.last_sequence, steps, counts())


def step(caller: Caller, execution: Execution) -> dict[str, Any]:
    """Return the first step as clients see it."""
    found: dict[str, Any] = caller.get(f"/executions/{execution.id}/steps").json()["data"][0]
    return found


def told(execution: Execution) -> list[str]:
    """Return the types of the events."""
    rows = ExecutionEvent.objects.filter(execution_id=execution.id).order_by("sequence")
    return list(rows.values_list("event_type", flat=True))


def test_what_waits_for_a_decision_says_so(ada: Caller, waiting: Execution) -> None:
    body = ada.get(f"/executions/{waiting.id}").json()
    assert (body["status"], body["waiting_on"]) == ("waiting", ["acceptance"])
    assert ada.get("/executions/", {"waiting_on": "acceptance"}).json()["data"][0]["execution_id"] == str(waiting.id)
    first = step(ada, waiting)
    assert first["acceptance"] == {"needed": True, "instructions": "Is it true?", "decisions": []}
    assert first["document"]["version"] == 1
    needed = ExecutionEvent.objects.get(execution_id=waiting.id, event_type="acceptance_needed")
    assert needed.data == {
        "document_id": first["document"]["id"],
        "document_version": 1,
        "document_type": "findings",
        "title": "The findings",
        "proposed": False,
    }


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_accepted_document_lets_the_execution_go_on(ada: Caller, waiting: Execution, slash: str) -> None:
    jobs = ProcrastinateJob.objects.filter(lock=str(waiting.id)).count()
    path = f"/executions/{waiting.id}/steps/research/acceptance{slash}"
    response = ada.post(path, {"decision": "accept", "document_version": 1})
    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["status"], body["waiting_on"], body["version"]) == ("running", [], waiting.version + 1)
    assert response.headers["ETag"].startswith(f'"{waiting.version + 1}.')
    assert ProcrastinateJob.objects.filter(lock=str(waiting.id)).count() == jobs + 1
    first = step(ada, waiting)
    assert (first["status"], first["acceptance"]["needed"]) == ("completed", False)
    [decision] = first["acceptance"]["decisions"]
    assert (decision["decision"], decision["document_version"], decision["decided_by"]) == ("accept", 1, "ada")
    assert told(waiting)[-3:] == ["acceptance_decided", "execution_resumed", "step_completed"]
    completed = ExecutionEvent.objects.get(execution_id=waiting.id, event_type="step_completed")
    assert completed.data["cost_usd"] == "0.0012000000"


def test_a_request_for_changes_begins_another_attempt(ada: Caller, waiting: Execution) -> None:
    body = {"decision": "request_changes", "document_version": 1, "comment": "Name the costs."}
    assert decide(ada, waiting, body).json()["status"] == "running"
    first = step(ada, waiting)
    assert (first["status"], first["attempt"]) == ("remediating", 2)
    assert first["violations"] == [{"pointer": "", "code": "changes_requested", "detail": "Name the costs."}]
    assert told(waiting)[-3:] == ["acceptance_decided", "execution_resumed", "remediation_started"]


def test_a_rejected_document_ends_the_execution_with_the_reason(ada: Caller, waiting: Execution) -> None:
    jobs = ProcrastinateJob.objects.count()
    body = decide(ada, waiting, {"decision": "reject", "document_version": 1, "comment": "No."}).json()
    assert body["status"] == "failed"
    assert body["error"] == {"code": "rejected", "message": "ada rejected version 1 of the document: No."}
    assert ProcrastinateJob.objects.count() == jobs


def test_the_same_decision_again_changes_nothing_and_another_is_a_conflict(
    ada: Caller, caller: Callable[..., Caller], waiting: Execution
) -> None:
    body = {"decision": "accept", "document_version": 1}
    first = decide(ada, waiting, body)
    before = state(waiting)
    again = decide(ada, waiting, body)
    assert (again.status_code, again.json()) == (200, first.json())
    other = decide(ada, waiting, {"decision": "reject", "document_version": 1})
    assert (other.status_code, other.json()["code"]) == (409, "not-waiting")
    bob = caller("bob")
    grant(bob.user, waiting.scope.key, Role.REVIEWER)
    before = state(waiting)
    of_bob = decide(bob, waiting, body)
    assert (of_bob.status_code, of_bob.json()["code"]) == (409, "not-waiting"), "it is the decision of another person"
    assert state(waiting) == before


def test_a_decision_about_another_version_than_waits_is_refused(ada: Caller, waiting: Execution) -> None:
    before = state(waiting)
    response = decide(ada, waiting, {"decision": "accept", "document_version": 2})
    assert (response.status_code, response.json()["code"]) == (412, "version-conflict")
    response = decide(ada, waiting, {"decision": "accept", "document_version": 1}, If_Match='"1"')
    assert (response.status_code, response.json()["code"]) == (412, "version-conflict")
    assert state(waiting) == before


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"document_version": 1}, "/decision"),
        ({"decision": "accept"}, "/document_version"),
        ({"decision": "maybe", "document_version": 1}, "/decision"),
        ({"decision": "accept", "document_version": 0}, "/document_version"),
        ({"decision": "accept", "document_version": "one"}, "/document_version"),
        ({"decision": "accept", "document_version": 1, "comment": ["no"]}, "/comment"),
        ({"decision": "accept", "document_version": 1, "comment": "a\x00b"}, "/comment"),
        ({"decision": "accept", "document_version": 1, "coment": "x"}, "/coment"),
        ({"decision": "request_changes", "document_version": 1}, "/comment"),
        ({"decision": "request_changes", "document_version": 1, "comment": "  "}, "/comment"),
    ],
)
def test_a_body_that_decides_nothing_is_refused(
    ada: Caller, waiting: Execution, body: dict[str, object], pointer: str
) -> None:
    before = state(waiting)
    response = decide(ada, waiting, body)
    assert response.status_code == 422, response.content
    assert pointers(response) == {pointer}
    assert state(waiting) == before


def test_a_step_that_waits_for_no_decision_takes_none(ada: Caller, waiting: Execution) -> None:
    body = {"decision": "accept", "document_version": 1}
    assert decide(ada, waiting, body, step="summary").status_code == 409
    assert decide(ada, waiting, body, step="dreaming").status_code == 404
    reports.publish()
    asking = reports.ask(reports.start(ada.user, key="beta"))
    assert decide(ada, asking, body).status_code == 409
    ended = reports.finish(reports.start(ada.user, key="gamma"))
    assert decide(ada, ended, body).status_code == 409
    assert step(ada, ended)["acceptance"] is None


@pytest.mark.parametrize(("role", "status"), [(None, 404), (Role.VIEWER, 403), (Role.REVIEWER, 200)])
def test_a_reviewer_decides_and_a_viewer_does_not(
    eve: Caller, waiting: Execution, role: Role | None, status: int
) -> None:
    if role is not None:
        grant(eve.user, "alpha", role)
    before = state(waiting)
    assert decide(eve, waiting, {"decision": "accept", "document_version": 1}).status_code == status
    assert (state(waiting) == before) == (status != 200)


def test_a_document_that_waited_waits_again_after_a_cancel_and_a_retry(ada: Caller, waiting: Execution) -> None:
    reports.cancel(ada.user, waiting.id)
    body = ada.post(f"/executions/{waiting.id}/retry", {}).json()
    assert (body["status"], body["waiting_on"]) == ("waiting", ["acceptance"])
    assert decide(ada, waiting, {"decision": "accept", "document_version": 1}).json()["status"] == "running"
