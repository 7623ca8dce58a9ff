"""Commands: how long executions are kept, and erasing those that are older."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from access.audit import Act, record
from access.permissions import Action
from access.selectors import scope_for
from access.user import User
from executions.engine.domain.states import Erasing
from executions.persistence import repositories, retention
from executions.persistence.retention import Policy, Retention
from executions.services.erasure import executions as erasing
from executions.services.locking import record_act


@transaction.atomic
def change_scope_retention(
    *,
    user: User,
    scope_type: str,
    scope_key: str,
    days: int | None,
    expected_versions: Collection[int] | None,
) -> Retention:
    """Change how long a root scope keeps executions; None: as their workflows say, or for ever.

    The same setting again changes and records nothing.

    Raises:
        NotFound: there is no such scope, or none that the user may see.
        Forbidden: the user is no owner of the scope.
        PreconditionFailed: its version is not in `expected_versions`.
    """
    scope = scope_for(user, Action.SET_RETENTION, scope_type=scope_type, scope_key=scope_key)
    before = retention.scope_retention(scope.id)
    stored = retention.set_scope_retention(scope.id, days, expected_versions=expected_versions)
    if stored != before:
        record(Act.SCOPE_RETENTION, "scope", scope.id, root_id=scope.id, version=stored.version)
    return stored


@dataclass(frozen=True, slots=True)
class Due:
    """A policy, and the number of executions that are older."""

    policy: Policy
    number: int
    before: datetime


def due(*, now: datetime) -> Iterator[Due]:
    """Yield the policies with the number of executions that are older. It changes nothing."""
    for policy in retention.policies():
        yield Due(policy, policy.count(now=now), policy.before(now))


def erase_due(*, now: datetime) -> Iterator[Due]:
    """Erase the executions that are older than they are kept, one by one; yield the policies with their number.

    Raises:
        DatabaseUnavailable: the connection was lost; earlier executions have been erased.
    """
    for policy in retention.policies():
        number = 0
        while erase_next_due(policy, now=now):
            number += 1
        yield Due(policy, number, policy.before(now))


def erase_next_due(policy: Policy, *, now: datetime) -> bool:
    """Erase the oldest execution that is due; return whether there was one.

    Any number of processes may do it at once: each leaves out what another one is beginning.

    Raises:
        DatabaseUnavailable: the connection was lost; a worker goes on with what has begun.
    """
    execution_id = _begin_next(policy, now)
    if execution_id is None:
        return False
    erasing.finish(execution_id)
    return True


@transaction.atomic
def _begin_next(policy: Policy, now: datetime) -> UUID | None:
    """Begin to erase the oldest execution that is due, and return it; None: there is none."""
    for execution_id in policy.lock_due(now=now, limit=1):
        erased = erasing.begin(repositories.lock(execution_id), Erasing.ALL, now=now)
        record_act(Act.EXECUTION_ERASE, erased)
        return execution_id
    return None
