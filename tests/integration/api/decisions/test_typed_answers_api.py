"""Typed answers over HTTP: valid ones continue the execution; invalid ones are named and change nothing."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from executions.engine.domain.clarification import AnswerType, Choice, QuestionDraft
from executions.engine.domain.execution import Execution
from executions.persistence import repositories
from executions.worker import duties
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.checks import pointers, state
from tests.integration.api.decisions.test_clarification_api import answer
from workflows.definitions.definition import ClarificationPolicy, OnDeadline

pytestmark = pytest.mark.django_db

CHOICES = tuple(Choice(value=each, label=each.upper()) for each in "abc")
TYPED = (
    QuestionDraft(text="Who decides?", min_length=3, max_length=10),
    QuestionDraft(text="Which one?", answer_type=AnswerType.SINGLE_CHOICE, choices=CHOICES),
    QuestionDraft(text="Which ones?", answer_type=AnswerType.MULTI_CHOICE, choices=CHOICES, max_choices=2),
    QuestionDraft(text="Is it so?", answer_type=AnswerType.YES_NO),
    QuestionDraft(text="How many?", answer_type=AnswerType.NUMBER, minimum=1, maximum=9, integer=True, default=4),
    QuestionDraft(text="When?", answer_type=AnswerType.DATE, earliest=date(2027, 1, 1), latest=date(2027, 12, 31)),
)
GOOD = {
    "research.1.1": "Ms Ode",
    "research.1.2": "a",
    "research.1.3": ["c", "a"],
    "research.1.4": False,
    "research.1.5": 4,
    "research.1.6": "2027-02-28",
}


@pytest.fixture
def waiting(ada: Caller, report: int) -> Execution:
    """An execution of Ada's that waits for answers of every type."""
    return reports.ask(reports.start(ada.user), TYPED)


def clarification(caller: Caller, execution: Execution) -> dict[str, Any]:
    """Return what the step shows of its questions."""
    shown: dict[str, Any] = caller.get(f"/executions/{execution.id}/steps").json()["data"][0]["clarification"]
    return shown


@pytest.mark.parametrize(
    ("question", "wrong"),
    [
        ("research.1.1", (7, True, ["x"], {"a": 1}, "ab", "abcdefghijk", "a\x00bc")),
        ("research.1.2", ("d", "A", ["a"], 0, False)),
        ("research.1.3", ("a", ["d"], ["a", "a"], ["a", "b", "c"], [["a"]], {"a": True})),
        ("research.1.4", ("yes", 0, 1, [True])),
        ("research.1.5", ("4", True, 0, 10, 4.5, 10**30, 1e300, [4])),
        ("research.1.6", ("2026-12-31", "2028-01-01", "2027-02-29", "1.2.2027", 2027, True)),
    ],
)
def test_a_wrong_answer_is_named_and_the_questions_stay_open(
    ada: Caller, waiting: Execution, question: str, wrong: tuple[object, ...]
) -> None:
    before = state(waiting)
    for each in wrong:
        response = answer(ada, waiting, {**GOOD, question: each})
        assert (response.status_code, pointers(response)) == (422, {f"/answers/{question}"}), each
    assert state(waiting) == before
    assert answer(ada, waiting, GOOD).status_code == 200


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400])
def test_a_number_that_cannot_be_stored_is_named(ada: Caller, waiting: Execution, number: str) -> None:
    before = state(waiting)
    body = f'{{"answers": {{"research.1.5": {number}}}}}'.encode()
    response = ada.post(f"/executions/{waiting.id}/steps/research/clarification", body)
    assert response.status_code == 422
    assert "/answers/research.1.5" in pointers(response)
    assert state(waiting) == before


def test_answers_of_every_type_are_kept_with_who_and_when(ada: Caller, waiting: Execution) -> None:
    assert answer(ada, waiting, GOOD).status_code == 200
    shown = clarification(ada, waiting)
    assert shown["answers"] == {**GOOD, "research.1.3": ["a", "c"]}
    assert (shown["answered_by"], shown["answered_at"][-1]) == ("ada", "Z")


