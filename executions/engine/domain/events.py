"""The facts that an execution's log tells. One name serves the log, the stream and webhooks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue, TypeAdapter

from common.field_error import FieldError
from common.time import format_rfc3339
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.calls import Totals, Usage
from executions.engine.domain.clarification import Question
from executions.engine.domain.execution import Pin, ScopeRef
from executions.engine.domain.states import ExecutionStatus, FailureCode, Limit, WaitingOn
from workflows.definitions.definition import OnDeadline

DELTA = "step_delta"  # text of a step while the model writes it: in streams alone, never in the log
RESET = "stream-reset"  # events were pruned, or lost by the database: in streams alone, never in the log


class EventType(StrEnum):
    """Every event there is."""

    EXECUTION_CREATED = "execution_created"
    EXECUTION_STARTED = "execution_started"
    STEP_STARTED = "step_started"
    REMEDIATION_STARTED = "remediation_started"
    REVIEW_STARTED = "review_started"
    REVIEW_COMPLETED = "review_completed"
    CLARIFICATION_NEEDED = "clarification_needed"
    CLARIFICATION_ANSWERED = "clarification_answered"
    ACCEPTANCE_NEEDED = "acceptance_needed"
    ACCEPTANCE_DECIDED = "acceptance_decided"
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
    """One fact; `step_id` is None when it is about the execution as a whole."""

    event_type: ClassVar[EventType]
    step_id: str | None = None

    def data(self) -> dict[str, JsonValue]:
        """Return what the event tells beyond its type and step, ready for JSON."""
        pairs = {name: getattr(self, name) for name in _told(type(self))}  # type: ignore[arg-type]  # a class is hashable
        plain: dict[str, JsonValue] = _JSON.dump_python(pairs, mode="json")
        return plain


@cache
def _told(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind) if each.name != "step_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionCreated(Event):
    """It was accepted."""

    event_type = EventType.EXECUTION_CREATED
    workflow_id: str
    workflow_version: int
    scope: ScopeRef
    requested_by: str
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStarted(Event):
    """A worker took it for the first time."""

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
    """Output was invalid, or changes were asked for; the model is asked again. `attempt` is the one that begins."""

    event_type = EventType.REMEDIATION_STARTED
    attempt: int
    violations: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewStarted(Event):
    """The output is valid, and another model judges it."""

    event_type = EventType.REVIEW_STARTED
    attempt: int
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCompleted(Event):
    """What the reviewer says of the document, and what it found."""

    event_type = EventType.REVIEW_COMPLETED
    attempt: int
    verdict: str
    findings: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationNeeded(Event):
    """Questions wait for a person; unless they expire, for ever."""

    event_type = EventType.CLARIFICATION_NEEDED
    questions: tuple[Question, ...]
    expires_at: str | None = None  # RFC 3339
    on_deadline: OnDeadline | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClarificationAnswered(Event):
    """A person answered, or `BY_DEADLINE`."""

    event_type = EventType.CLARIFICATION_ANSWERED
    answered_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceNeeded(Event):
    """A document is stored, and waits for a person to decide about it."""

    event_type = EventType.ACCEPTANCE_NEEDED
    document_id: UUID
    document_version: int
    document_type: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceDecided(Event):
    """A person decided."""

    event_type = EventType.ACCEPTANCE_DECIDED
    decision: AcceptanceAction
    document_version: int
    comment: str
    decided_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompleted(Event):
    """Its document is stored; `cost_usd` is None when the model has no known price."""

    event_type = EventType.STEP_COMPLETED
    document_id: UUID
    document_version: int
    document_type: str
    title: str
    usage: Usage
    cost_usd: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(Event):
    """It ended without a document."""

    event_type = EventType.STEP_FAILED
    failure_code: FailureCode
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCancelled(Event):
    """A person stopped the execution."""

    event_type = EventType.STEP_CANCELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(Event):
    """It will not run."""

    event_type = EventType.STEP_SKIPPED
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionWaiting(Event):
    """Nothing can go on for now: someone has to act, or a moment (`resume_at`) has to come."""

    event_type = EventType.EXECUTION_WAITING
    waiting_on: tuple[WaitingOn, ...]
    resume_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResumed(Event):
    """What it waited for is there."""

    event_type = EventType.EXECUTION_RESUMED


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRetried(Event):
    """A person opened it again."""

    event_type = EventType.EXECUTION_RETRIED
    from_step: str | None
    requested_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetWarning(Event):
    """80 % of a limit is used or reserved; told once, until the budget is changed."""

    event_type = EventType.BUDGET_WARNING
    limit: Limit
    used: str | float  # money as decimal text
    maximum: str | float


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetChanged(Event):
    """A person gave the execution another budget; None: no limits."""

    event_type = EventType.BUDGET_CHANGED
    budget: dict[str, JsonValue] | None
    changed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete(Event):
    """It ended, one way or another; the last event until it is retried."""

    event_type = EventType.COMPLETE
    status: ExecutionStatus
    failure_code: FailureCode | None
    totals: dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent:
    """One numbered line of an execution's log, as it is stored and streamed."""

    execution_id: UUID
    sequence: int
    event_type: str  # an `EventType`, or what a newer version has stored
    step_id: str | None
    data: dict[str, JsonValue]
    timestamp: datetime


def money(amount: object) -> str | None:
    """Return an amount of US dollars as the decimal string that clients get (ten decimals), None for None."""
    return None if amount is None else f"{amount:.10f}"


def event_json(event: ProgressEvent) -> dict[str, JsonValue]:
    """Return the JSON object of an event, the same in streams and in pages of the log."""
    return {
        "event_type": str(event.event_type),
        "execution_id": str(event.execution_id),
        "step_id": event.step_id,
        "sequence": event.sequence,
        "timestamp": format_rfc3339(event.timestamp),
        "data": event.data,
    }


def totals_data(totals: Totals) -> dict[str, JsonValue]:
    """Return the totals of an execution as events and responses show them."""
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
