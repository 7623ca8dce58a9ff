"""The repositories: in memory for tests, on PostgreSQL for real."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from documents import repository as documents
from executions import models
from executions.engine.errors import NotFound, VersionConflict
from executions.engine.execution import Document, Execution, Step
from executions.engine.in_memory import InMemoryDocumentRepository, InMemoryExecutionRepository
from executions.engine.ports import Repositories
from executions.engine.states import ACTIVE
from executions.rows import execution_columns, execution_value, new_step_row, step_columns
from executions.threads import in_thread
from workflows import repository as workflows


def create_repositories(kind: Literal["memory", "postgres"]) -> Repositories:
    """Return a pair of repositories: in memory (each pair its own), or on the database."""
    if kind == "memory":
        return Repositories(documents=InMemoryDocumentRepository(), executions=InMemoryExecutionRepository())
    return Repositories(documents=PostgresDocumentRepository(), executions=PostgresExecutionRepository())


class PostgresExecutionRepository:
    """Executions in their tables."""

    async def save(self, execution: Execution) -> Execution:
        """Insert or replace, guarded by the version."""
        await in_thread(save, execution)
        return execution

    async def get(self, execution_id: UUID) -> Execution:
        """Return it."""
        return await in_thread(get, execution_id)

    async def list_by_scope(self, scope_id: UUID) -> list[Execution]:
        """Return the scope's executions, newest first."""
        return await in_thread(list_by_scope, scope_id)

    async def list_active(self) -> list[Execution]:
        """Return those that have not ended, oldest first."""
        return await in_thread(list_active)


class PostgresDocumentRepository:
    """Documents in their tables."""

    async def save(self, document: Document) -> Document:
        """Store it as the next version."""
        return await in_thread(save_document, document)

    async def get(self, document_id: UUID, version: int | None = None) -> Document:
        """Return one version, the newest by default."""
        stored = await in_thread(documents.get_version, document_id, version)
        if stored is None:
            raise NotFound("There is no such document.")
        return _document(stored)

    async def get_by_scope_type(self, scope_id: UUID, document_type: str) -> Document | None:
        """Return the newest version, None when there is none."""
        stored = await in_thread(documents.head_of, scope_id, document_type)
        return None if stored is None else _document(stored)

    async def list_by_scope(self, scope_id: UUID) -> list[Document]:
        """Return the newest version of each type, by type."""
        return [_document(stored) for stored in await in_thread(documents.heads_of_scope, scope_id)]


# --- the same, for code that holds a transaction --------------------------------------------------------------------


def get(execution_id: UUID) -> Execution:
    """Return an execution.

    Raises:
        NotFound: there is none.
    """
    return _one(_rows().filter(id=execution_id))


def lock(execution_id: UUID) -> Execution:
    """Return an execution, its row locked until the transaction ends.

    Raises:
        NotFound: there is none.
    """
    return _one(_rows().select_for_update(of=("self",)).filter(id=execution_id))


def list_by_scope(scope_id: UUID) -> list[Execution]:
    """Return the scope's executions, newest first."""
    return _values(_rows().filter(scope_id=scope_id).order_by("-created_at", "-id"))


def list_active() -> list[Execution]:
    """Return those that are pending, running or waiting, oldest first."""
    return _values(_rows().filter(status__in=[each.value for each in ACTIVE]).order_by("created_at", "id"))


@transaction.atomic
def save(execution: Execution, *, over: Execution | None = None) -> None:
    """Insert an execution (version 1), or replace the version before; steps that moved are written with it.

    `over` is the value that it was made from; without it, steps may replace any earlier version of theirs.

    Raises:
        VersionConflict: the stored one, or a stored step of it, has another version.
    """
    if execution.version == 1:
        _insert(execution)
        return
    expected = execution.version - 1
    rows = models.Execution.objects.filter(id=execution.id, version=expected)
    if rows.update(**execution_columns(execution)) != 1:
        raise VersionConflict("The execution", expected=expected)
    before = _step_versions(execution.id) if over is None else {key: each.version for key, each in over.steps.items()}
    for step in execution.steps.values():
        if step.version != (expected_step := before.get(step.step_id, 0)):
            _replace_step(execution.id, step, expected=expected_step)


def _step_versions(execution_id: UUID) -> dict[str, int]:
    return dict(models.ExecutionStep.objects.filter(execution_id=execution_id).values_list("step_id", "version"))


def _replace_step(execution_id: UUID, step: Step, *, expected: int) -> None:
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, step_id=step.step_id, version=expected)
    if step.version < expected or rows.update(**step_columns(step)) != 1:
        raise VersionConflict(f"Step {step.step_id}", expected=expected)


def _insert(execution: Execution) -> None:
    if models.Execution.objects.filter(id=execution.id).exists():
        raise VersionConflict("The execution", expected=0)
    version_id = workflows.version_row_id(execution.workflow_id, execution.workflow_version)
    if version_id is None:
        raise NotFound("There is no such workflow version.")
    models.Execution.objects.create(
        id=execution.id,
        workflow_id=execution.workflow_id,
        workflow_version_id=version_id,
        scope_id=execution.scope.id,
        input=execution.input,
        tags=list(execution.tags),
        requested_by_id=execution.requested_by,
        requested_by_name=execution.requested_by_name,
        created_at=execution.created_at,
        **execution_columns(execution),
    )
    models.ExecutionStep.objects.bulk_create(new_step_row(execution, step) for step in execution.steps.values())


def save_document(document: Document) -> Document:
    """Store a document as the next version of its (scope, type).

    Raises:
        VersionConflict: the newest version is not the one before.
    """
    fields = {name: getattr(document, name) for name in documents.StoredDocument.__dataclass_fields__}
    try:
        return _document(documents.save_version(documents.StoredDocument(**fields)))
    except documents.StaleVersion as error:
        raise VersionConflict("The document", expected=document.version - 1) from error


def _document(stored: documents.StoredDocument) -> Document:
    return Document(**{name: getattr(stored, name) for name in stored.__dataclass_fields__})


def _rows() -> QuerySet[models.Execution]:
    rows = models.Execution.objects.select_related("workflow_version", "scope")
    return rows.defer("workflow_version__definition")


def _one(rows: Iterable[models.Execution]) -> Execution:
    for value in _values(rows):
        return value
    raise NotFound("There is no such execution.")


def _values(rows: Iterable[models.Execution]) -> list[Execution]:
    found = list(rows)
    steps: dict[UUID, list[models.ExecutionStep]] = {row.id: [] for row in found}
    for step in models.ExecutionStep.objects.filter(execution_id__in=steps).order_by("position", "id"):
        steps[step.execution_id].append(step)
    return [execution_value(row, steps[row.id]) for row in found]
