"""Publishing of workflows, and cached reads of published definitions."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import F, Max, OuterRef, QuerySet, Subquery, Value

from common.errors import FieldError, StaleWrite
from workflows.definitions.definition import DefinitionError, WorkflowDefinition
from workflows.models import HouseFile, Workflow, WorkflowVersion

_MAX_DEFINITIONS = 256  # in the cache


class StaleWorkflow(StaleWrite):
    """Another process has published a version of the same workflow."""


class Publication(StrEnum):
    """Outcome of `publish`."""

    NEW = "published"
    AGAIN = "current again"
    UNCHANGED = "unchanged"


@transaction.atomic
def publish(definition: WorkflowDefinition, *, now: datetime, house: bytes | None = None) -> tuple[int, Publication]:
    """Publish a definition, and make it the current version. Content that was published before keeps its version.

    Args:
        definition: The definition.
        now: The time of publication.
        house: The file that `definition.house` names, checked; None: there is none, or it is stored.

    Returns:
        The version and the outcome.

    Raises:
        DefinitionError: the definition names a house file that is not stored.
    """
    _store_house(definition, house)
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
    _store_version(definition, version, now=now)
    return version, Publication.NEW


def _store_version(definition: WorkflowDefinition, version: int, *, now: datetime) -> None:
    WorkflowVersion.objects.create(
        workflow_id=definition.id,
        version=version,
        definition=definition.model_dump(mode="json"),
        content_hash=definition.content_hash(),
        published_at=now,
    )


def _store_house(definition: WorkflowDefinition, house: bytes | None) -> None:
    if house is not None and hashlib.sha256(house).hexdigest() == definition.house:
        HouseFile.objects.get_or_create(sha256=definition.house, defaults={"bytes": house})
    elif definition.house is not None and house_file(definition.house) is None:
        detail = f"No house file {definition.house[:12]}… is stored; name one as {{file: house.docx}}."
        raise DefinitionError([FieldError(pointer="/house", code="unknown_file", detail=detail)])


def house_file(sha256: str) -> bytes | None:
    """Return a house file by its hash; None if none is stored."""
    found = HouseFile.objects.filter(sha256=sha256).values_list("bytes", flat=True).first()
    return None if found is None else bytes(found)


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
