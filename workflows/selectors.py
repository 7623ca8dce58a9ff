"""What screens and clients read of workflows."""

from __future__ import annotations

from django.db.models import F, QuerySet
from rest_framework.exceptions import NotFound

from workflows.definition import JsonSchema
from workflows.models import Workflow, WorkflowVersion


def workflows() -> QuerySet[Workflow]:
    """Return all published workflows."""
    return Workflow.objects.order_by("id")


def current(workflow_id: str) -> WorkflowVersion:
    """Return the current version of a workflow, with its workflow.

    Raises:
        NotFound: there is no such workflow.
    """
    rows = WorkflowVersion.objects.select_related("workflow").filter(workflow_id=workflow_id)
    if (row := rows.filter(version=F("workflow__version")).order_by("id").first()) is None:
        raise NotFound(f"There is no workflow {workflow_id!r}.")
    return row


def versions(workflow_id: str) -> QuerySet[WorkflowVersion]:
    """Return all versions of a workflow.

    Raises:
        NotFound: there is no such workflow.
    """
    current(workflow_id)
    return WorkflowVersion.objects.filter(workflow_id=workflow_id)


def output_schema(workflow_id: str, step_id: str) -> JsonSchema:
    """Return the JSON Schema of a step's document, in the current version.

    Raises:
        NotFound: there is no such workflow or step.
    """
    for step in current(workflow_id).definition["steps"]:
        if step["id"] == step_id:
            schema: JsonSchema = step["output_schema"]
            return schema
    raise NotFound(f"Workflow {workflow_id!r} has no step {step_id!r}.")
