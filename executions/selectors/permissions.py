"""What a caller may do now with executions and steps: what the state permits, and what the role permits.

Commands decide by the same parts: `NEEDED_ROLE`, `CANCELLABLE`, `RETRIABLE` and `waits_for`.
"""

from __future__ import annotations

from access.permissions import Action
from access.selectors import Person
from executions import models
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CANCELLABLE, ENDED, RETRIABLE, ExecutionStatus, StepStatus, WaitingOn
from executions.engine.domain.users import UserRef
from executions.engine.domain.waits import Wait


def waits_for_decision(row: models.ExecutionStep) -> bool:
    """Return whether the document of a step waits for a person's decision, and for nothing else."""
    waits_for_more = row.asked_at is not None or row.resume_at is not None or row.blocked_by_limit != ""
    return row.status == StepStatus.WAITING.value and row.document_id is not None and not waits_for_more


def possible_in_execution(status: str, *, asks: bool, awaits_decision: bool) -> set[Action]:
    """Return what the state of an execution permits.

    Args:
        status: The status of the execution.
        asks: Whether a step has open questions.
        awaits_decision: Whether the document of a step waits for a decision.
    """
    is_open = status not in ENDED
    permitted = {
        Action.ANSWER: is_open and asks,
        Action.DECIDE: is_open and awaits_decision,
        Action.CANCEL: status in CANCELLABLE,
        Action.RETRY: status in RETRIABLE,
        Action.BUDGET: is_open,
    }
    return {action for action, is_permitted in permitted.items() if is_permitted}


def possible_in_value(execution: Execution) -> set[Action]:
    """Return what the state of an execution permits that is given as engine value."""
    waits = {step.waits_for for step in execution.steps.values()}
    return possible_in_execution(
        execution.status, asks=WaitingOn.CLARIFICATION in waits, awaits_decision=WaitingOn.ACCEPTANCE in waits
    )


def possible_in_step(row: models.ExecutionStep, user: Person) -> set[Action]:
    """Return what the state and the approvers of a step permit the user; the row is joined with its execution."""
    if ExecutionStatus(row.execution.status) in ENDED:
        return set()
    if row.asked_at is not None:
        return {Action.ANSWER}
    return {Action.DECIDE} if waits_for_decision(row) and not refusal_of_vote(row, user) else set()


def refusal_of_vote(row: models.ExecutionStep, user: Person) -> str:
    """Return why the approvers of a step exclude the user; empty if they do not. The row is joined as above."""
    if row.wait is None:
        return ""
    starter = UserRef(name=row.execution.requested_by_name, id=row.execution.requested_by_id)
    return Wait.model_validate(row.wait).refusal(UserRef(name=user.get_username(), id=user.pk), starter=starter)
