"""Row locks for commands: lock an execution, check role and version, store a decision, record the act."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from access import audit
from access import selectors as access
from access.permissions import Role
from access.user import User
from common.errors import NotFound, VersionConflict
from executions.engine.domain.execution import Execution
from executions.engine.ports import Transition
from executions.engine.transitions.core import Decide
from executions.persistence import repositories
from executions.persistence.journal import journal
from executions.selectors import executions


def lock_for_update(
    user: User, execution_id: UUID, need: Role, *, expected_versions: Collection[int] | None
) -> Execution:
    """Lock the execution's row and return the execution, if the user's role and the version permit it.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user's role does not permit it.
        VersionConflict: the execution's version is not in `expected_versions`.
    """
    execution = repositories.lock(execution_id)
    _require(user, execution.scope.id, need)
    if expected_versions is not None and execution.version not in expected_versions:
        raise VersionConflict("The execution", expected=[*sorted(expected_versions)])
    return execution


def check_role(user: User, execution_id: UUID, need: Role) -> None:
    """Check the user's role before anything is locked.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user's role does not permit it.
    """
    scope_id = executions.scope_of(execution_id)
    if scope_id is None:
        raise NotFound("There is no such execution.")
    _require(user, scope_id, need)


def _require(user: User, scope_id: UUID, need: Role) -> None:
    try:
        access.require_in(user, scope_id, need)
    # the same text as for an unknown id, so that it does not reveal whether the id exists
    except NotFound as error:
        raise NotFound("There is no such execution.") from error


def store_decision(execution_id: UUID, decide: Decide, now: datetime) -> Execution:
    """Store a decision in the transaction that holds the row lock.

    Raises:
        DomainError: any error of `decide`; then nothing is stored.
    """
    return journal.apply(Transition(execution_id=execution_id, fencing_token=None, decide=decide), now=now)


def record_act(act: audit.Act, execution: Execution, *, part: str = "", version: int | None = None) -> None:
    """Record a person's act upon an execution, after it was stored.

    `version` is what the act is about; by default the version of the execution after it.
    """
    number = execution.version if version is None else version
    audit.record(act, "execution", execution.id, part=part, root_id=execution.scope.id, version=number)
