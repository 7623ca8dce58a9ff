"""Publishing of workflows, and cached reads of published definitions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import F, Max, OuterRef, QuerySet, Subquery, Value

from common.errors import StaleWrite
from workflows.definitions.definition import WorkflowDefinition
from workflows.models import Workflow, WorkflowVersion

_MAX_DEFINITIONS = 256  # in the cache


class StaleWorkflow(StaleWrite):
    """Another process has published a version of the same workflow."""


class Publication(StrEnum):
    """Outcome of `publish`."""

    NEW = "published"
    AGAIN = "current again"
    UNCHANGED = "unchanged"


@transaction.atomic
def publish(definition: WorkflowDefinition, *, now: datetime) -> tuple[int, Publication]:
    """Publish a definition, and make it the current version. Content that was published before keeps its version.

    Returns the version and the outcome.
    """
    summary = {
        "name": definition.name,
        "description": definition.description,
        "step_count": len(definition.steps),
        "updated_at": now,
    }
    # Concurrent publications of the same workflow wait here.
    workflow, created = Workflow.objects.select_for_update().get_or_create(
        id=definition.id, defaults={**summary, "version": 1}
    )
    known = None if created else _version_like(definition)
    if workflow.version == known:
        return workflow.version, Publication.UNCHANGED
    version = _newest_version(definition.id) + 1 if known is None else known
    if not created:
        make_current(definition.id, version, expected=workflow.publications, **summary)
    if known is not None:
        return version, Publication.AGAIN
    WorkflowVersion.objects.create(
        workflow_id=definition.id,
        version=version,
        definition=definition.model_dump(mode="json"),
        content_hash=definition.content_hash(),
        published_at=now,
    )
    return version, Publication.NEW


def _version_like(definition: WorkflowDefinition) -> int | None:
    """Return the version of a workflow with this content, including the order of names in schemas; None without one."""
    rows = WorkflowVersion.objects.filter(workflow_id=definition.id, content_hash=definition.content_hash())
    return rows.order_by("id").values_list("version", flat=True).first()


def _newest_version(workflow_id: str) -> int:
    """Return the highest version number, 0 if there is none. It is not always the current version."""
    rows = WorkflowVersion.objects.filter(workflow_id=workflow_id)
    return rows.aggregate(newest=Max("version", default=0))["newest"]


def make_current(workflow_id: str, version: int, *, expected: int, **values: object) -> None:
    """Make a version the current one, as publication `expected` + 1.

    Raises:
        StaleWorkflow: `publications` is not `expected`.
    """
    rows = Workflow.objects.filter(id=workflow_id, publications=expected)
    if rows.update(version=version, publications=expected + 1, **values) != 1:
        raise StaleWorkflow(workflow_id)


def version_row_id(workflow_id: str, version: int) -> int | None:
    """Return the primary key of a version's row; None if there is none."""
    rows = WorkflowVersion.objects.filter(workflow_id=workflow_id, version=version)
    return rows.values_list("id", flat=True).first()


def wanted_versions(workflow_id: str, version: int | None) -> QuerySet[Workflow, Any]:
    """Return the query for a version number (None: the current one), and the primary key of its row, which may be None.

    The result is empty if there is no such workflow.
    """
    number: Any = F("version") if version is None else Value(version)
    rows = Workflow.objects.filter(id=workflow_id).order_by("id")
    wanted = WorkflowVersion.objects.filter(workflow_id=OuterRef("id"), version=OuterRef("wanted")).values("id")[:1]
    return rows.annotate(wanted=number, row_id=Subquery(wanted)).values_list("wanted", "row_id")


_definitions: dict[tuple[str, int], WorkflowDefinition] = {}  # by workflow and version; immutable


def get_definition(workflow_id: str, version: int) -> WorkflowDefinition:
    """Return a published definition.

    Raises:
        WorkflowVersion.DoesNotExist: there is no such version.
    """
    if (cached := cached_definition(workflow_id, version)) is not None:
        return cached
    row = WorkflowVersion.objects.get(workflow_id=workflow_id, version=version)
    if len(_definitions) >= _MAX_DEFINITIONS:
        _definitions.clear()
    read = _definitions[workflow_id, version] = WorkflowDefinition.model_validate(row.definition)
    return read


def cached_definition(workflow_id: str, version: int) -> WorkflowDefinition | None:
    """Return a published definition from the cache, without a query; None if it is not cached."""
    return _definitions.get((workflow_id, version))


def clear_definitions() -> None:
    """Clear the cache."""
    _definitions.clear()
