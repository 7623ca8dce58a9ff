"""Mapping of database rows to the engine's executions.

An execution is always read completely. Through the ORM this would take several times as long as PostgreSQL's part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from access.selectors import SCOPE_NAMES
from common.database import bulk
from common.errors import FieldError
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.clarification import ClarificationRound
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Execution, Failure, Pin, ScopeRef, Step
from executions.engine.domain.states import ExecutionStatus, FailureCode, Limit, Reuse, StepStatus, WaitingOn
from executions.engine.domain.waits import Wait
from workflows.definitions.budget import Budget
from workflows.selectors import VERSION_NUMBERS

Row = Sequence[Any]
Convert = Callable[[Any], Any]


def _tuple_of(convert: Convert | None = None) -> Convert:
    # nearly all lists are empty
    return lambda text: () if text == "[]" else tuple(map(convert, json.loads(text)) if convert else json.loads(text))


def _optional(convert: Convert) -> Convert:
    return lambda value: convert(value) if value else None


#: Fields of an execution whose value is that of their column.
_EXECUTION_UNCHANGED = (
    *("workflow_id", "workflow_version", "input", "created_at", "updated_at", "version", "claimed_by"),
    *("fencing_token", "recoveries", "last_sequence", "requested_by_name", "started_at", "finished_at", "resume_at"),
    *("deadline_at", "ran_seconds", "running_since", "erased_at"),
)
#: The other fields of one column, with their conversion.
_EXECUTION_CONVERTED: Mapping[str, Convert] = {
    "status": ExecutionStatus,
    "waiting_on": _tuple_of(WaitingOn),
    "tags": _tuple_of(),
    "budget": _optional(Budget.model_validate_json),
    "warned_limits": _tuple_of(Limit),
    "script": _optional(DryRunScript.model_validate_json),
    "reuse": Reuse,
}
_STEP_UNCHANGED = (
    *("step_id", "label", "item_order", "optional", "position", "level", "name", "role", "produces", "version"),
    *("attempt", "invalid_outputs", "base_version", "document_id", "document_version", "resume_at", "required_usd"),
    *("started_at", "finished_at"),
)
_STEP_CONVERTED: Mapping[str, Convert] = {
    "depends_on": _tuple_of(),
    "status": StepStatus,
    "input_versions": _tuple_of(Pin.model_validate),
    "rounds": _tuple_of(ClarificationRound.model_validate),
    "decisions": _tuple_of(AcceptanceDecision.model_validate),
    "violations": _tuple_of(FieldError.model_validate),
    "wait": _optional(Wait.model_validate_json),
    "blocked_by_limit": _optional(Limit),
}
_SHARED = ("failure_code", "failure_message", "scope_id", "scope_type", "scope_key")
#: The execution's id is the last column of both.
_EXECUTION_COLUMNS = (*_EXECUTION_UNCHANGED, *_EXECUTION_CONVERTED, "requested_by_id", *_SHARED, "id")
_STEP_COLUMNS = (*_STEP_UNCHANGED, *_STEP_CONVERTED, *_SHARED, "execution_id")
_ELSEWHERE = {
    "workflow_version": "workflow.version",
    "scope_type": "scope.type",
    "scope_key": "scope.key",
}
_EXECUTIONS = f"""
SELECT {", ".join(_ELSEWHERE.get(name, f"execution.{name}") for name in _EXECUTION_COLUMNS)}
FROM executions_execution AS execution
JOIN ({VERSION_NUMBERS}) AS workflow ON workflow.id = execution.workflow_version_id
JOIN ({SCOPE_NAMES}) AS scope ON scope.id = execution.scope_id
WHERE execution.id = ANY(%s)"""  # noqa: S608 - names of fields, and constants
_STEPS = f"""
SELECT {", ".join(_ELSEWHERE.get(name, f"step.{name}") for name in _STEP_COLUMNS)}
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
    steps: dict[UUID, list[Row]] = {row[-1]: [] for row in execution_rows}
    for row in step_rows:
        if row[-1] in steps:  # else the execution was inserted between the two queries
            steps[row[-1]].append(row)
    return {row[-1]: _execution(row, steps[row[-1]]) for row in execution_rows}


def _execution(row: Row, step_rows: Sequence[Row]) -> Execution:
    requested_by, code, message, *scope, execution_id = row[-7:]
    own = _scope(*scope)
    return Execution(
        id=execution_id,
        scope=own,
        steps={step.step_id: step for step in (_step(each, own) for each in step_rows)},
        requested_by=requested_by,
        failure=_failure(code, message),
        **_fields(row, _EXECUTION_UNCHANGED, _EXECUTION_CONVERTED),
    )


def _step(row: Row, own: ScopeRef) -> Step:
    code, message, *scope, _ = row[-6:]
    return Step(
        scope=own if scope[0] is None else _scope(*scope),
        failure=_failure(code, message),
        **_fields(row, _STEP_UNCHANGED, _STEP_CONVERTED),
    )


def _fields(row: Row, unchanged: Sequence[str], converted: Mapping[str, Convert]) -> dict[str, Any]:
    fields = dict(zip(unchanged, row, strict=False))
    for value, (name, convert) in zip(row[len(unchanged) :], converted.items(), strict=False):
        fields[name] = convert(value)
    return fields


def _scope(scope_id: UUID, scope_type: str, scope_key: str) -> ScopeRef:
    return ScopeRef(id=scope_id, type=scope_type, key=scope_key)


def _failure(code: str, message: str) -> Failure | None:
    return Failure(code=FailureCode(code), message=message) if code else None
