"""Publishing of workflows, and cached reads of published definitions."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import F, Max, OuterRef, QuerySet, Subquery, Value

from access.user import User
from common.errors import FieldError, PreconditionFailed, StaleWrite
from workflows.definitions.definition import DefinitionError, WorkflowDefinition
from workflows.models import HouseFile, Workflow, WorkflowVersion

_MAX_DEFINITIONS = 256  # in the cache
#: Numbers of candidates begin after it; published versions never reach it.
LAST_PUBLISHED = 1_000_000_000
ERASED = "Erased."
_ANY_DOCUMENT = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
NoSuchWorkflow = Workflow.DoesNotExist
NoSuchVersion = WorkflowVersion.DoesNotExist


class StaleWorkflow(StaleWrite):
    """Another process has published a version of the same workflow."""


class Publication(StrEnum):
    """Outcome of `publish`."""

    NEW = "published"
    AGAIN = "current again"
    UNCHANGED = "unchanged"


@transaction.atomic
def publish(
    definition: WorkflowDefinition,
    *,
    now: datetime,
    by: User | None = None,
    house: bytes | None = None,
    expected_versions: Collection[int] | None = None,
) -> tuple[int, Publication]:
    """Publish a definition, and make it the current version. Content that was published before keeps its version.

    A retired workflow stays retired.

    Args:
        definition: The definition.
        now: The time of publication.
        by: The author; None: a command on the server.
        house: The file that `definition.house` names, checked; None: there is none, or it is stored.
        expected_versions: The versions of which one has to be the current one; None: any.

    Returns:
        The version and the outcome.

    Raises:
        DefinitionError: the definition names a house file that is not stored.
        PreconditionFailed: the current version is not in `expected_versions`.
    """
    _store_house(definition, house)
    workflow = lock(definition, now=now)
    if expected_versions is not None and workflow.version not in expected_versions:
        raise PreconditionFailed
    known = _row_like(definition, is_candidate=False)
    if known is not None and workflow.version == known.version:
        return workflow.version, Publication.UNCHANGED
    version = _newest_version(definition.id) + 1 if known is None else known.version
    make_current(definition.id, version, expected=workflow.publications, **_summary(definition, now=now))
    if known is not None:
        return version, Publication.AGAIN
    _store_version(definition, version, now=now, by=by)
    return version, Publication.NEW


def preview(definition: WorkflowDefinition) -> tuple[int, Publication]:
    """Return which version `publish` would make the current one, and the outcome, as things stand now."""
    current = current_number(definition.id)
    known = _row_like(definition, is_candidate=False)
    if known is None:
        return _newest_version(definition.id) + 1, Publication.NEW
    return known.version, Publication.UNCHANGED if known.version == current else Publication.AGAIN


def current_number(workflow_id: str) -> int:
    """Return the number of the current version; 0 if there is no such workflow."""
    return Workflow.objects.filter(id=workflow_id).values_list("version", flat=True).first() or 0


@transaction.atomic
def store_candidate(definition: WorkflowDefinition, *, now: datetime) -> tuple[int, int]:
    """Store a definition that is not published, for dry runs. Equal content is stored once.

    Returns:
        The number of the candidate and the primary key of its row.

    Raises:
        DefinitionError: the definition names a house file that is not stored.
    """
    _store_house(definition, None)
    lock(definition, now=now)
    if (known := _row_like(definition, is_candidate=True)) is not None:
        return known.version, known.pk
    version = _newest_version(definition.id, is_candidate=True) + 1
    return version, _store_version(definition, version, now=now, is_candidate=True).pk


def is_candidate(row_id: int) -> bool:
    """Return whether a version was only tried, by the primary key of its row."""
    return WorkflowVersion.objects.filter(pk=row_id, is_candidate=True).exists()


@transaction.atomic
def erase_candidate(row_id: int, *, is_used: Callable[[], bool]) -> None:
    """Replace the texts of a candidate; ids, roles and documents of its steps stay.

    Args:
        row_id: The primary key of its row.
        is_used: Called once no other transaction can begin to use it; whether it has to stay as it is.
    """
    row = WorkflowVersion.objects.get(pk=row_id, is_candidate=True)
    workflow = Workflow.objects.select_for_update().get(id=row.workflow_id)
    if is_used():
        return
    row.definition, row.content_hash = (
        _without_texts(row.definition),
        f"erased {row_id}",
    )  # the same text is stored anew
    row.save(update_fields=["definition", "content_hash"])
    if workflow.version == 0:  # its name and description are those of a candidate
        workflow.name, workflow.description = workflow.id, ERASED
        workflow.save(update_fields=["name", "description"])
    transaction.on_commit(lambda: _definitions.pop((row.workflow_id, row.version), None))


def _without_texts(definition: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "role", "inputs", "produces", "model")
    steps = [
        {name: each[name] for name in kept} | {"name": each["id"], "task": ERASED, "output_schema": _ANY_DOCUMENT}
        for each in definition["steps"]
    ]
    return {
        "id": definition["id"],
        "name": definition["id"],
        "description": ERASED,
        "scope_documents": definition["scope_documents"],
        "roles": {name: {"name": name, "instructions": ERASED} for name in definition["roles"]},
        "steps": steps,
    }


def lock(definition: WorkflowDefinition, *, now: datetime) -> Workflow:
    """Return the workflow of a definition, locked: concurrent publications of the same workflow wait here."""
    return Workflow.objects.select_for_update().get_or_create(
        id=definition.id, defaults={**_summary(definition, now=now), "version": 0, "publications": 0}
    )[0]


def _summary(definition: WorkflowDefinition, *, now: datetime) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "step_count": len(definition.steps),
        "updated_at": now,
    }


def _store_version(
    definition: WorkflowDefinition, version: int, *, now: datetime, by: User | None = None, is_candidate: bool = False
) -> WorkflowVersion:
    return WorkflowVersion.objects.create(
        workflow_id=definition.id,
        version=version,
        definition=definition.model_dump(mode="json"),
        content_hash=definition.content_hash(),
        published_at=now,
        published_by=by,
        is_candidate=is_candidate,
    )


def _store_house(definition: WorkflowDefinition, house: bytes | None) -> None:
    require_house(definition, house)
    if house is not None and definition.house is not None:
        HouseFile.objects.get_or_create(sha256=definition.house, defaults={"bytes": house})


def require_house(definition: WorkflowDefinition, house: bytes | None) -> None:
    """Check that the house file of a definition is `house`, or is stored.

    Raises:
        DefinitionError: the definition names another file.
    """
    if definition.house is None or (house is not None and hashlib.sha256(house).hexdigest() == definition.house):
        return
    if not HouseFile.objects.filter(sha256=definition.house).exists():
        detail = f"No house file {definition.house[:12]}… is stored; name one as {{file: house.docx}}."
        raise DefinitionError([FieldError(pointer="/house", code="unknown_file", detail=detail)])


def house_file(sha256: str) -> bytes | None:
    """Return a house file by its hash; None if none is stored."""
    found = HouseFile.objects.filter(sha256=sha256).values_list("bytes", flat=True).first()
    return None if found is None else bytes(found)


def _row_like(definition: WorkflowDefinition, *, is_candidate: bool) -> WorkflowVersion | None:
    """Return the version with this content, including the order of names in schemas, without its definition."""
    rows = WorkflowVersion.objects.filter(workflow_id=definition.id, content_hash=definition.content_hash())
    return rows.filter(is_candidate=is_candidate).defer("definition").order_by("id").first()


def _newest_version(workflow_id: str, *, is_candidate: bool = False) -> int:
    """Return the highest number so far. It is not always the current version."""
    rows = WorkflowVersion.objects.filter(workflow_id=workflow_id, is_candidate=is_candidate)
    before_first = LAST_PUBLISHED if is_candidate else 0
    return rows.aggregate(newest=Max("version", default=before_first))["newest"]


@transaction.atomic
def switch(workflow_id: str, version: int, *, now: datetime, expected_versions: Collection[int] | None = None) -> bool:
    """Make a published version the current one, and return whether that is a change.

    Raises:
        NoSuchWorkflow: there is no such workflow. NoSuchVersion: it has no such version.
        PreconditionFailed: the current version is not in `expected_versions`.
    """
    workflow = _existing(workflow_id, expected_versions)
    row = WorkflowVersion.objects.get(workflow_id=workflow_id, version=version, is_candidate=False)
    if workflow.version == version:
        return False
    summary = _summary(WorkflowDefinition.model_validate(row.definition), now=now)
    make_current(workflow_id, version, expected=workflow.publications, **summary)
    return True


@transaction.atomic
def set_retired(workflow_id: str, *, at: datetime | None, expected_versions: Collection[int] | None = None) -> bool:
    """Retire a workflow, or bring it back (`at` is None). Return whether that is a change.

    Raises:
        NoSuchWorkflow: there is no such workflow.
        PreconditionFailed: the current version is not in `expected_versions`.
    """
    workflow = _existing(workflow_id, expected_versions)
    if (workflow.retired_at is None) == (at is None):
        return False
    return Workflow.objects.filter(id=workflow_id).update(retired_at=at) == 1


def _existing(workflow_id: str, expected_versions: Collection[int] | None) -> Workflow:
    """Return a published workflow, locked."""
    workflow = Workflow.objects.select_for_update().get(id=workflow_id, version__gt=0)
    if expected_versions is not None and workflow.version not in expected_versions:
        raise PreconditionFailed
    return workflow


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
    """Return the query for a published version: number, primary key of its row, and when the workflow was retired.

    `version` None is the current one. The key is None without such a version. The result is empty if there is no such
    workflow.
    """
    number: Any = F("version") if version is None else Value(version)
    rows = Workflow.objects.filter(id=workflow_id, version__gt=0).order_by("id")
    wanted = WorkflowVersion.objects.filter(workflow_id=OuterRef("id"), version=OuterRef("wanted"), is_candidate=False)
    found = Subquery(wanted.values("id")[:1])
    return rows.annotate(wanted=number, row_id=found).values_list("wanted", "row_id", "retired_at")


#: Definitions by workflow and version, and until when of the monotonic clock. A published one never changes. One that
#: is only tried can be erased by another process.
_definitions: dict[tuple[str, int], tuple[WorkflowDefinition, float]] = {}
_CANDIDATE_SECONDS = 10.0


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
    read = WorkflowDefinition.model_validate(row.definition)
    until = math.inf if version <= LAST_PUBLISHED else time.monotonic() + _CANDIDATE_SECONDS
    _definitions[workflow_id, version] = (read, until)
    return read


def cached_definition(workflow_id: str, version: int) -> WorkflowDefinition | None:
    """Return a definition from the cache, without a query; None if it is not cached, or not any more."""
    read, until = _definitions.get((workflow_id, version), (None, math.inf))
    return read if time.monotonic() < until else None


def clear_definitions() -> None:
    """Clear the cache."""
    _definitions.clear()
