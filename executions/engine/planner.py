"""Which steps can start now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from executions.engine.execution import Execution, ScopeRef, Step
from executions.engine.states import StepStatus
from workflows.definition import WorkflowDefinition


def plan_steps(definition: WorkflowDefinition) -> dict[str, Step]:
    """Return the steps of a new execution: the order follows from the documents they read and make."""
    waits_for, levels = definition.dependencies(), definition.levels()
    return {
        step.id: Step(
            step_id=step.id,
            position=position,
            level=levels[step.id],
            name=step.name,
            role=definition.roles[step.role].name,
            produces=step.produces,
            depends_on=waits_for[step.id],
        )
        for position, step in enumerate(definition.steps)
    }


def ready_steps(execution: Execution, *, once_done: str | None = None) -> tuple[Step, ...]:
    """Return the steps that can start now, in order: pending, with all they need completed.

    After a failure nothing new starts. `once_done` names a step that is taken for completed.
    """
    steps = execution.steps
    if execution.ended or any(step.status is StepStatus.FAILED for step in steps.values()):
        return ()
    ready = (
        step
        for step in steps.values()
        if step.status is StepStatus.PENDING
        and all(other == once_done or steps[other].status is StepStatus.COMPLETED for other in step.depends_on)
    )
    return tuple(sorted(ready, key=lambda step: step.position))


def new_execution(
    definition: WorkflowDefinition,
    *,
    execution_id: UUID,
    workflow_version: int,
    scope: ScopeRef,
    brief: str | Mapping[str, JsonValue],
    now: datetime,
) -> Execution:
    """Return a fresh execution of a workflow, nothing of it begun."""
    return Execution(
        id=execution_id,
        workflow_id=definition.id,
        workflow_version=workflow_version,
        scope=scope,
        input=brief,
        steps=plan_steps(definition),
        created_at=now,
        updated_at=now,
    )
