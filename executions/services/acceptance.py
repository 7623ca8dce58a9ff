"""What people decide about documents that wait for them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from access.selectors import Role
from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.errors import FieldError, Invalid
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
    """Accept a document that waits for it, reject it or ask for changes. The same decision again changes nothing.

    Raises:
        NotFound: there is no such execution or step, or none that the user may see.
        Forbidden: the user's role does not reach.
        Invalid: changes are asked for and not named.
        NotWaiting: the step waits for no decision (any more).
        VersionConflict: another version of the document waits, or the present one is none of `expected_versions`.
    """
    by = user.get_username()
    said = AcceptanceDecision(
        decision=decision, document_version=document_version, comment=comment, decided_by=by, decided_at=now
    )
    current = lock_for_update(user, execution_id, Role.REVIEWER, expected_versions=expected_versions)
    if decision is AcceptanceAction.REQUEST_CHANGES and not comment:
        raise _says_nothing()
    if _is_decided_so(current, step_id, said):
        return current
    handed = _handed(current, acceptance.waiting_document(current, step_id, version=document_version))

    def decide(execution: Execution, context: core.Context) -> core.Change:
        return acceptance.decide(execution, step_id, said, target=handed, context=context)

    stored = store_decision(execution_id, decide, now)
    if not stored.ended:
        enqueue_advance(execution_id)
    return stored


def _says_nothing() -> Invalid:
    error = FieldError(pointer="/comment", code="required", detail="Say what is to be changed.")
    return Invalid("A request for changes needs a comment.", [error])


def _handed(execution: Execution, pin: Pin) -> acceptance.AcceptanceContext:
    return acceptance.AcceptanceContext(
        document=repositories.get_document(pin.document_id, pin.version),
        definition=workflows.get_definition(execution.workflow_id, execution.workflow_version),
    )


def _is_decided_so(execution: Execution, step_id: str, said: AcceptanceDecision) -> bool:
    step = execution.steps.get(step_id)
    last = step.decisions[-1] if step is not None and step.decisions else None
    words = {"decision", "document_version", "comment"}
    if step is None or step.document_version != said.document_version:
        return False
    return last is not None and last.model_dump(include=words) == said.model_dump(include=words)
