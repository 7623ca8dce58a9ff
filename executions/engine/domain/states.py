"""The statuses of executions, steps and calls, and the tables of their legal transitions."""

from __future__ import annotations

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """The status of an execution."""

    #: Accepted; no worker has claimed it yet.
    PENDING = "pending"
    #: At least one step can run.
    RUNNING = "running"
    #: No step can continue without a person or a later point in time. No worker is occupied.
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """The status of a step."""

    #: Not started, or answered and ready to continue.
    PENDING = "pending"
    RUNNING = "running"
    #: Waits for a person, for a budget or for a point in time.
    WAITING = "waiting"
    #: Its output was invalid, or a person requested changes. The model is called again with the violations.
    REMEDIATING = "remediating"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: It will not run, because a step that it depends on failed.
    SKIPPED = "skipped"


class CallStatus(StrEnum):
    """The status of one paid call."""

    #: Recorded before sending; it may or may not have reached the provider.
    PENDING = "pending"
    #: The provider replied, and the reply was used.
    COMMITTED = "committed"
    #: The reply is no longer needed, because the execution was cancelled or claimed by another worker.
    DISCARDED = "discarded"
    #: The provider rejected the call, or it failed.
    FAILED = "failed"
    #: The worker died during the call, or the connection broke. The provider may have charged for it.
    UNKNOWN = "unknown"


class CallKind(StrEnum):
    """The purpose of a call."""

    GENERATE = "generate"
    #: To correct output that was invalid, that a review rejected, or for which a person requested changes.
    REMEDIATE = "remediate"
    #: To generate again with the answers to the model's questions.
    CLARIFY = "clarify"
    #: To review a document by the step's rubric.
    REVIEW = "review"


class WaitingOn(StrEnum):
    """What a waiting execution or step waits for."""

    CLARIFICATION = "clarification"
    #: A person has to accept or reject a document, or request changes.
    ACCEPTANCE = "acceptance"
    #: The next call might exceed a limit, which a person has to raise.
    BUDGET = "budget"
    #: The provider is unavailable or limits the rate of calls. The time of the next try is known.
    RATE_LIMIT = "rate_limit"


class InboxKind(StrEnum):
    """What people can do about an execution."""

    #: Answer a step's questions.
    QUESTION = "question"
    #: Decide about a step's document.
    ACCEPTANCE = "acceptance"
    #: Raise a limit.
    BUDGET = "budget"
    #: Retry a failed execution, or dismiss the entry.
    FAILURE = "failure"


class Reuse(StrEnum):
    """Which documents of its scope an execution completes its steps with, in place of calls."""

    NONE = "none"
    #: Those that the same step made from the same brief and from inputs with the same content.
    CURRENT = "current"


class Erasing(StrEnum):
    """What is being erased of an execution that has ended."""

    #: What people and models wrote in it, but not the documents that it made.
    CONTENTS = "contents"
    #: Also the versions of documents that it made.
    ALL = "all"


class Limit(StrEnum):
    """The limits of a budget."""

    COST = "max_cost_usd"
    TOKENS = "max_tokens"
    CALLS = "max_calls"
    SECONDS = "max_seconds"
    #: Monthly cost of all executions in the root scope together.
    SCOPE_MONTH = "scope_month"


class FailureCode(StrEnum):
    """Why an execution or a step failed."""

    VALIDATION_EXHAUSTED = "validation_exhausted"
    MODEL_REFUSED = "model_refused"
    OUTPUT_TRUNCATED = "output_truncated"
    CONTEXT_TOO_LONG = "context_too_long"
    #: Bad API key, missing permission or malformed request: trying again would not help.
    PROVIDER_REJECTED = "provider_rejected"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    TIMED_OUT = "timed_out"
    #: The questions were not answered before their deadline.
    QUESTION_EXPIRED = "question_expired"
    #: A person rejected the step's document.
    REJECTED = "rejected"
    #: Too many workers in a row were lost while they ran the execution.
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
    ExecutionStatus.FAILED: frozenset({ExecutionStatus.RUNNING}),  # only by a retry
    ExecutionStatus.CANCELLED: frozenset({ExecutionStatus.RUNNING}),  # only by a retry
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
            # By a person who decides on its document; to FAILED also by the deadline of its questions.
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.REMEDIATING,
        }
    ),
    # Only by a retry. Back to WAITING if the step's questions, or the decision on its document, were open.
    StepStatus.COMPLETED: frozenset({StepStatus.PENDING}),
    StepStatus.FAILED: frozenset({StepStatus.PENDING, StepStatus.WAITING}),
    StepStatus.CANCELLED: frozenset({StepStatus.PENDING, StepStatus.WAITING}),
    StepStatus.SKIPPED: frozenset({StepStatus.PENDING, StepStatus.WAITING}),
}


#: What a person may cancel, and what a person may retry.
CANCELLABLE = frozenset(each for each, to in EXECUTION_TRANSITIONS.items() if ExecutionStatus.CANCELLED in to)
RETRIABLE = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
ENDED = frozenset({ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
ACTIVE = frozenset({ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING})
WORKING = frozenset({StepStatus.RUNNING, StepStatus.REMEDIATING})
#: Target statuses of a decision on a waiting step's document; FAILED also after a deadline.
DECIDED = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.REMEDIATING})
UNFINISHED = frozenset({StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING, StepStatus.REMEDIATING})
#: Statuses of a step that keeps its wait for people: a retry opens it again.
KEEP_WAIT = frozenset({StepStatus.WAITING, StepStatus.CANCELLED, StepStatus.SKIPPED, StepStatus.FAILED})
