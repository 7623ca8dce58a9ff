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
from executions.engine.domain.states import ExecutionStatus, FailureCode, Limit, StepStatus, WaitingOn
from workflows.definitions.budget import Budget
from workflows.selectors import VERSION_NUMBERS

Row = Mapping[str, Any]  # by column
Convert = Callable[[Any], Any]


def _unchanged(value: Any) -> Any:
    return value


def _tuple_of(convert: Convert) -> Convert:
    # nearly all lists are empty
    return lambda text: () if text == "[]" else tuple(convert(each) for each in json.loads(text))


def _optional(convert: Convert) -> Convert:
    return lambda value: convert(value) if value else None


#: Columns of executions that are fields, and how their values are converted.
_EXECUTION_FIELDS: Mapping[str, Convert] = {
    **dict.fromkeys(("id", "workflow_id", "workflow_version", "input", "created_at", "updated_at"), _unchanged),
    **dict.fromkeys(("version", "claimed_by", "fencing_token", "recoveries", "last_sequence"), _unchanged),
    **dict.fromkeys(("requested_by_name", "started_at", "finished_at", "resume_at", "deadline_at"), _unchanged),
    **dict.fromkeys(("ran_seconds", "running_since"), _unchanged),
    "status": ExecutionStatus,
    "waiting_on": _tuple_of(WaitingOn),
    "tags": _tuple_of(_unchanged),
    "budget": _optional(Budget.model_validate_json),
    "warned_limits": _tuple_of(Limit),
    "script": _optional(DryRunScript.model_validate_json),
}
_STEP_FIELDS: Mapping[str, Convert] = {
    **dict.fromkeys(("step_id", "label", "item_order", "optional", "position", "level", "name", "role"), _unchanged),
    **dict.fromkeys(("produces", "version", "attempt", "invalid_outputs", "document_id"), _unchanged),
    **dict.fromkeys(("document_version", "resume_at", "required_usd", "started_at", "finished_at"), _unchanged),
    "depends_on": _tuple_of(_unchanged),
    "status": StepStatus,
    "input_versions": _tuple_of(Pin.model_validate),
    "rounds": _tuple_of(ClarificationRound.model_validate),
    "decisions": _tuple_of(AcceptanceDecision.model_validate),
    "violations": _tuple_of(FieldError.model_validate),
    "blocked_by_limit": _optional(Limit),
}
_SHARED = ("scope_id", "scope_type", "scope_key", "failure_code", "failure_message")
#: Columns that are a part of a field; then those of all fields.
_EXECUTION_COLUMNS = ("requested_by_id", *_SHARED, *_EXECUTION_FIELDS)
_STEP_COLUMNS = ("execution_id", *_SHARED, *_STEP_FIELDS)
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
    rows = [dict(zip(_EXECUTION_COLUMNS, row, strict=True)) for row in execution_rows]
    scopes = {row["id"]: _scope(row) for row in rows}
    steps: dict[UUID, dict[str, Step]] = {execution_id: {} for execution_id in scopes}
    for step in (dict(zip(_STEP_COLUMNS, row, strict=True)) for row in step_rows):
        if (execution_id := step["execution_id"]) in steps:  # else the execution was inserted between the two queries
            steps[execution_id][step["step_id"]] = _step(step, scopes[execution_id])
    return {row["id"]: _execution(row, scopes[row["id"]], steps[row["id"]]) for row in rows}


def _execution(row: Row, scope: ScopeRef, steps: dict[str, Step]) -> Execution:
    fields = {name: convert(row[name]) for name, convert in _EXECUTION_FIELDS.items()}
    requested_by = row["requested_by_id"]
    return Execution(scope=scope, steps=steps, failure=_failure(row), requested_by=requested_by, **fields)


def _step(row: Row, own: ScopeRef) -> Step:
    fields = {name: convert(row[name]) for name, convert in _STEP_FIELDS.items()}
    return Step(scope=own if row["scope_id"] is None else _scope(row), failure=_failure(row), **fields)


def _scope(row: Row) -> ScopeRef:
    return ScopeRef(id=row["scope_id"], type=row["scope_type"], key=row["scope_key"])


def _failure(row: Row) -> Failure | None:
    code = row["failure_code"]
    return Failure(code=FailureCode(code), message=row["failure_message"]) if code else None
