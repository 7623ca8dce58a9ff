"""Commands of the inbox: assign what waits, dismiss failures, accept many documents."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction

from access import selectors as access
from access.audit import Act, record
from access.permissions import NEEDED_ROLE, Action, Role
from access.user import User
from common.errors import (
    Conflict,
    DomainError,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    VersionConflict,
)
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import InboxKind
from executions.engine.transitions import core, waits
from executions.persistence import inbox_entries, repositories
from executions.persistence.notifier import announce_inbox
from executions.selectors import inbox
from executions.selectors.inbox import EntryFacts
from executions.services.acceptance import PersonsDecision, decide_acceptance
from executions.services.locking import check_role, lock_for_update, record_act, store_decision

#: The changed execution, or the error for it.
Outcome = Execution | DomainError


class NotDismissible(Conflict):
    """The entry is no failure: it leaves the inbox when a person has acted on it."""

    code = "not-dismissible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who acts on a step, and until when."""

    assignees: Sequence[str]
    sets_due: bool = False  # else the due date stays
    due_at: datetime | None = None


@transaction.atomic
def assign_step(
    *,
    user: User,
    execution_id: UUID,
    step_id: str,
    said: Assignment,
    now: datetime,
    expected_versions: Collection[int] | None = None,
) -> Execution:
    """Give a step that waits for people other assignees, and a due date. Repeating it changes nothing.

    Raises:
        NotFound: there is no such execution or step, or none that the user may see.
        Forbidden: the user's role does not permit it.
        Invalid: an assignee cannot act on the step, the votes cannot be given, or the due date has passed.
        NotWaiting: the step does not wait for people.
        VersionConflict: the execution's version is not in `expected_versions`.
    """
    current = lock_for_update(user, execution_id, Role.OPERATOR, expected_versions=expected_versions)
    _check(said, current.scope.id, now)
    step = current.steps.get(step_id)
    before = None if step is None or step.wait is None else step.wait
    kept = None if before is None else before.due_at
    due_at = said.due_at if said.sets_due else kept
    change = waits.assign(current, step_id, said.assignees, due_at=due_at)
    if before is not None and change.execution.steps[step_id].wait == before:
        return current

    def decide(execution: Execution, _context: core.Context) -> core.Change:
        return waits.assign(execution, step_id, said.assignees, due_at=due_at)

    transaction.on_commit(partial(announce_inbox, current.scope.id))
    stored = store_decision(execution_id, decide, now)
    record_act(Act.STEP_ASSIGN, stored, part=step_id)
    return stored


def _check(said: Assignment, root_id: UUID, now: datetime) -> None:
    able = access.names_with_role(root_id, said.assignees, NEEDED_ROLE[Action.DECIDE])
    faults = [
        FieldError(pointer=f"/assignees/{number}", code="no_reviewer", detail=f"{name!r} has no role to act on this.")
        for number, name in enumerate(said.assignees)
        if name not in able
    ]
    if said.sets_due and said.due_at is not None and said.due_at <= now:
        faults.append(FieldError(pointer="/due_at", code="past", detail="Expected a time in the future."))
    if faults:
        raise Invalid("The step cannot be assigned like this.", faults)


@transaction.atomic
def dismiss(*, user: User, entry_id: UUID) -> EntryFacts:
    """Remove a failure from the inbox of all users, and return its entry.

    Raises:
        NotFound: there is no such entry, or none that the user may see.
        Forbidden: the user's role does not permit it.
        NotDismissible: it is no failure.
    """
    entry = inbox.entry(entry_id)
    if entry is None:
        raise _no_entry()
    try:
        access.require_in(user, entry.root_id, Role.OPERATOR)
    except NotFound as error:
        raise _no_entry() from error
    if entry.kind is not InboxKind.FAILURE:
        raise NotDismissible(f"Only failures can be dismissed; this is a {entry.kind}.")
    if not inbox_entries.dismiss(entry_id):
        raise _no_entry()  # a retry was faster
    record(Act.EXECUTION_DISMISS, "execution", entry.execution_id, root_id=entry.root_id)
    transaction.on_commit(partial(announce_inbox, entry.root_id))
    return entry


def _no_entry() -> NotFound:
    return NotFound("There is no such entry of the inbox.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingVersion:
    """A document version that waits for a decision, as the user has read it."""

    execution_id: UUID
    step_id: str
    document_version: int


@transaction.atomic
def accept_many(*, user: User, items: Sequence[WaitingVersion], now: datetime) -> list[Outcome]:
    """Accept documents, each on its own: an error for one does not affect the others.

    The executions are locked in the order of their ids before the first write.
    """
    repositories.lock_rows({each.execution_id for each in items}).value  # noqa: B018 - waits for the locks
    return [_accept(user, each, now) for each in items]


def _accept(user: User, item: WaitingVersion, now: datetime) -> Outcome:
    said = PersonsDecision(decision=AcceptanceAction.ACCEPT, document_version=item.document_version)
    try:
        with transaction.atomic():
            return decide_acceptance(
                user=user, execution_id=item.execution_id, step_id=item.step_id, said=said, now=now
            )
    except VersionConflict:
        return PreconditionFailed()  # the item names the version
    except DomainError as error:
        return error


def require_decisions(user: User, execution_ids: Collection[UUID]) -> None:
    """Check that the user may still decide in all of the executions.

    Raises:
        NotFound: an execution no longer exists, or the user may not see it.
        Forbidden: the user's role does not permit it.
    """
    for execution_id in sorted(execution_ids):
        check_role(user, execution_id, NEEDED_ROLE[Action.DECIDE])


def without_decisions(user: User, execution_ids: Collection[UUID]) -> set[UUID]:
    """Return the executions in which the user may not decide, or which the user may not see."""
    found = set()
    for execution_id in execution_ids:
        try:
            check_role(user, execution_id, NEEDED_ROLE[Action.DECIDE])
        except (NotFound, Forbidden):
            found.add(execution_id)
    return found


def require_operator(user: User, execution_id: UUID) -> None:
    """Check that the user may still dismiss the failure of the execution.

    Raises:
        NotFound: the execution no longer exists, or the user may not see it.
        Forbidden: the user's role does not permit it.
    """
    check_role(user, execution_id, Role.OPERATOR)
