"""Publishing workflows, and reading what was published."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from django.db import transaction

from workflows.definition import WorkflowDefinition
from workflows.models import Workflow, WorkflowVersion


class StaleWorkflow(Exception):
    """Somebody else published a version of the same workflow first."""


@transaction.atomic
def publish(definition: WorkflowDefinition, *, now: datetime) -> tuple[int, bool]:
    """Publish a definition; identical content is the version it was. Returns the version, and whether it is new."""
    content_hash = definition.content_hash()
    known = WorkflowVersion.objects.filter(workflow_id=definition.id, content_hash=content_hash)
    summary = {
        "name": definition.name,
        "description": definition.description,
        "step_count": len(definition.steps),
        "updated_at": now,
    }
    # Whoever publishes the same workflow at the same time waits here for the one who came first.
    workflow, created = Workflow.objects.select_for_update().get_or_create(
        id=definition.id, defaults={**summary, "version": 1}
    )
    if (version := known.values_list("version", flat=True).first()) is not None:
        return version, False
    if not created:
        replace_newest(definition.id, expected=workflow.version, **summary)
    version = 1 if created else workflow.version + 1
    WorkflowVersion.objects.create(
        workflow_id=definition.id,
        version=version,
        definition=definition.model_dump(mode="json"),
        content_hash=content_hash,
        published_at=now,
    )
    return version, True


def replace_newest(workflow_id: str, *, expected: int, **values: object) -> None:
    """Count the workflow's newest version up from `expected`.

    Raises:
        StaleWorkflow: it is another one by now.
    """
    rows = Workflow.objects.filter(id=workflow_id, version=expected)
    if rows.update(version=expected + 1, **values) != 1:
        raise StaleWorkflow(workflow_id)


def newest_version(workflow_id: str) -> int | None:
    """Return the newest published version, None when there is no such workflow."""
    return Workflow.objects.filter(id=workflow_id).values_list("version", flat=True).first()


def version_row_id(workflow_id: str, version: int) -> int | None:
    """Return the key of a version's row, None when there is none."""
    rows = WorkflowVersion.objects.filter(workflow_id=workflow_id, version=version)
    return rows.values_list("id", flat=True).first()


@lru_cache(maxsize=256)
def get_definition(workflow_id: str, version: int) -> WorkflowDefinition:
    """Return a published definition; it never changes, so that it may be kept.

    Raises:
        WorkflowVersion.DoesNotExist: there is none.
    """
    row = WorkflowVersion.objects.get(workflow_id=workflow_id, version=version)
    return WorkflowDefinition.model_validate(row.definition)
