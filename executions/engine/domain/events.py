"""The events of an execution's log. The event log, the streams and the webhooks use the same names."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue, TypeAdapter

from common.errors import FieldError
from common.time import format_rfc3339
from executions.engine.domain.acceptance import AcceptanceAction, PassageComment
from executions.engine.domain.calls import Totals, Usage
from executions.engine.domain.clarification import Question
from executions.engine.domain.execution import Pin, ScopeRef
from executions.engine.domain.states import ExecutionStatus, FailureCode, Limit, WaitingOn
from workflows.definitions.definition import OnDeadline

DELTA = "step_delta"  # text of a step while the model writes it; only in streams, never in the log
INBOX_COUNTS = "inbox_counts"  # counts of a user's inbox; only in the inbox's stream
RESET = "stream-reset"  # events are missing, pruned or lost by the database; only in streams, never in the log


class EventType(StrEnum):
    """Every type of event in the log."""

    EXECUTION_CREATED = "execution_created"
    EXECUTION_STARTED = "execution_started"
    STEP_STARTED = "step_started"
    REMEDIATION_STARTED = "remediation_started"
    REVIEW_STARTED = "review_started"
    REVIEW_COMPLETED = "review_completed"
    CLARIFICATION_NEEDED = "clarification_needed"
    CLARIFICATION_ANSWERED = "clarification_answered"
    ACCEPTANCE_NEEDED = "acceptance_needed"
    ACCEPTANCE_VOTED = "acceptance_voted"
    ACCEPTANCE_DECIDED = "acceptance_decided"
    WAIT_REMINDER = "wait_reminder"
    WAIT_OVERDUE = "wait_overdue"
    DOCUMENT_EDITED = "document_edited"
    STEP_REUSED = "step_reused"
    STEP_COMPLETED = "step_completed"
    STEP_FAILED = "step_failed"
    STEP_CANCELLED = "step_cancelled"
    STEP_SKIPPED = "step_skipped"
    EXECUTION_WAITING = "execution_waiting"
    EXECUTION_RESUMED = "execution_resumed"
    EXECUTION_RETRIED = "execution_retried"
    BUDGET_WARNING = "budget_warning"
    BUDGET_CHANGED = "budget_changed"
    COMPLETE = "complete"


_JSON: TypeAdapter[object] = TypeAdapter(object)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event; `step_id` is None if it concerns the whole execution."""

    event_type: ClassVar[EventType]
    step_id: str | None = None

    def data(self) -> dict[str, JsonValue]:
        """Return the event's payload, ready for JSON: all fields but type and step. Times have milliseconds."""
        # a class is hashable
        pairs = ((name, getattr(self, name)) for name in _payload_fields(type(self)))  # type: ignore[arg-type]
        given = {name: format_rfc3339(value) if isinstance(value, datetime) else value for name, value in pairs}
        plain: dict[str, JsonValue] = _JSON.dump_python(given, mode="json")
        return plain


