"""Publishing workflows, and reading what was published."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from workflows.definition import WorkflowDefinition
from workflows.models import Workflow, WorkflowVersion

_MOST_DEFINITIONS = 256  # that are kept


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


_definitions: dict[tuple[str, int], WorkflowDefinition] = {}  # by workflow and version: none ever changes


def get_definition(workflow_id: str, version: int) -> WorkflowDefinition:
    """Return a published definition.

    Raises:
        WorkflowVersion.DoesNotExist: there is none.
    """
    if (known := known_definition(workflow_id, version)) is not None:
        return known
    row = WorkflowVersion.objects.get(workflow_id=workflow_id, version=version)
    if len(_definitions) >= _MOST_DEFINITIONS:
        _definitions.clear()
    read = _definitions[workflow_id, version] = WorkflowDefinition.model_validate(row.definition)
    return read


def known_definition(workflow_id: str, version: int) -> WorkflowDefinition | None:
    """Return a published definition that was read before, without a look into the database; None: it was not."""
    return _definitions.get((workflow_id, version))


def forget_definitions() -> None:
    """Read every definition anew."""
    _definitions.clear()
