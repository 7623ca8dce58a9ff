"""Mapping of database rows to the engine's executions.

An execution is always read completely. Through the ORM this would take several times as long as PostgreSQL's part.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from access.selectors import SCOPE_NAMES
from common.database import bulk
from common.errors import FieldError
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.clarification import ClarificationRound
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Execution, Failure, Pin, ScopeRef, Step
from executions.engine.domain.states import ExecutionStatus, FailureCode, Limit, StepStatus, WaitingOn
from workflows.definitions.budget import Budget
from workflows.selectors import VERSION_NUMBERS


class _ExecutionRow(NamedTuple):
    id: UUID
    workflow_id: str
    workflow_version: int
    scope_id: UUID
    scope_type: str
    scope_key: str
    input: Any
    created_at: Any
    updated_at: Any
    status: str
    version: int
    claimed_by: str | None
    fencing_token: int
    recoveries: int
    last_sequence: int
    waiting_on: str
    failure_code: str
    failure_message: str
    requested_by_id: int | None
    requested_by_name: str
    tags: str
    started_at: Any
    finished_at: Any
    resume_at: Any
    deadline_at: Any
    budget: str | None
    warned_limits: str
    ran_seconds: float
    running_since: Any
    script: str | None


class _StepRow(NamedTuple):
    execution_id: UUID
    step_id: str
    scope_id: Any  # None: the execution's own
    scope_type: Any
    scope_key: Any
    label: str
    item_order: int
    optional: bool
    position: int
    level: int
    name: str
    role: str
    produces: str
    depends_on: str
    status: str
    version: int
    attempt: int
    invalid_outputs: int
    input_versions: str
    rounds: str
    decisions: str
    violations: str
    document_id: UUID | None
    document_version: int | None
    failure_code: str
    failure_message: str
    resume_at: Any
    blocked_by_limit: str
    required_usd: Any
    started_at: Any
    finished_at: Any


_ELSEWHERE = {
    "workflow_version": "workflow.version",
    "scope_type": "scope.type",
    "scope_key": "scope.key",
}
_EXECUTIONS = f"""
SELECT {", ".join(_ELSEWHERE.get(name, f"execution.{name}") for name in _ExecutionRow._fields)}
FROM executions_execution AS execution
JOIN ({VERSION_NUMBERS}) AS workflow ON workflow.id = execution.workflow_version_id
JOIN ({SCOPE_NAMES}) AS scope ON scope.id = execution.scope_id
WHERE execution.id = ANY(%s)"""  # noqa: S608 - names of fields, and constants
_STEPS = f"""
SELECT {", ".join(_ELSEWHERE.get(name, f"step.{name}") for name in _StepRow._fields)}
FROM executions_executionstep AS step
LEFT JOIN ({SCOPE_NAMES}) AS scope ON scope.id = step.scope_id
WHERE step.execution_id = ANY(%s)
ORDER BY step.position, step.item_order, step.id"""  # noqa: S608 - names of fields, and constants


#: Queries for executions (parameter: their ids). `from_rows` maps the resulting rows.
QUERIES = (_EXECUTIONS, _STEPS)


def load(execution_ids: Collection[UUID]) -> dict[UUID, Execution]:
    """Return the existing executions with these ids, with their steps in order."""
    wanted = [list(execution_ids)]
    with bulk.pipeline():
        asked = [bulk.execute(query, wanted) for query in QUERIES]
    return from_rows(*(cursor.fetchall() for cursor in asked))


def from_rows(execution_rows: Sequence[tuple[Any, ...]], step_rows: Sequence[tuple[Any, ...]]) -> dict[UUID, Execution]:
    """Return the executions in the query results."""
    rows = [_ExecutionRow(*row) for row in execution_rows]
    scopes = {row.id: _scope(row) for row in rows}
    steps: dict[UUID, dict[str, Step]] = {row.id: {} for row in rows}
    for step in map(_StepRow._make, step_rows):
        if step.execution_id in steps:  # else the execution was inserted between the two queries
            steps[step.execution_id][step.step_id] = _step(step, scopes[step.execution_id])
    return {row.id: _execution(row, scopes[row.id], steps[row.id]) for row in rows}


def _execution(row: _ExecutionRow, scope: ScopeRef, steps: dict[str, Step]) -> Execution:
    return Execution(
        id=row.id,
        workflow_id=row.workflow_id,
        workflow_version=row.workflow_version,
        scope=scope,
        input=row.input,
        steps=steps,
        created_at=row.created_at,
        updated_at=row.updated_at,
        status=ExecutionStatus(row.status),
        version=row.version,
        claimed_by=row.claimed_by,
        fencing_token=row.fencing_token,
        recoveries=row.recoveries,
        last_sequence=row.last_sequence,
        waiting_on=tuple(WaitingOn(each) for each in _list(row.waiting_on)),
        failure=_failure(row.failure_code, row.failure_message),
        requested_by=row.requested_by_id,
        requested_by_name=row.requested_by_name,
        tags=tuple(_list(row.tags)),
        started_at=row.started_at,
        finished_at=row.finished_at,
        resume_at=row.resume_at,
        deadline_at=row.deadline_at,
        budget=None if row.budget is None else Budget.model_validate_json(row.budget),
        warned_limits=tuple(Limit(each) for each in _list(row.warned_limits)),
        ran_seconds=row.ran_seconds,
        running_since=row.running_since,
        script=None if row.script is None else DryRunScript.model_validate_json(row.script),
    )


def _step(row: _StepRow, own: ScopeRef) -> Step:
    return Step(
        step_id=row.step_id,
        scope=own if row.scope_id is None else _scope(row),
        label=row.label,
        item_order=row.item_order,
        optional=row.optional,
        position=row.position,
        level=row.level,
        name=row.name,
        role=row.role,
        produces=row.produces,
        depends_on=tuple(_list(row.depends_on)),
        status=StepStatus(row.status),
        version=row.version,
        attempt=row.attempt,
        invalid_outputs=row.invalid_outputs,
        input_versions=tuple(Pin.model_validate(each) for each in _list(row.input_versions)),
        rounds=tuple(ClarificationRound.model_validate(each) for each in _list(row.rounds)),
        decisions=tuple(AcceptanceDecision.model_validate(each) for each in _list(row.decisions)),
        violations=tuple(FieldError.model_validate(each) for each in _list(row.violations)),
        document_id=row.document_id,
        document_version=row.document_version,
        failure=_failure(row.failure_code, row.failure_message),
        resume_at=row.resume_at,
        blocked_by_limit=Limit(row.blocked_by_limit) if row.blocked_by_limit else None,
        required_usd=row.required_usd,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _list(text: str) -> list[Any]:
    return [] if text == "[]" else json.loads(text)  # most lists are empty


def _scope(row: _ExecutionRow | _StepRow) -> ScopeRef:
    return ScopeRef(id=row.scope_id, type=row.scope_type, key=row.scope_key)


def _failure(code: str, message: str) -> Failure | None:
    return Failure(code=FailureCode(code), message=message) if code else None
