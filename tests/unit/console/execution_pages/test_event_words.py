"""Every type of event has a sentence that names people, documents and steps, and escapes what people write."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from uuid import UUID

import pytest

from common.errors import FieldError
from console.execution_pages.timeline.event_words import Told, is_failure, sentence
from executions.engine.domain import events
from executions.engine.domain.acceptance import CHANGES_REQUESTED, AcceptanceAction, PassageComment
from executions.engine.domain.calls import Totals, Usage
from executions.engine.domain.clarification import BY_DEADLINE, Question
from executions.engine.domain.events import Event, EventType, ProgressEvent, totals_data
from executions.engine.domain.execution import ScopeRef
from executions.engine.domain.states import ExecutionStatus, FailureCode, Limit, WaitingOn
from executions.engine.prompting.prompts import FOUND_BY_REVIEW
from executions.selectors.timeline import NamedStep
from workflows.definitions.definition import OnDeadline

EXECUTION, DOCUMENT = UUID(int=1), UUID(int=2)
MOMENT = datetime(2026, 11, 30, 12, 23, 26, tzinfo=UTC)
PAPER: dict[str, Any] = {"document_id": DOCUMENT, "document_version": 1, "document_type": "epics", "title": "Parts"}
STEP: dict[str, Any] = {"step_id": "epics"}
DECISION: dict[str, Any] = {"document_version": 1, "comments": (), "only_commented": False, "proposed": False}
QUESTION = Question(id="epics.1.1", text="Who decides?")


def fault(code: str) -> FieldError:
    return FieldError(pointer="/title", code=code, detail="Expected a string.")


def decided(decision: AcceptanceAction, comment: str = "", **more: Any) -> Event:
    given = {**STEP, **DECISION, **more}
    return events.AcceptanceDecided(decision=decision, comment=comment, decided_by="ada", **given)


def reminder(kind: Any, on: WaitingOn, *assignees: str) -> Event:
    event: Event = kind(waiting_on=on, due_at=MOMENT, assignees=assignees, **STEP)
    return event


EXAMPLES: list[tuple[Event, str]] = [
    (
        events.ExecutionCreated(
            workflow_id="delivery",
            workflow_version=2,
            scope=ScopeRef(id=UUID(int=3), type="project", key="alpha"),
            requested_by="ada",
            dry_run=False,
        ),
        "ada started delivery version 2 in project alpha.",
    ),
    (
        events.ExecutionCreated(
            workflow_id="delivery",
            workflow_version=2,
            scope=ScopeRef(id=UUID(int=3), type="project", key="alpha"),
            requested_by="",
            dry_run=True,
        ),
        "the system started a dry run of delivery version 2 in project alpha.",
    ),
    (events.ExecutionStarted(), "A worker began the execution."),
    (events.StepStarted(attempt=1, role="r", model="a:b", inputs=(), **STEP), "Epics began. Model: a:b."),
    (events.StepStarted(attempt=2, role="r", model="", inputs=(), **STEP), "Epics began attempt 2."),
    (
        events.RemediationStarted(attempt=2, violations=(fault("type"), fault("type")), **STEP),
        "The output of Epics was not valid: /title Expected a string. Attempt 2 begins. 1 more fault.",
    ),
    (
        events.RemediationStarted(attempt=2, violations=(fault(CHANGES_REQUESTED),), **STEP),
        "The model revises Epics as it was asked to: attempt 2.",
    ),
    (
        events.RemediationStarted(attempt=2, violations=(fault(FOUND_BY_REVIEW),), **STEP),
        "The model revises Epics after the review: attempt 2.",
    ),
    (events.ReviewStarted(attempt=1, model="a:b", **STEP), "a:b began to review Epics."),
    (
        events.ReviewCompleted(attempt=1, verdict="satisfied", findings=(), **STEP),
        "The review found nothing to change in Epics.",
    ),
    (
        events.ReviewCompleted(attempt=1, verdict="needs_revision", findings=(fault("review"),), **STEP),
        "The review found 1 fault in Epics: Expected a string.",
    ),
    (events.ClarificationNeeded(questions=(QUESTION,), **STEP), "Epics asks 1 question: Who decides?"),
    (
        events.ClarificationNeeded(
            questions=(QUESTION, QUESTION),
            expires_at="2026-11-30T17:00:00.000Z",
            on_deadline=OnDeadline.DEFAULTS,
            **STEP,
        ),
        "Epics asks 2 questions: Who decides? After 30 Nov 2026, 17:00 UTC the default answers apply.",
    ),
    (events.ClarificationAnswered(answered_by="dora", **STEP), "dora answered the questions of Epics."),
    (
        events.ClarificationAnswered(answered_by=BY_DEADLINE, **STEP),
        "The deadline passed without answers: Epics goes on with the default answers.",
    ),
    (events.AcceptanceNeeded(proposed=False, **PAPER, **STEP), "Parts version 1 waits for a decision."),
    (
        events.AcceptanceNeeded(proposed=True, **PAPER, **STEP),
        "Parts version 1 is proposed beside the version that a person edited, and waits for a decision.",
    ),
    (
        events.AcceptanceVoted(
            vote=AcceptanceAction.ACCEPT, document_version=1, voted_by="ada", votes=1, required=2, **STEP
        ),
        "ada voted on Epics version 1: accepted. 1 of 2 votes accept it.",
    ),
    (decided(AcceptanceAction.ACCEPT), "ada accepted Epics version 1."),
    (decided(AcceptanceAction.REJECT, "No."), "ada rejected Epics version 1: No."),
    (
        decided(AcceptanceAction.REQUEST_CHANGES, "Put the counter first."),
        "ada sent Epics version 1 back: Put the counter first. What changed from 1 to 2",
    ),
    (
        decided(AcceptanceAction.REQUEST_CHANGES, comments=(PassageComment(pointer="/a", text="Why?"),) * 2),
        "ada sent Epics version 1 back. 2 passages with a comment. What changed from 1 to 2",
    ),
    (
        reminder(events.WaitReminder, WaitingOn.ACCEPTANCE, "dora", "ada"),
        "Reminder: a decision was wanted for Epics until 30 Nov 2026, 12:23 UTC. Assigned to dora, ada.",
    ),
    (
        reminder(events.WaitOverdue, WaitingOn.CLARIFICATION),
        "Overdue: answers were wanted for Epics until 30 Nov 2026, 12:23 UTC.",
    ),
    (
        events.DocumentEdited(base_version=1, note="Typo", edited_by="ada", repeated=False, **PAPER),
        "ada wrote Parts version 1. Typo",
    ),
    (
        events.DocumentEdited(base_version=None, note="", edited_by="ada", repeated=False, **PAPER),
        "ada added Parts version 1.",
    ),
    (events.StepReused(**PAPER, **STEP), "Epics needs no model: the scope has Parts version 1 already."),
    (
        events.StepCompleted(usage=Usage(), cost_usd="0.1100000000", **PAPER, **STEP),
        "Epics is done: Parts version 1. $0.11",
    ),
    (
        events.StepCompleted(usage=Usage(), cost_usd=None, **PAPER, **STEP),
        "Epics is done: Parts version 1. Its cost is not known.",
    ),
    (events.StepFailed(failure_code=FailureCode.REJECTED, error="No.", **STEP), "Epics failed: No."),
    (events.StepFailed(failure_code=FailureCode.REJECTED, error="", **STEP), "Epics failed: rejected"),
    (events.StepCancelled(**STEP), "Epics was cancelled."),
    (events.StepSkipped(reason="step vision failed", **STEP), "Epics was skipped: step vision failed."),
    (
        events.ExecutionWaiting(waiting_on=(WaitingOn.CLARIFICATION, WaitingOn.ACCEPTANCE)),
        "The execution waits for answers, a decision.",
    ),
    (
        events.ExecutionWaiting(waiting_on=(WaitingOn.RATE_LIMIT,), resume_at=MOMENT),
        "The execution waits for a provider, until 30 Nov 2026, 12:23 UTC at most.",
    ),
    (events.ExecutionResumed(), "The execution goes on."),
    (events.ExecutionRetried(from_step=None, requested_by="ada"), "ada retried the execution."),
    (events.ExecutionRetried(from_step="epics", requested_by="ada"), "ada retried the execution from Epics on."),
    (
        events.BudgetWarning(limit=Limit.COST, used="4.0000000000", maximum="5.0000000000"),
        "$4.00 of $5.00 are used or reserved.",
    ),
    (events.BudgetWarning(limit=Limit.CALLS, used=8, maximum=10), "8 calls of 10 calls are used or reserved."),
    (
        events.BudgetChanged(budget={"max_cost_usd": "5", "max_calls": None, "max_seconds": 90.0}, changed_by="ada"),
        "ada changed the limits: at most $5.00, 1 min 30 s of running time.",
    ),
    (events.BudgetChanged(budget=None, changed_by="ada"), "ada took all limits away."),
    (
        events.Complete(status=ExecutionStatus.COMPLETED, failure_code=None, totals=totals_data(Totals())),
        "The execution is completed. 0 calls · $0",
    ),
    (
        events.Complete(status=ExecutionStatus.FAILED, failure_code=FailureCode.REJECTED, totals={}),
        "The execution failed. 0 calls",
    ),
    (
        events.Complete(status=ExecutionStatus.CANCELLED, failure_code=None, totals={}),
        "The execution was cancelled. 0 calls",
    ),
]


def told(event: Event, **more: Any) -> Told:
    known = NamedStep(step_id="epics", name="Epics", label="", document_id=DOCUMENT, document_version=2)
    stored = ProgressEvent(
        execution_id=EXECUTION,
        sequence=1,
        event_type=event.event_type,
        step_id=event.step_id,
        data=event.data(),
        timestamp=MOMENT,
    )
    return Told(execution_id=EXECUTION, event=stored, steps={"epics": known, **more})


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", "", html)).split())


def test_every_type_of_event_has_an_example() -> None:
    assert {each.event_type for each, _ in EXAMPLES} == set(EventType)


@pytest.mark.parametrize(("event", "expected"), EXAMPLES, ids=lambda given: getattr(given, "event_type", None))
def test_an_event_is_a_sentence(event: Event, expected: str) -> None:
    assert text_of(sentence(told(event))) == expected


def test_links_lead_to_the_step_the_version_and_the_difference() -> None:
    html = sentence(told(decided(AcceptanceAction.REQUEST_CHANGES)))
    assert f'href="/documents/{DOCUMENT}/?v=1"' in html
    assert f'href="/documents/{DOCUMENT}/compare/?a=1&amp;b=2"' in html
    assert f'href="/executions/{EXECUTION}/steps/epics/"' in sentence(told(events.StepCancelled(**STEP)))


def test_without_the_next_version_there_is_no_difference() -> None:
    known = NamedStep(step_id="epics", name="Epics", label="", document_id=DOCUMENT, document_version=1)
    assert "compare" not in sentence(told(decided(AcceptanceAction.REQUEST_CHANGES), epics=known))


def test_steps_of_items_have_the_name_of_the_item_and_unknown_ones_their_id() -> None:
    known = NamedStep(step_id="plan@e-1", name="Plan", label="Counter", document_id=None, document_version=None)
    event = events.StepCancelled(step_id="plan@e-1")
    assert text_of(sentence(told(event, **{"plan@e-1": known}))) == "Plan · Counter was cancelled."
    assert text_of(sentence(told(event))) == "plan@e-1 was cancelled."


def test_what_people_write_is_escaped() -> None:
    html = sentence(told(decided(AcceptanceAction.REJECT, "<script>{0}</script>")))
    assert "<script>" not in html
    assert "&lt;script&gt;{0}" in html


def test_an_event_of_a_newer_version_is_named() -> None:
    newer = ProgressEvent(
        execution_id=EXECUTION, sequence=1, event_type="step_sung", step_id=None, data={}, timestamp=MOMENT
    )
    assert "step_sung" in sentence(Told(execution_id=EXECUTION, event=newer, steps={}))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (events.StepFailed(failure_code=FailureCode.REJECTED, error="", **STEP), True),
        (events.Complete(status=ExecutionStatus.FAILED, failure_code=None, totals={}), True),
        (events.Complete(status=ExecutionStatus.COMPLETED, failure_code=None, totals={}), False),
        (events.StepCancelled(**STEP), False),
    ],
)
def test_failures_are_marked(event: Event, expected: bool) -> None:
    assert is_failure(told(event).event) is expected
