"""The statuses of executions, steps and calls, and the one table of legal moves between them."""

from __future__ import annotations

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """Where an execution stands."""

    #: Accepted; no worker has taken it yet.
    PENDING = "pending"
    #: Something in it can go on.
    RUNNING = "running"
    #: Nothing in it can go on without someone; holds no worker.
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """Where a step stands."""

    #: Not started, or answered and ready to be taken up again.
    PENDING = "pending"
    RUNNING = "running"
    #: A person has to answer, or its time has to come.
    WAITING = "waiting"
    #: Its output was invalid, or a person asked for changes; the model is asked again with what is wrong.
    REMEDIATING = "remediating"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: It will not run: something that it needs has failed.
    SKIPPED = "skipped"


class CallStatus(StrEnum):
    """What became of one paid call."""

    #: Announced; it may or may not have reached the provider.
    PENDING = "pending"
    #: Answered, and the answer was used.
    COMMITTED = "committed"
    #: Nobody waits for its answer any more (cancelled, superseded).
    DISCARDED = "discarded"
    #: The provider refused or failed it.
    FAILED = "failed"
    #: The worker died while it was under way, or it was cut off: the provider may have charged for it.
    UNKNOWN = "unknown"


class CallKind(StrEnum):
    """Why the model was called."""

    GENERATE = "generate"
    #: To mend output that was invalid, that a review found fault with, or that a person wants changed.
    REMEDIATE = "remediate"
    #: Anew, with the answers to the questions that it asked.
    CLARIFY = "clarify"
    #: To judge a document by the step's rubric.
    REVIEW = "review"


class WaitingOn(StrEnum):
    """What a waiting execution waits for."""

    CLARIFICATION = "clarification"
    #: A document waits for a person to accept it, to reject it or to ask for changes.
    ACCEPTANCE = "acceptance"
    #: The next call might pass a limit; somebody has to raise it.
    BUDGET = "budget"
    #: The provider cannot answer for now, or has asked to be left alone; the next try is at a moment that is known.
    RATE_LIMIT = "rate_limit"


class Limit(StrEnum):
    """What a budget limits."""

    COST = "max_cost_usd"
    TOKENS = "max_tokens"
    CALLS = "max_calls"
    SECONDS = "max_seconds"
    #: What all executions of the root scope together may spend in a month.
    SCOPE_MONTH = "scope_month"


class FailureCode(StrEnum):
    """Why an execution or a step failed."""

    VALIDATION_EXHAUSTED = "validation_exhausted"
    MODEL_REFUSED = "model_refused"
    OUTPUT_TRUNCATED = "output_truncated"
    CONTEXT_TOO_LONG = "context_too_long"
    #: Key, permission or bad request: trying again would not help.
    PROVIDER_REJECTED = "provider_rejected"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    TIMED_OUT = "timed_out"
    #: Nobody answered its questions in time.
    QUESTION_EXPIRED = "question_expired"
    #: A person rejected its document.
    REJECTED = "rejected"
    #: Runner after runner was lost over it.
    RECOVERY_EXHAUSTED = "recovery_exhausted"
    INTERNAL = "internal"


EXECUTION_TRANSITIONS: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    ExecutionStatus.PENDING: frozenset({ExecutionStatus.RUNNING, ExecutionStatus.CANCELLED}),
    ExecutionStatus.RUNNING: frozenset(
        {
            ExecutionStatus.WAITING,
            ExecutionStatus.COMPLETED,
            ExecutionStatus.FAILED,
            ExecutionStatus.CANCELLED,
        }
    ),
    ExecutionStatus.WAITING: frozenset({ExecutionStatus.RUNNING, ExecutionStatus.CANCELLED}),
    ExecutionStatus.COMPLETED: frozenset(),
    ExecutionStatus.FAILED: frozenset({ExecutionStatus.RUNNING}),  # by a retry alone
    ExecutionStatus.CANCELLED: frozenset({ExecutionStatus.RUNNING}),  # by a retry alone
}

STEP_TRANSITIONS: dict[StepStatus, frozenset[StepStatus]] = {
    StepStatus.PENDING: frozenset({StepStatus.RUNNING, StepStatus.CANCELLED, StepStatus.SKIPPED}),
    StepStatus.RUNNING: frozenset(
        {
            StepStatus.WAITING,
            StepStatus.REMEDIATING,
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.CANCELLED,
        }
    ),
    StepStatus.REMEDIATING: frozenset(
        {
            StepStatus.REMEDIATING,
            StepStatus.WAITING,
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.CANCELLED,
        }
    ),
    StepStatus.WAITING: frozenset(
        {
            StepStatus.PENDING,
            StepStatus.SKIPPED,
            StepStatus.CANCELLED,
            # By a person who decides on its document; FAILED also when its questions have expired.
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.REMEDIATING,
        }
    ),
    # Out of these by a retry alone; back to WAITING when its questions, or the decision on its document, were open.
    StepStatus.COMPLETED: frozenset({StepStatus.PENDING}),
    StepStatus.FAILED: frozenset({StepStatus.PENDING, StepStatus.WAITING}),
    StepStatus.CANCELLED: frozenset({StepStatus.PENDING, StepStatus.WAITING}),
    StepStatus.SKIPPED: frozenset({StepStatus.PENDING, StepStatus.WAITING}),
}


ENDED = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
ACTIVE = frozenset({ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING})
WORKING = frozenset({StepStatus.RUNNING, StepStatus.REMEDIATING})
#: Where a waiting step comes by a person's decision about its document (to FAILED also by expired questions).
DECIDED = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.REMEDIATING})
UNFINISHED = frozenset({StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING, StepStatus.REMEDIATING})