@cache
def _payload_fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != "step_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionCreated(Event):
    """The execution was accepted."""

    event_type = EventType.EXECUTION_CREATED
    workflow_id: str
    workflow_version: int
    scope: ScopeRef
    requested_by: str
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStarted(Event):
    """A worker claimed the execution for the first time."""

    event_type = EventType.EXECUTION_STARTED


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    """An attempt of a step begins."""

    event_type = EventType.STEP_STARTED
    attempt: int
    role: str
    model: str
    inputs: tuple[Pin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemediationStarted(Event):
    """The output was invalid, or changes were requested, so the model is called again. `attempt` is the new attempt."""

    event_type = EventType.REMEDIATION_STARTED
    attempt: int
    violations: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStarted(Event):
    """The output is valid, and a review of it by another model begins."""

    event_type = EventType.REVIEW_STARTED
    attempt: int
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCompleted(Event):
    """The reviewer's verdict about the document, and its findings."""

    event_type = EventType.REVIEW_COMPLETED
    attempt: int
    verdict: str
    findings: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationNeeded(Event):
    """Questions wait for a person's answers, without a deadline unless `expires_at` is set."""

    event_type = EventType.CLARIFICATION_NEEDED
    questions: tuple[Question, ...]
    expires_at: str | None = None  # RFC 3339
    on_deadline: OnDeadline | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationAnswered(Event):
    """A person answered the questions, or the deadline passed (`BY_DEADLINE`)."""

    event_type = EventType.CLARIFICATION_ANSWERED
    answered_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceNeeded(Event):
    """A document is stored and waits for a person's decision."""

    event_type = EventType.ACCEPTANCE_NEEDED
    document_id: UUID
    document_version: int
    document_type: str
    title: str
    proposed: bool  # the version is not the head: a person has edited the document since the step began


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceVoted(Event):
    """One of several approvers voted about a document."""

    event_type = EventType.ACCEPTANCE_VOTED
    vote: AcceptanceAction
    document_version: int
    voted_by: str
    votes: int  # that accept the version so far, this one included
    required: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitReminder(Event):
    """The due date of questions, or of a decision, comes near."""

    event_type = EventType.WAIT_REMINDER
    waiting_on: WaitingOn
    due_at: datetime
    assignees: tuple[str, ...]  # user names; empty: all users with the role


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitOverdue(Event):
    """The due date of questions, or of a decision, has passed; the step goes on waiting."""

    event_type = EventType.WAIT_OVERDUE
    waiting_on: WaitingOn
    due_at: datetime
    assignees: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceDecided(Event):
    """A person decided about a document."""

    event_type = EventType.ACCEPTANCE_DECIDED
    decision: AcceptanceAction
    document_version: int
    comment: str
    comments: tuple[PassageComment, ...]
    only_commented: bool
    decided_by: str
    proposed: bool  # the version was not the head


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentEdited(Event):
    """A person made a version of a document."""

    event_type = EventType.DOCUMENT_EDITED
    document_id: UUID
    document_version: int
    document_type: str
    title: str
    base_version: int | None  # None: the first version
    note: str
    edited_by: str
    repeated: bool  # another execution's log tells of the same edit before; feeds leave this event out


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReused(Event):
    """The scope has a current document for the step, so no model is called. `step_completed` follows."""

    event_type = EventType.STEP_REUSED
    document_id: UUID
    document_version: int
    document_type: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompleted(Event):
    """The step's document is stored. `cost_usd` is None if the model has no known price."""

    event_type = EventType.STEP_COMPLETED
    document_id: UUID
    document_version: int
    document_type: str
    title: str
    usage: Usage
    cost_usd: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(Event):
    """The step ended without a document."""

    event_type = EventType.STEP_FAILED
    failure_code: FailureCode
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCancelled(Event):
    """The step ended because the execution was cancelled."""

    event_type = EventType.STEP_CANCELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(Event):
    """The step will not run."""

    event_type = EventType.STEP_SKIPPED
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionWaiting(Event):
    """The execution waits for a person, or for a point in time (`resume_at`)."""

    event_type = EventType.EXECUTION_WAITING
    waiting_on: tuple[WaitingOn, ...]
    resume_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResumed(Event):
    """The execution continues after it waited."""

    event_type = EventType.EXECUTION_RESUMED


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRetried(Event):
    """A person started a retry."""

    event_type = EventType.EXECUTION_RETRIED
    from_step: str | None
    requested_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWarning(Event):
    """80 % of a limit is used or reserved. Sent once, until the budget is changed."""

    event_type = EventType.BUDGET_WARNING
    limit: Limit
    used: str | float  # money as decimal text
    maximum: str | float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetChanged(Event):
    """A person changed the execution's budget; None: no limits."""

    event_type = EventType.BUDGET_CHANGED
    budget: dict[str, JsonValue] | None
    changed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete(Event):
    """The execution ended. This is the last event, unless the execution is retried."""

    event_type = EventType.COMPLETE
    status: ExecutionStatus
    failure_code: FailureCode | None
    totals: dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """One numbered event of an execution's log, as it is stored and streamed; or one of a scope's feed alone."""

    execution_id: UUID | None  # None: an event of the feed alone
    sequence: int  # number in the execution's log; 0: an event of the feed alone
    event_type: str  # an `EventType`, or an unknown type stored by a newer version
    step_id: str | None
    data: dict[str, JsonValue]
    timestamp: datetime


def money(amount: object) -> str | None:
    """Return an amount in US dollars as decimal text with ten decimals, None for None."""
    return None if amount is None else f"{amount:.10f}"


def event_json(event: ProgressEvent) -> dict[str, JsonValue]:
    """Return an event as the JSON object that streams and pages of the log contain."""
    return {
        "event_type": str(event.event_type),
        "execution_id": None if event.execution_id is None else str(event.execution_id),
        "step_id": event.step_id,
        "sequence": event.sequence or None,
        "timestamp": format_rfc3339(event.timestamp),
        "data": event.data,
    }


def totals_data(totals: Totals) -> dict[str, JsonValue]:
    """Return the totals of an execution as events and responses contain them."""
    return {
        "calls": totals.calls,
        **totals.usage.model_dump(),
        "total_tokens": totals.usage.total_tokens,
        "cost_usd": money(totals.cost_usd),
        "known_cost_usd": money(totals.known_cost_usd),
        "cost_complete": totals.cost_complete,
        "unpriced_calls": totals.unpriced_calls,
        "cost_final": totals.cost_final,
    }
