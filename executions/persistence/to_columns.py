"""Mapping of the engine's executions to database columns."""

from __future__ import annotations

from executions.engine.domain.execution import Execution, Failure, Step
from executions.engine.domain.states import WaitingOn


def execution_columns(execution: Execution) -> dict[str, object]:
    """Return the columns of an execution that can change."""
    return {
        "status": execution.status.value,
        "version": execution.version,
        "claimed_by": execution.claimed_by,
        "fencing_token": execution.fencing_token,
        "recoveries": execution.recoveries,
        "last_sequence": execution.last_sequence,
        "pruned": False,
        "waiting_on": [each.value for each in execution.waiting_on],
        **_failure_columns(execution.failure),
        "updated_at": execution.updated_at,
        "started_at": execution.started_at,
        "finished_at": execution.finished_at,
        "resume_at": execution.resume_at,
        "deadline_at": execution.deadline_at,
        "budget": None if execution.budget is None else execution.budget.model_dump(mode="json"),
        "warned_limits": [each.value for each in execution.warned_limits],
        "ran_seconds": execution.ran_seconds,
        "running_since": execution.running_since,
    }


def new_execution_columns(execution: Execution, version_id: int) -> dict[str, object]:
    """Return all columns of a new execution; `version_id` is the key of its workflow version."""
    return {
        "id": execution.id,
        "workflow_id": execution.workflow_id,
        "workflow_version_id": version_id,
        "scope_id": execution.scope.id,
        "input": execution.input,
        "tags": list(execution.tags),
        "requested_by_id": execution.requested_by,
        "requested_by_name": execution.requested_by_name,
        "script": None if execution.script is None else execution.script.model_dump(mode="json"),
        "reuse": execution.reuse.value,
        "created_at": execution.created_at,
        **execution_columns(execution),
    }


def step_columns(step: Step) -> dict[str, object]:
    """Return the columns of a step that can change."""
    asked = step.open_round
    return {
        "label": step.label,
        "item_order": step.item_order,
        "status": step.status.value,
        "version": step.version,
        "attempt": step.attempt,
        "invalid_outputs": step.invalid_outputs,
        "input_versions": [each.model_dump(mode="json") for each in step.input_versions],
        "rounds": [each.model_dump(mode="json") for each in step.rounds],
        "asked_at": asked.asked_at if asked is not None and step.waits_for is WaitingOn.CLARIFICATION else None,
        "decisions": [each.model_dump(mode="json") for each in step.decisions],
        "wait": None if step.wait is None else step.wait.model_dump(mode="json"),
        "violations": [each.model_dump(mode="json") for each in step.violations],
        "base_version": step.base_version,
        "document_id": step.document_id,
        "document_version": step.document_version,
        **_failure_columns(step.failure),
        "resume_at": step.resume_at,
        "blocked_by_limit": step.blocked_by_limit or "",
        "required_usd": step.required_usd,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
    }


def new_step_columns(execution: Execution, step: Step) -> dict[str, object]:
    """Return all columns of a new step."""
    return {
        "execution_id": execution.id,
        "step_id": step.step_id,
        "scope_id": None if step.scope == execution.scope else step.scope.id,
        "position": step.position,
        "level": step.level,
        "name": step.name,
        "role": step.role,
        "produces": step.produces,
        "depends_on": list(step.depends_on),
        "optional": step.optional,
        **step_columns(step),
    }


def _failure_columns(failure: Failure | None) -> dict[str, object]:
    if failure is None:
        return {"failure_code": "", "failure_message": ""}
    return {"failure_code": failure.code.value, "failure_message": failure.message}
