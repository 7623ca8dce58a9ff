"""Commands: changes of budgets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from access.audit import Act
from access.permissions import NEEDED_ROLE, Action
from access.user import User
from executions.engine.domain.execution import Execution
from executions.engine.transitions import budgets, core
from executions.queue.jobs import enqueue_advance
from executions.services.locking import lock_for_update, record_act, store_decision
from workflows.definitions.budget import merge_limits


@transaction.atomic
def change_budget(
    *,
    user: User,
    execution_id: UUID,
    limits: Mapping[str, Any],
    now: datetime,
    expected_versions: Collection[int] | None = None,
) -> Execution:
    """Change the named limits of an execution; null removes a limit. Budget-blocked steps try again.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user's role does not permit it.
        IllegalTransition: the execution has ended.
        VersionConflict: the execution's version is not in `expected_versions`.
    """
    current = lock_for_update(user, execution_id, NEEDED_ROLE[Action.BUDGET], expected_versions=expected_versions)
    budget, username = merge_limits(current.budget, limits), user.get_username()
    if budget == current.budget and not current.ended:
        return current

    def decide(execution: Execution, context: core.Context) -> core.Change:
        return budgets.change_budget(execution, budget, changed_by=username, context=context)

    stored = store_decision(execution_id, decide, now)
    record_act(Act.EXECUTION_BUDGET, stored)
    enqueue_advance(execution_id)
    return stored
