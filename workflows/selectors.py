"""Queries of workflows for the API and the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F, QuerySet
from django.db.models.fields.json import KT

from common.errors import NotFound
from common.listings import MAX_NAMES, listed
from workflows.comparison import WorkflowDifference, compare_definitions
from workflows.definitions.definition import JsonSchema, WorkflowDefinition
from workflows.models import Workflow, WorkflowVersion

#: For statements of other rooms that join published versions by id.
VERSION_NUMBERS = "SELECT id, version FROM workflows_workflowversion"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVersion:
    """A version of a workflow whose definition says how long its executions are kept."""

    row_id: int
    workflow_id: str
    version: int
    days: int


def versions_with_retention() -> list[KeptVersion]:
    """Return the versions with `retention_days`, by workflow and number."""
    rows = WorkflowVersion.objects.annotate(days=KT("definition__retention_days")).filter(days__isnull=False)
    found = rows.order_by("workflow_id", "version", "id").values_list("id", "workflow_id", "version", "days")
    return [
        KeptVersion(row_id=key, workflow_id=name, version=number, days=int(days)) for key, name, number, days in found
    ]


def workflows(*, retired: bool = False) -> QuerySet[Workflow]:
    """Return all published workflows; with `retired`, the retired ones too."""
    rows = Workflow.objects.filter(version__gt=0).order_by("id")
    return rows if retired else rows.filter(retired_at=None)


def current(workflow_id: str) -> WorkflowVersion:
    """Return the current version of a workflow, joined with its workflow.

    Raises:
        NotFound: there is no such workflow.
    """
    rows = _published(workflow_id).select_related("workflow")
    if (row := rows.filter(version=F("workflow__version")).order_by("id").first()) is None:
        raise NotFound(no_workflow(workflow_id))
    return row


def _published(workflow_id: str) -> QuerySet[WorkflowVersion]:
    """Return the published versions with the name of the author of each as `publisher`; None: a command."""
    rows = WorkflowVersion.objects.filter(workflow_id=workflow_id, is_candidate=False)
    return rows.annotate(publisher=F("published_by__username"))


def no_workflow(workflow_id: str) -> str:
    """Return the error text for an unknown workflow, with the available ones. Every user may read workflows."""
    ids = workflows().values_list("id", flat=True)
    known = list(ids[:MAX_NAMES])
    available = f"Available: {listed(known, total=ids.count())}." if known else "No workflow is published."
    return f"There is no workflow {workflow_id!r}. {available}"


def no_version(workflow_id: str, version: int) -> str:
    """Return the error text for an unknown version, with the newest versions."""
    rows = WorkflowVersion.objects.filter(workflow_id=workflow_id, is_candidate=False)
    numbers = rows.order_by("-version")
    known = list(numbers.values_list("version", flat=True)[:MAX_NAMES])
    available = listed(known, total=numbers.count())
    return f"Workflow {workflow_id!r} has no version {version}. Available: {available}."


def no_step(workflow_id: str, step_id: str, known: Sequence[str]) -> str:
    """Return the error text for an unknown step, with the steps of the workflow."""
    return f"Workflow {workflow_id!r} has no step {step_id!r}. Available: {listed(known)}."


def versions(workflow_id: str) -> QuerySet[WorkflowVersion]:
    """Return all versions of a workflow, with the name of the author of each as `publisher`.

    Raises:
        NotFound: there is no such workflow.
    """
    if not workflows(retired=True).filter(id=workflow_id).exists():
        raise NotFound(no_workflow(workflow_id))
    return _published(workflow_id)


def version(workflow_id: str, number: int | None) -> WorkflowVersion:
    """Return a published version, by default the current one, joined with its workflow.

    Raises:
        NotFound: there is no such workflow or version.
    """
    if number is None:
        return current(workflow_id)
    rows = _published(workflow_id).select_related("workflow").filter(version=number)
    if (row := rows.order_by("id").first()) is None:
        versions(workflow_id)
        raise NotFound(no_version(workflow_id, number))
    return row


def version_pair(
    workflow_id: str, before: int | None, after: int | None
) -> tuple[WorkflowVersion | None, WorkflowVersion]:
    """Return two versions to compare: by default the current one, and the one before the later one by number.

    The earlier one is None if there is none.

    Raises:
        NotFound: there is no such workflow or version.
    """
    later = version(workflow_id, after)
    if before is not None:
        return version(workflow_id, before), later
    earlier = _published(workflow_id).select_related("workflow").filter(version__lt=later.version)
    return earlier.order_by("-version").first(), later


def difference_of(before: WorkflowVersion | None, after: WorkflowVersion) -> WorkflowDifference:
    """Return what differs between two versions; everything is added where there is no earlier one."""
    old = None if before is None else WorkflowDefinition.model_validate(before.definition)
    return compare_definitions(old, WorkflowDefinition.model_validate(after.definition))


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
