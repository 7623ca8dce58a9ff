"""Answering questions, as clients do."""

from __future__ import annotations

from typing import Any

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from access.permissions import Role
from executions.engine.domain.execution import Execution
from executions.models import ExecutionEvent
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import grant, pointers, state

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(ada: Caller, report: int) -> Execution:
    """An execution of Ada's that waits for answers."""
    return reports.ask(reports.start(ada.user))


def answer(caller: Caller, execution: Execution, answers: object, step: str = "research", **headers: str) -> Any:
    """Send answers."""
    path = f"/executions/{execution.id}/steps/{step}/clarification"
    return caller.post(path, {"answers": answers}, **headers)


@pytest.mark.parametrize("slash", ["", "/"])
def test_answers_let_the_execution_go_on(ada: Caller, waiting: Execution, slash: str) -> None:
    jobs = ProcrastinateJob.objects.filter(lock=str(waiting.id)).count()
    path = f"/executions/{waiting.id}/steps/research/clarification{slash}"
    response = ada.post(path, {"answers": reports.GOOD_ANSWERS})
    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["status"], body["waiting_on"], body["version"]) == ("running", [], waiting.version + 1)
    assert response.headers["ETag"].startswith(f'"{waiting.version + 1}.')
    assert ProcrastinateJob.objects.filter(lock=str(waiting.id)).count() == jobs + 1
    clarification = ada.get(f"/executions/{waiting.id}/steps").json()["data"][0]["clarification"]
    assert clarification["answers"] == {**reports.GOOD_ANSWERS, "research.1.3": False}
    assert clarification["answered_by"] == "ada"
    told = (
        ExecutionEvent.objects.filter(execution_id=waiting.id).order_by("sequence").values_list("event_type", flat=True)
    )
    assert list(told)[-2:] == ["clarification_answered", "execution_resumed"]


def test_the_text_of_a_question_works_as_its_key(ada: Caller, waiting: Execution) -> None:
    answers = {"Who decides?": "Ms Ode", "Which size?": "s", "Is there a budget?": True}
    assert answer(ada, waiting, answers).status_code == 200
    stored = ada.get(f"/executions/{waiting.id}/steps").json()["data"][0]["clarification"]["answers"]
    assert stored == {"research.1.1": "Ms Ode", "research.1.2": "s", "research.1.3": True}


def test_every_bad_answer_is_named_and_the_question_stays_open(ada: Caller, waiting: Execution) -> None:
    before = state(waiting)
    response = answer(ada, waiting, {"research.1.2": "xl", "research.1.3": "maybe", "a/b": 1})
    assert response.status_code == 422
    assert response.json()["code"] == "invalid-answers"
    assert pointers(response) == {
        "/answers/research.1.1",
        "/answers/research.1.2",
        "/answers/research.1.3",
        "/answers/a~1b",
    }
    assert state(waiting) == before
    assert answer(ada, waiting, reports.GOOD_ANSWERS).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/answers"),
        ({"answers": []}, "/answers"),
        ({"answers": None}, "/answers"),
        ({"answers": {"research.1.1": "nul\x00"}}, "/answers/research.1.1"),
        ({"answers": {"nul\x00": "x"}}, "/answers"),
        ({"answers": {"research.1.1": "x" * 200_001}}, "/answers/research.1.1"),
        ({"answers": reports.GOOD_ANSWERS, "comment": "hello"}, "/comment"),
    ],
)
def test_a_body_that_holds_no_answers_is_refused(
    ada: Caller, waiting: Execution, body: dict[str, object], pointer: str
) -> None:
    before = state(waiting)
    response = ada.post(f"/executions/{waiting.id}/steps/research/clarification", body)
    assert response.status_code == 422, response.content
    assert pointers(response) == {pointer}
    assert state(waiting) == before


def test_other_answers_to_what_was_answered_are_a_conflict(ada: Caller, waiting: Execution) -> None:
    assert answer(ada, waiting, reports.GOOD_ANSWERS).status_code == 200
    before = state(waiting)
    response = answer(ada, waiting, {**reports.GOOD_ANSWERS, "research.1.1": "Another person"})
    assert (response.status_code, response.json()["code"]) == (409, "not-waiting")
    assert state(waiting) == before


def test_a_step_that_asks_nothing_takes_no_answers(ada: Caller, report: int, waiting: Execution) -> None:
    assert answer(ada, waiting, {}, step="summary").status_code == 409
    ended = reports.finish(reports.start(ada.user, key="beta"))
    assert answer(ada, ended, reports.GOOD_ANSWERS).status_code == 409


def test_a_step_that_does_not_exist_is_not_found(ada: Caller, waiting: Execution) -> None:
    assert answer(ada, waiting, reports.GOOD_ANSWERS, step="dreaming").status_code == 404


def test_answers_to_a_version_that_was_read_before_another_change_are_refused(ada: Caller, waiting: Execution) -> None:
    before = state(waiting)
    response = answer(ada, waiting, reports.GOOD_ANSWERS, If_Match=f'"{waiting.version - 1}"')
    assert (response.status_code, response.json()["code"]) == (412, "version-conflict")
    assert state(waiting) == before
    assert answer(ada, waiting, reports.GOOD_ANSWERS, If_Match=f'"{waiting.version}"').status_code == 200


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.REVIEWER, 200), (Role.OPERATOR, 200)])
def test_a_reviewer_answers_and_a_viewer_does_not(eve: Caller, waiting: Execution, role: Role, status: int) -> None:
    grant(eve.user, "alpha", role)
    before = state(waiting)
    assert answer(eve, waiting, reports.GOOD_ANSWERS).status_code == status
    assert (state(waiting) == before) == (status == 403)
