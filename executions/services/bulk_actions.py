"""Bulk commands: each execution is decided on its own, and all decisions are stored together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import transaction

from access import selectors as access
from access.audit import Act, Subject, record_each
from access.permissions import NEEDED_ROLE, Action
from access.user import User
from common.errors import DomainError, Forbidden, NotFound
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus
from executions.engine.ports import Transition
from executions.engine.transitions import core, retry
from executions.engine.transitions.acceptance import WaitingDocument
from executions.engine.transitions.core import Decide
from executions.persistence import repositories
from executions.persistence.journal.locked_batch import LockedBatch
from executions.queue.jobs import enqueue_advance
from executions.services.executions import waiting_documents

#: The changed execution, or the error for it.
Outcome = Execution | DomainError


class BulkAction(StrEnum):
    """Actions that can be applied to many executions."""

    CANCEL = "cancel"
    RETRY = "retry"


_ACTS = {BulkAction.CANCEL: Act.EXECUTION_CANCEL, BulkAction.RETRY: Act.EXECUTION_RETRY}


@transaction.atomic
def act_on_many(
    *, user: User, action: BulkAction, execution_ids: Collection[UUID], now: datetime
) -> dict[UUID, Outcome]:
    """Cancel or retry executions, each on its own: an error for one does not affect the others.

    A cancelled execution is not cancelled again. Rows are locked in the order of their ids before the first write.
    """
    found = repositories.lock_all(set(execution_ids), known={})
    refusals = _refusals(user, {each.scope.id for each in found.values()})
    outcomes: dict[UUID, Outcome] = {each: _no_execution() for each in execution_ids}
    outcomes |= {each.id: refusals.get(each.scope.id) or each for each in found.values()}
    wanted = {each: held for each, held in found.items() if outcomes[each] is held and not _is_done(action, held)}
    decide = _decision(user, action, wanted.values())
    transitions = [Transition(execution_id=each, fencing_token=None, decide=decide) for each in sorted(wanted)]
    stored = LockedBatch(transitions, now=now, known=found).commit().outcomes
    for each, outcome in zip(sorted(wanted), stored, strict=True):
        if not isinstance(outcome, Execution | DomainError):
            raise outcome  # an unexpected exception: the transaction is rolled back
        outcomes[each] = outcome
        if action is BulkAction.RETRY and isinstance(outcome, Execution):
            enqueue_advance(each)
    changed = [each for each in stored if isinstance(each, Execution)]
    subjects = [Subject("execution", each.id, root_id=each.scope.id, version=each.version) for each in changed]
    record_each(_ACTS[action], subjects)
    return outcomes


def require_all(user: User, execution_ids: Iterable[UUID]) -> None:
    """Check that the user may still act on all of the executions.

    Raises:
        NotFound: an execution no longer exists, or the user may not see it.
        Forbidden: the user's role does not permit it.
    """
    wanted = set(execution_ids)
    scopes = repositories.scopes_of(wanted)
    if wanted - scopes.keys():
        raise _no_execution()
    for refusal in _refusals(user, set(scopes.values())).values():
        raise refusal


def _refusals(user: User, scope_ids: Collection[UUID]) -> dict[UUID, DomainError]:
    """Return why the user may not act in these scopes, for those with such an error. All actions need one role."""
    found: dict[UUID, DomainError] = {}
    need = NEEDED_ROLE[Action.CANCEL]
    for scope_id in sorted(scope_ids):
        try:
            access.require_in(user, scope_id, need)
        except NotFound:
            found[scope_id] = _no_execution()
        except Forbidden as error:
            found[scope_id] = error
    return found


def _no_execution() -> NotFound:
    return NotFound("There is no such execution.")


def _is_done(action: BulkAction, execution: Execution) -> bool:
    return action is BulkAction.CANCEL and execution.status is ExecutionStatus.CANCELLED


def _decision(user: User, action: BulkAction, executions: Iterable[Execution]) -> Decide:
    if action is BulkAction.CANCEL:
        return lambda execution, context: core.cancel(execution, context=context)
    name, waiting = user.get_username(), _waiting(executions)
    return lambda execution, context: retry.retry(
        execution, from_step=None, requested_by=name, waiting=waiting, context=context
    )


def _waiting(executions: Iterable[Execution]) -> Mapping[UUID, WaitingDocument]:
    return waiting_documents(
        step for execution in executions for step in execution.steps.values() if retry.was_awaiting_decision(step)
    )
