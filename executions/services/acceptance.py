"""Commands: decisions about documents that wait for acceptance."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from access.selectors import Role
from access.user import User
from common.errors import FieldError, Invalid
from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.execution import Execution, Pin
from executions.engine.transitions import acceptance, core
from executions.persistence import repositories
from executions.queue.jobs import enqueue_advance
from executions.services.locking import lock_for_update, store_decision
from workflows import repository as workflows


@transaction.atomic
def decide_acceptance(
    *,
    user: User,
    execution_id: UUID,
    step_id: str,
    decision: AcceptanceAction,
    document_version: int,
    comment: str = "",
    now: datetime,
    expected_versions: Collection[int] | None = None,
) -> Execution:
    """Accept or reject a waiting document, or request changes. Repeating the same decision changes nothing.

    Raises:
        NotFound: there is no such execution or step, or none that the user may see.
        Forbidden: the user's role does not permit it.
        Invalid: a request for changes has no comment.
        NotWaiting: the step does not wait for a decision, or no longer does.
        VersionConflict: another version of the document waits, or the execution's version is not in
        `expected_versions`.
    """
    username = user.get_username()
    new_decision = AcceptanceDecision(
        decision=decision, document_version=document_version, comment=comment, decided_by=username, decided_at=now
    )
    current = lock_for_update(user, execution_id, Role.REVIEWER, expected_versions=expected_versions)
    if decision is AcceptanceAction.REQUEST_CHANGES and not comment:
        raise _comment_missing()
    if _is_same_decision(current, step_id, new_decision):
        return current
    target = _acceptance_context(current, acceptance.waiting_document(current, step_id, version=document_version))

    def decide(execution: Execution, context: core.Context) -> core.Change:
        return acceptance.decide(execution, step_id, new_decision, target=target, context=context)

    stored = store_decision(execution_id, decide, now)
    if not stored.ended:
        enqueue_advance(execution_id)
    return stored


def _comment_missing() -> Invalid:
    error = FieldError(pointer="/comment", code="required", detail="Describe the changes.")
    return Invalid("A request for changes needs a comment.", [error])


def _acceptance_context(execution: Execution, pin: Pin) -> acceptance.AcceptanceContext:
    return acceptance.AcceptanceContext(
        document=repositories.get_document(pin.document_id, pin.version),
        definition=workflows.get_definition(execution.workflow_id, execution.workflow_version),
    )


def _is_same_decision(execution: Execution, step_id: str, new_decision: AcceptanceDecision) -> bool:
    step = execution.steps.get(step_id)
    last = step.decisions[-1] if step is not None and step.decisions else None
    compared_fields = {"decision", "document_version", "comment"}
    if step is None or step.document_version != new_decision.document_version:
        return False
    if last is None:
        return False
    return last.model_dump(include=compared_fields) == new_decision.model_dump(include=compared_fields)
