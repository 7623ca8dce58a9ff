"""What goes on in a workflow while its current version changes, and the version that an execution runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from access.selectors import Person
from executions.engine.domain.states import ACTIVE
from executions.selectors.clarifications import open_clarifications
from executions.selectors.executions import executions
from workflows import repository as workflows
from workflows.definitions.definition import WorkflowDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatStays:
    """Numbers of executions that have not ended, and of steps with open questions."""

    executions: int
    questions: int


def what_stays(*, user: Person, workflow_id: str) -> WhatStays:
    """Return what a publication leaves as it is, in the executions that the user may see."""
    rows = executions(user=user).filter(workflow_id=workflow_id, status__in=[status.value for status in ACTIVE])
    asked = open_clarifications(user=user, workflow_id=workflow_id)
    return WhatStays(executions=rows.count(), questions=asked.count())


def definition_of(execution: Any) -> WorkflowDefinition:
    """Return the definition that an execution, joined with its version, runs. Permissions are not checked."""
    return workflows.get_definition(execution.workflow_id, execution.workflow_version.version)
