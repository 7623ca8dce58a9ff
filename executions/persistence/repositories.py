"""The repositories: in memory for tests, on PostgreSQL in production."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from typing import Literal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from access import services as access
from common.database import bulk
from common.errors import NotFound, VersionConflict
from documents import repository as documents
from documents.files.storage import FileText, file_texts
from executions import models
from executions.db_threads import in_thread, retry_while_unavailable
from executions.engine.domain.acceptance import AcceptanceDecision
from executions.engine.domain.brief import BriefFile, Passage
from executions.engine.domain.execution import Document, Execution, Step, StepOutcome
from executions.engine.domain.states import ACTIVE, StepStatus
from executions.engine.ports import MadeVersion, Repositories
from executions.engine.testing.in_memory import (
    InMemoryDocumentRepository,
    InMemoryExecutionRepository,
    InMemoryFileRepository,
)
from executions.engine.transitions.for_each import parent_scope
from executions.persistence import inbox_entries
from executions.persistence.from_rows import load
from executions.persistence.to_columns import execution_columns, new_execution_columns, new_step_columns, step_columns
from workflows import repository as workflows

_LOCK = "SELECT id, version FROM executions_execution WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"


def create_repositories(kind: Literal["memory", "postgres"]) -> Repositories:
    """Return the repositories: in memory (separate ones per call), or on the database."""
    if kind == "memory":
        return Repositories(
            documents=InMemoryDocumentRepository(),
            executions=InMemoryExecutionRepository(),
            files=InMemoryFileRepository(),
        )
    return Repositories(
        documents=PostgresDocumentRepository(),
        executions=PostgresExecutionRepository(),
        files=PostgresFileRepository(),
    )


class PostgresExecutionRepository:
    """Executions on PostgreSQL."""

    async def save(self, execution: Execution) -> Execution:
        """Insert or replace the execution, guarded by its version."""
        await in_thread(save, execution)
        return execution

    async def get(self, execution_id: UUID) -> Execution:
        """Return the execution."""
        return await retry_while_unavailable(get, execution_id)

    async def step_outcome(self, execution_id: UUID, step_id: str) -> StepOutcome | None:
        """Return what became of the document of a step."""
        return await retry_while_unavailable(step_outcome, execution_id, step_id)

    async def list_by_scope(self, scope_id: UUID) -> list[Execution]:
        """Return the scope's executions, newest first."""
        return await retry_while_unavailable(list_by_scope, scope_id)

    async def list_active(self) -> list[Execution]:
        """Return the executions that have not ended, oldest first."""
        return await retry_while_unavailable(list_active)


class PostgresDocumentRepository:
    """Documents on PostgreSQL."""

    async def save(self, document: Document) -> Document:
        """Store a person's document as the next version."""
        return await in_thread(save_document, document)

    async def get(self, document_id: UUID, version: int | None = None) -> Document:
        """Return one version, the newest by default."""
        return await retry_while_unavailable(get_document, document_id, version)

    async def get_by_scope_type(self, scope_id: UUID, document_type: str) -> Document | None:
        """Return the newest version, None if there is none."""
        stored = await retry_while_unavailable(documents.newest_version, scope_id, document_type)
        return None if stored is None else _document(stored)

    async def last_made(self, document_id: UUID, version: int) -> MadeVersion | None:
        """Return the newest version up to this one that a step has made."""
        return await retry_while_unavailable(last_made, document_id, version)

    async def list_by_scope(self, scope_id: UUID) -> list[Document]:
        """Return the newest version of each type, by type."""
        return [_document(stored) for stored in await retry_while_unavailable(documents.newest_versions, scope_id)]


class PostgresFileRepository:
    """Files on PostgreSQL."""

    async def get(self, file_ids: Sequence[UUID], *, scope_id: UUID) -> list[BriefFile]:
        """Return the files of a root scope in the order of the ids."""
        return await retry_while_unavailable(get_files, file_ids, scope_id)


# --- the same operations for code that runs in a transaction --------------------------------------------------------


def get(execution_id: UUID) -> Execution:
    """Return an execution.

    Raises:
        NotFound: there is no such execution.
    """
    found = load([execution_id])
    if execution_id not in found:
        raise NotFound("There is no such execution.")
    return found[execution_id]


def get_document(document_id: UUID, version: int | None = None) -> Document:
    """Return one version of a document, the newest by default.

    Raises:
        NotFound: there is no such version.
    """
    stored = documents.get_version(document_id, version)
    if stored is None:
        raise NotFound("There is no such document.")
    return _document(stored)


