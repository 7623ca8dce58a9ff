"""Between rows and the engine's values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol
from uuid import UUID

from executions import models
from executions.engine.acceptance import AcceptanceDecision
from executions.engine.clarification import ClarificationRound
from executions.engine.errors import FieldError
from executions.engine.execution import Execution, Failure, Pin, ScopeRef, Step
from executions.engine.states import ExecutionStatus, FailureCode, StepStatus, WaitingOn


class ScopeRow(Protocol):
    """A row of `access.Scope`."""

    id: UUID
    type: str
    key: str


def execution_value(row: models.Execution, steps: Iterable[models.ExecutionStep]) -> Execution:
    """Return the value of an execution's row (its scope and workflow version loaded) and its steps' rows."""
    scope = scope_value(row.scope)
    return Execution(
        id=row.id,
        workflow_id=row.workflow_id,
        workflow_version=row.workflow_version.version,
        scope=scope,
        input=row.input,
        steps={step.step_id: _step_value(step, scope) for step in steps},
        created_at=row.created_at,
        updated_at=row.updated_at,
        status=ExecutionStatus(row.status),
        version=row.version,
        runner=row.runner,
        runner_epoch=row.runner_epoch,
        recoveries=row.recoveries,
        last_sequence=row.last_sequence,
        waiting_on=tuple(WaitingOn(each) for each in row.waiting_on),
        failure=_failure(row.failure_code, row.failure_message),
        requested_by=row.requested_by_id,
        requested_by_name=row.requested_by_name,
        tags=tuple(row.tags),
        started_at=row.started_at,
        finished_at=row.finished_at,
        resume_at=row.resume_at,
        deadline_at=row.deadline_at,
    )


def execution_columns(execution: Execution) -> dict[str, object]:
    """Return what may change of an execution, by column."""
    return {
        "status": execution.status.value,
        "version": execution.version,
        "runner": execution.runner,
        "runner_epoch": execution.runner_epoch,
        "recoveries": execution.recoveries,
        "last_sequence": execution.last_sequence,
        "waiting_on": [each.value for each in execution.waiting_on],
        **_failure_columns(execution.failure),
        "updated_at": execution.updated_at,
        "started_at": execution.started_at,
        "finished_at": execution.finished_at,
        "resume_at": execution.resume_at,
        "deadline_at": execution.deadline_at,
    }


def _step_value(row: models.ExecutionStep, own: ScopeRef) -> Step:
    """Return the value of a step's row; `own` is the execution's scope."""
    return Step(
        step_id=row.step_id,
        scope=own if row.scope is None else scope_value(row.scope),
        label=row.label,
        place=row.place,
        may_fail=row.may_fail,
        position=row.position,
        level=row.level,
        name=row.name,
        role=row.role,
        produces=row.produces,
        depends_on=tuple(row.depends_on),
        status=StepStatus(row.status),
        version=row.version,
        attempt=row.attempt,
        invalid_outputs=row.invalid_outputs,
        pins=tuple(Pin.model_validate(each) for each in row.pins),
        rounds=tuple(ClarificationRound.model_validate(each) for each in row.rounds),
        decisions=tuple(AcceptanceDecision.model_validate(each) for each in row.decisions),
        violations=tuple(FieldError.model_validate(each) for each in row.violations),
        document_id=row.document_id,
        document_version=row.document_version,
        failure=_failure(row.failure_code, row.failure_message),
        resume_at=row.resume_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def step_columns(step: Step) -> dict[str, object]:
    """Return what may change of a step, by column."""
    return {
        "label": step.label,
        "place": step.place,
        "status": step.status.value,
        "version": step.version,
        "attempt": step.attempt,
        "invalid_outputs": step.invalid_outputs,
        "pins": [each.model_dump(mode="json") for each in step.pins],
        "rounds": [each.model_dump(mode="json") for each in step.rounds],
        "decisions": [each.model_dump(mode="json") for each in step.decisions],
        "violations": [each.model_dump(mode="json") for each in step.violations],
        "document_id": step.document_id,
        "document_version": step.document_version,
        **_failure_columns(step.failure),
        "resume_at": step.resume_at,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
    }


def new_step_columns(execution: Execution, step: Step) -> dict[str, object]:
    """Return all of a new step, by column."""
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
        "may_fail": step.may_fail,
        **step_columns(step),
    }


def scope_value(row: ScopeRow) -> ScopeRef:
    """Return the value of a scope's row."""
    return ScopeRef(id=row.id, type=row.type, key=row.key)


def _failure(code: str, message: str) -> Failure | None:
    return Failure(code=FailureCode(code), message=message) if code else None


def _failure_columns(failure: Failure | None) -> dict[str, object]:
    if failure is None:
        return {"failure_code": "", "failure_message": ""}
    return {"failure_code": failure.code.value, "failure_message": failure.message}