def test_the_bounds_of_questions_are_shown(ada: Caller, waiting: Execution) -> None:
    asked = clarification(ada, waiting)["questions"]
    assert (asked[0]["min_length"], asked[0]["max_length"], asked[2]["max_choices"]) == (3, 10, 2)
    assert (asked[4]["minimum"], asked[4]["maximum"], asked[4]["integer"]) == (1, 9, True)
    assert (asked[5]["earliest"], asked[5]["latest"]) == ("2027-01-01", "2027-12-31")
    event = ada.get(f"/executions/{waiting.id}/events", {"types": "clarification_needed"}).json()["data"][0]
    assert event["data"]["questions"] == asked


@pytest.mark.parametrize(
    "again",
    [
        GOOD,
        {key: value for key, value in GOOD.items() if key != "research.1.5"},  # its default stood in, or was said
        {**GOOD, "research.1.3": ["a", "c"], "research.1.5": 4.0},
        {text: GOOD[f"research.1.{number}"] for number, text in enumerate((each.text for each in TYPED), start=1)},
    ],
)
def test_the_same_answers_again_are_fine_however_they_are_said(ada: Caller, waiting: Execution, again: object) -> None:
    first = answer(ada, waiting, GOOD)
    before = state(waiting)
    second = answer(ada, waiting, again)
    assert (second.status_code, second.json()) == (200, first.json())
    assert state(waiting) == before


@pytest.mark.parametrize("change", [{"research.1.4": True}, {"research.1.3": ["a"]}, {"x": 1}, {"research.1.5": 11}])
def test_others_after_it_was_answered_are_a_conflict(ada: Caller, waiting: Execution, change: dict[str, Any]) -> None:
    assert answer(ada, waiting, GOOD).status_code == 200
    before = state(waiting)
    assert answer(ada, waiting, {**GOOD, **change}).status_code == 409
    assert state(waiting) == before


def test_answers_to_an_earlier_round_are_no_answers_to_the_open_one(ada: Caller, waiting: Execution) -> None:
    assert answer(ada, waiting, GOOD).status_code == 200
    again = reports.ask(repositories.get(waiting.id), (QuestionDraft(text="Really?"),), again=True)
    before = state(again)
    assert answer(ada, again, GOOD).status_code == 200  # a client that had not heard of its success
    assert answer(ada, again, {**GOOD, "research.1.1": "Mr Ode"}).status_code == 409
    assert state(again) == before
    assert answer(ada, again, {"research.2.1": "Yes"}).status_code == 200
    step = ada.get(f"/executions/{waiting.id}/steps").json()["data"][0]
    assert step["clarification"]["answers"] == {"research.2.1": "Yes"}
    [earlier] = step["earlier_clarifications"]
    assert (earlier["round"], earlier["answers"]["research.1.1"], earlier["answered_by"]) == (1, "Ms Ode", "ada")


# --- deadlines -------------------------------------------------------------------------------------------------------

HOUR = ClarificationPolicy(deadline_seconds=3600, on_deadline=OnDeadline.DEFAULTS)


def test_a_deadline_is_shown_and_the_defaults_say_who_took_them(ada: Caller, report: int) -> None:
    waiting = reports.ask(reports.start(ada.user), (TYPED[4],), policy=HOUR)
    shown = clarification(ada, waiting)
    assert (shown["expires_at"][-1], shown["on_deadline"]) == ("Z", "defaults")
    event = ada.get(f"/executions/{waiting.id}/events", {"types": "clarification_needed"}).json()["data"][0]
    assert (event["data"]["expires_at"], event["data"]["on_deadline"]) == (shown["expires_at"], "defaults")
    assert duties.act_on_deadlines(now=timezone.now() + timedelta(seconds=3601)) == 1
    shown = clarification(ada, waiting)
    assert (shown["answers"], shown["answered_by"]) == ({"research.1.1": 4}, "the deadline")
    assert answer(ada, waiting, {"research.1.1": 5}).status_code == 409


def test_a_step_whose_questions_expired_says_so(ada: Caller, report: int) -> None:
    waiting = reports.ask(reports.start(ada.user), TYPED, policy=HOUR)
    assert duties.act_on_deadlines(now=timezone.now() + timedelta(seconds=3601)) == 1
    step = ada.get(f"/executions/{waiting.id}/steps").json()["data"][0]
    assert (step["status"], step["error"]["code"]) == ("failed", "question_expired")
    body = ada.get(f"/executions/{waiting.id}").json()
    assert (body["status"], body["error"]["code"]) == ("failed", "question_expired")
    assert answer(ada, waiting, GOOD).status_code == 409
