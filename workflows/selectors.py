"""Queries of workflows for the API and the console."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import F, QuerySet

from common.errors import NotFound
from common.listings import MAX_NAMES, listed
from workflows.definitions.definition import JsonSchema
from workflows.models import Workflow, WorkflowVersion

#: For statements of other rooms that join published versions by id.
VERSION_NUMBERS = "SELECT id, version FROM workflows_workflowversion"


def workflows() -> QuerySet[Workflow]:
    """Return all published workflows."""
    return Workflow.objects.order_by("id")


def current(workflow_id: str) -> WorkflowVersion:
    """Return the current version of a workflow, joined with its workflow.

    Raises:
        NotFound: there is no such workflow.
    """
    rows = WorkflowVersion.objects.select_related("workflow").filter(workflow_id=workflow_id)
    if (row := rows.filter(version=F("workflow__version")).order_by("id").first()) is None:
        raise NotFound(no_workflow(workflow_id))
    return row


def no_workflow(workflow_id: str) -> str:
    """Return the error text for an unknown workflow, with the available ones. Every user may read workflows."""
    ids = Workflow.objects.order_by("id").values_list("id", flat=True)
    known = list(ids[:MAX_NAMES])
    available = f"Available: {listed(known, total=ids.count())}." if known else "No workflow is published."
    return f"There is no workflow {workflow_id!r}. {available}"


def no_version(workflow_id: str, version: int) -> str:
    """Return the error text for an unknown version, with the newest versions."""
    numbers = WorkflowVersion.objects.filter(workflow_id=workflow_id).order_by("-version")
    known = list(numbers.values_list("version", flat=True)[:MAX_NAMES])
    available = listed(known, total=numbers.count())
    return f"Workflow {workflow_id!r} has no version {version}. Available: {available}."


def no_step(workflow_id: str, step_id: str, known: Sequence[str]) -> str:
    """Return the error text for an unknown step, with the steps of the workflow."""
    return f"Workflow {workflow_id!r} has no step {step_id!r}. Available: {listed(known)}."


def versions(workflow_id: str) -> QuerySet[WorkflowVersion]:
    """Return all versions of a workflow.

    Raises:
        NotFound: there is no such workflow.
    """
    current(workflow_id)
    return WorkflowVersion.objects.filter(workflow_id=workflow_id)


def output_schema(workflow_id: str, step_id: str) -> JsonSchema:
    """Return the output schema of a step in the current version.

    Raises:
        NotFound: there is no such workflow or step.
    """
    steps = current(workflow_id).definition["steps"]
    for step in steps:
        if step["id"] == step_id:
            schema: JsonSchema = step["output_schema"]
            return schema
    raise NotFound(no_step(workflow_id, step_id, [step["id"] for step in steps]))
