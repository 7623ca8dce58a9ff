"""Planning: the steps of a new execution, and the steps that can start now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Brief, Execution, ScopeRef, Step, child_scope
from executions.engine.domain.states import StepStatus
from workflows.definitions.definition import StepDefinition, WorkflowDefinition

DRY_RUN = "dry-run"  # type of the scope that contains the documents of a dry run


def instance_id(slug: str, keys: Sequence[str]) -> str:
    """Return the id of a step instance for an item; without keys, the slug."""
    return f"{slug}@{'.'.join(keys)}" if keys else slug


def new_step(definition: WorkflowDefinition, step: StepDefinition, *, scope: ScopeRef) -> Step:
    """Return a new step that depends on the steps of its definition."""
    return Step(
        step_id=step.id,
        scope=scope,
        position=definition.positions[step.id],
        level=definition.levels[step.id],
        name=step.name,
        role=definition.roles[step.role].name,
        produces=step.produces,
        depends_on=definition.dependencies[step.id],
        optional=step.for_each is not None and step.for_each.on_item_failure == "skip",
    )


def plan_steps(definition: WorkflowDefinition, *, scope: ScopeRef) -> dict[str, Step]:
    """Return the steps of a new execution. for_each steps are added when their collection exists."""
    return {step.id: new_step(definition, step, scope=scope) for step in definition.steps if step.for_each is None}


def step_order(step: Step) -> tuple[int, int]:
    """Return the sort key of steps: first the order of definition, then of items."""
    return (step.position, step.item_order)


def dependents(execution: Execution, step_id: str) -> list[Step]:
    """Return the direct and indirect dependents of a step, ordered by level."""
    reached = {step_id}
    found: list[Step] = []
    for step in sorted(execution.steps.values(), key=lambda each: each.level):
        if not reached.isdisjoint(step.depends_on):
            reached.add(step.step_id)
            found.append(step)
    return found


def ready_steps(execution: Execution, *, assume_completed: str | None = None) -> tuple[Step, ...]:
    """Return the steps that can start now, in order: pending steps whose dependencies are completed.

    After a fatal failure no step can start. The step `assume_completed` is treated as completed.
    """
    return tuple(sorted(_ready(execution, assume_completed), key=step_order))


def has_ready_steps(execution: Execution) -> bool:
    """Return whether a step can start now."""
    return bool(_ready(execution))


def is_ready(execution: Execution, step_id: str) -> bool:
    """Return whether this step can start now."""
    steps = execution.steps
    step = steps[step_id]
    if step.status is not StepStatus.PENDING or execution.ended or execution.is_failing:
        return False
    return all(steps[other].status is StepStatus.COMPLETED for other in step.depends_on)


def _ready(execution: Execution, assume_completed: str | None = None) -> list[Step]:
    if execution.ended or execution.is_failing:
        return []
    steps, pending, completed = execution.steps.values(), StepStatus.PENDING, StepStatus.COMPLETED
    done = {assume_completed, *(step.step_id for step in steps if step.status is completed)}
    return [step for step in steps if step.status is pending and done.issuperset(step.depends_on)]


def new_execution(
    definition: WorkflowDefinition,
    *,
    execution_id: UUID,
    workflow_version: int,
    scope: ScopeRef,
    brief: Brief | None,
    script: DryRunScript | None = None,
    now: datetime,
) -> Execution:
    """Return a new execution of a workflow.

    The documents of a dry run (an execution with a `script`) belong to a scope of its own below the execution's scope.
    """
    place = scope if script is None else child_scope(scope, DRY_RUN, str(execution_id))
    return Execution(
        id=execution_id,
        workflow_id=definition.id,
        workflow_version=workflow_version,
        scope=scope,
        input=brief,
        steps=plan_steps(definition, scope=place),
        script=script,
        created_at=now,
        updated_at=now,
    )