def step_outcome(execution_id: UUID, step_id: str) -> StepOutcome | None:
    """Return what became of the document of a step, None if there is no such step."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id, step_id=step_id)
    found = rows.values_list("status", "document_version", "decisions").first()
    if found is None:
        return None
    status, version, decisions = found
    made = tuple(map(AcceptanceDecision.model_validate, decisions))
    return StepOutcome(status=StepStatus(status), document_version=version, decisions=made)


def last_made(document_id: UUID, version: int) -> MadeVersion | None:
    """Return the newest version up to this one that a step has made and that was not only proposed, else None."""
    found = documents.last_made(document_id, version)
    if found is None:
        return None
    number, execution_id, step_id = found
    return MadeVersion(version=number, execution_id=execution_id, step_id=step_id)


def get_files(file_ids: Sequence[UUID], scope_id: UUID | None = None) -> list[BriefFile]:
    """Return files in the order of their ids; unknown ids are left out.

    Args:
        file_ids: Ids of files.
        scope_id: The root scope that uses them. None: the caller has checked the permissions.
    """
    found = {each.id: _file(each) for each in file_texts(file_ids, root_id=scope_id)}
    return [found[each] for each in file_ids if each in found]


def _file(stored: FileText) -> BriefFile:
    passages = tuple(Passage(anchor=each.anchor, text=each.text) for each in stored.segments)
    values = {each.name: getattr(stored, each.name) for each in fields(stored) if each.name != "segments"}
    return BriefFile(passages=passages, **values)


def lock(execution_id: UUID) -> Execution:
    """Lock the execution's row until the transaction ends, and return the execution.

    Raises:
        NotFound: there is no such execution.
    """
    found = lock_all([execution_id], known={})
    if execution_id not in found:
        raise NotFound("There is no such execution.")
    return found[execution_id]


def lock_all(execution_ids: Collection[UUID], *, known: Mapping[UUID, Execution]) -> dict[UUID, Execution]:
    """Lock the rows of executions, in order of id, until the transaction ends; return the existing executions.

    A value of `known` that is still current is returned without another query.
    """
    return locked(lock_rows(execution_ids), known=known)


def lock_rows(execution_ids: Collection[UUID]) -> bulk.LazyResult[dict[UUID, int]]:
    """Query the versions of executions and lock their rows, in order of id, until the transaction ends."""
    return bulk.LazyResult(bulk.execute(_LOCK, [sorted(execution_ids)]), dict)


def locked(versions: bulk.LazyResult[dict[UUID, int]], *, known: Mapping[UUID, Execution]) -> dict[UUID, Execution]:
    """Return the executions with these locked rows, like `lock_all`."""
    found = {
        each: value
        for each, version in versions.value.items()
        if (value := known.get(each)) is not None and value.version == version
    }
    if missing := versions.value.keys() - found.keys():
        found |= load(missing)
    return found


def scopes_of(execution_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the scope of each existing execution, by the execution's id."""
    return dict(models.Execution.objects.filter(id__in=execution_ids).values_list("id", "scope_id"))


def list_by_scope(scope_id: UUID) -> list[Execution]:
    """Return the scope's executions, newest first."""
    return _values(models.Execution.objects.filter(scope_id=scope_id).order_by("-created_at", "-id"))


def list_active() -> list[Execution]:
    """Return the executions that are pending, running or waiting, oldest first."""
    return _values(
        models.Execution.objects.filter(status__in=[each.value for each in ACTIVE]).order_by("created_at", "id")
    )


@transaction.atomic
def save(execution: Execution) -> None:
    """Insert an execution (version 1), or replace its previous version, with the steps that changed.

    Raises:
        VersionConflict: the stored execution, or one of its stored steps, has another version.
    """
    if execution.version == 1:
        _insert(execution)
        return
    stored = get(execution.id)
    if stored.version != execution.version - 1:
        raise VersionConflict("The execution", expected=execution.version - 1)
    bulk.write(replacement_writes([(stored, execution)]))


def replacement_writes(pairs: Sequence[tuple[Execution, Execution]]) -> Iterator[bulk.Write]:
    """Yield the writes that replace executions by their new values, with new and changed steps.

    They raise `VersionConflict` if a stored execution or step does not have the version of its old value.
    """
    moved = [(old, new, before, step) for old, new in pairs for before, step in _moved_steps(old, new)]
    yield from _replaced_executions(pairs)
    yield from _new_steps((new, step) for old, new in pairs for step in added_steps(old, new))
    yield from _replaced_steps(moved)
    yield from inbox_entries.writes(pairs, moved)


