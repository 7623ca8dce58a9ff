"""An execution in the hands of a person: its row is locked, the role was looked at, and a decision is stored."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from rest_framework import exceptions

from access import selectors as access
from access.selectors import Role
from access.user import User
from executions.engine.domain.errors import NotFound, VersionConflict
from executions.engine.domain.execution import Execution
from executions.engine.ports import Transition
from executions.engine.transitions.core import Decide
from executions.persistence import repositories
from executions.persistence.journal import journal


def lock_for_update(
    user: User, execution_id: UUID, need: Role, *, expected_versions: Collection[int] | None
) -> Execution:
    """Return the execution with its row locked, if the user's role reaches and nobody was quicker.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user's role does not reach.
        VersionConflict: the present version is none of `expected_versions`.
    """
    execution = repositories.lock(execution_id)
    try:
        access.require_in(user, execution.scope.id, need)
    except exceptions.NotFound as error:  # in the words for an id that does not exist: neither tells of the other
        raise NotFound("There is no such execution.") from error
    if expected_versions is not None and execution.version not in expected_versions:
        raise VersionConflict("The execution", expected=[*sorted(expected_versions)])
    return execution


def store_decision(execution_id: UUID, decide: Decide, now: datetime) -> Execution:
    """Store what was decided, in the transaction that holds the row.

    Raises:
        EngineError: what `decide` raises; nothing is stored then.
    """
    return journal.apply(Transition(execution_id=execution_id, fencing_token=None, decide=decide), now=now)
