"""An execution with collections, and items in any state."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from access.user import User
from executions.engine.domain.execution import Execution
from executions.models import ExecutionStep
from executions.services import executions
from tests.factories import collections
from workflows import repository as workflows


def delivery(user: User, key: str = "delivery") -> Execution:
    """Start a workflow with collections in a project of the user's."""
    definition = collections.delivery()
    workflows.publish(definition, now=timezone.now())
    return executions.start_execution(
        user=user, workflow_id=definition.id, scope_type="project", scope_id=key, input="A brief.", now=timezone.now()
    )


def with_items(execution: Execution, slug: str, number: int, **statuses: int) -> list[str]:
    """Store so many items of a step, the first ones in these statuses, the others pending; return their ids."""
    ExecutionStep.objects.filter(execution_id=execution.id, step_id__startswith=f"{slug}@").delete()
    definition = collections.delivery()
    states = [status for status, count in statuses.items() for _ in range(count)]
    states += ["pending"] * (number - len(states))
    shared: dict[str, Any] = {
        "execution_id": execution.id,
        "position": definition.positions[slug],
        "level": definition.levels[slug],
        "name": definition.step(slug).name,
        "role": "role",
        "produces": slug,
    }
    rows = [
        ExecutionStep(step_id=f"{slug}@e-{n}", label=f"Epic {n}", item_order=n, status=status, **shared)
        for n, status in enumerate(states)
    ]
    return [row.step_id for row in ExecutionStep.objects.bulk_create(rows)]