def added_steps(old: Execution, new: Execution) -> list[Step]:
    """Return the steps that were added to an execution."""
    if len(old.steps) == len(new.steps):  # steps are never removed
        return []
    return [step for step_id, step in new.steps.items() if step_id not in old.steps]


def _replaced_executions(pairs: Sequence[tuple[Execution, Execution]]) -> Iterator[bulk.Write]:
    """Yield the write of executions; `VersionConflict` if a stored one does not have the version of its old value."""
    rows = [{"id": new.id, **execution_columns(new)} for _, new in pairs]
    expected = [old.version for old, _ in pairs]
    stale = VersionConflict("An execution", expected=max(expected, default=0))
    yield from bulk.replacement(models.Execution, rows, key=("id",), expected=expected, error=stale)


def _replaced_steps(moved: Sequence[inbox_entries.MovedStep]) -> Iterator[bulk.Write]:
    """Yield the write of changed steps, guarded by the versions of their old values.

    Raises:
        VersionConflict: a step's new version is lower than its old one.
    """
    rows = [{"execution_id": new.id, "step_id": step.step_id, **step_columns(step)} for _, new, _, step in moved]
    expected = [before.version for _, _, before, _ in moved]
    stale = VersionConflict("A step", expected=max(expected, default=0))
    if any(step.version < before.version for _, _, before, step in moved):
        raise stale
    key = ("execution_id", "step_id")
    yield from bulk.replacement(models.ExecutionStep, rows, key=key, expected=expected, error=stale)


def _moved_steps(old: Execution, new: Execution) -> Iterator[tuple[Step, Step]]:
    """Yield the changed steps as pairs of the old and the new value."""
    steps = old.steps
    for step_id, step in new.steps.items():
        before = steps.get(step_id)
        if before is not step and before is not None and before.version != step.version:
            yield before, step


def _insert(execution: Execution) -> None:
    if models.Execution.objects.filter(id=execution.id).exists():
        raise VersionConflict("The execution", expected=0)
    version_id = workflows.version_row_id(execution.workflow_id, execution.workflow_version)
    if version_id is None:
        raise NotFound("There is no such workflow version.")
    insert(execution, version_id=version_id)


def insert(execution: Execution, *, version_id: int) -> None:
    """Store a new execution of this workflow version.

    The writes are sent with the next query, at the latest at COMMIT.
    """
    bulk.write_later(bulk.insertion(models.Execution, [new_execution_columns(execution, version_id)]))
    bulk.write_later(_new_steps((execution, step) for step in execution.steps.values()))


def _new_steps(steps: Iterable[tuple[Execution, Step]]) -> Iterator[bulk.Write]:
    """Yield the write of new steps. Item scopes are stored first: outer before inner ones, which refer to them."""
    new = sorted(steps, key=lambda each: len(each[1].keys))
    for _, inner in groupby(new, key=lambda each: len(each[1].keys)):
        access.make_child_scopes(_child_scope(*each) for each in inner if each[1].scope != each[0].scope)
    yield from bulk.insertion(models.ExecutionStep, [new_step_columns(execution, step) for execution, step in new])


def _child_scope(execution: Execution, step: Step) -> access.ChildScope:
    return access.ChildScope(
        id=step.scope.id,
        parent_id=parent_scope(execution, step).id,
        root_id=execution.scope.id,
        type=step.scope.type,
        key=step.scope.key,
    )


def save_document(document: Document) -> Document:
    """Store a person's document as the next version of its (scope, type).

    Raises:
        VersionConflict: the newest stored version is not the previous one.
    """
    try:
        return _document(documents.save_version(stored_document(document)))
    except documents.StaleVersion as error:
        raise VersionConflict("The document", expected=document.version - 1) from error


def stored_document(document: Document) -> documents.StoredDocument:
    """Return a document in the form of the `documents` app."""
    return documents.StoredDocument(**{name: getattr(document, name) for name in Document.__dataclass_fields__})


def _document(stored: documents.StoredDocument) -> Document:
    return Document(**{name: getattr(stored, name) for name in Document.__dataclass_fields__})


def _values(rows: QuerySet[models.Execution]) -> list[Execution]:
    ids = list(rows.values_list("id", flat=True))
    found = load(ids)
    return [found[each] for each in ids if each in found]
