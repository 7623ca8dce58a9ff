"""A cache of the documents and files that the steps of one execution read."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from executions.engine.domain.brief import BriefFile, file_of
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Document, Execution, Pin
from executions.engine.ports import Repositories


class DocumentCache:
    """Document versions that a worker has read or written. Versions never change, so each is read once."""

    def __init__(self, repositories: Repositories) -> None:
        self._documents = repositories.documents
        self._files = repositories.files
        self._versions: dict[tuple[UUID, int], Document] = {}
        self._read: dict[UUID, BriefFile | None] = {}
        self._of_scope: tuple[UUID, ...] | None = None  # files of the scope's documents

    async def pinned(self, pin: Pin) -> Document:
        """Return the version that a step has pinned."""
        key = (pin.document_id, pin.version)
        if key not in self._versions:
            self._versions[key] = await self._documents.get(*key)
        return self._versions[key]

    async def newest(self, execution: Execution, document_type: str, producer_id: str) -> Document | None:
        """Return the document of the producing step in this execution, else the newest in the scope, else None."""
        producer = execution.steps.get(producer_id)
        if producer is not None and producer.document_id is not None and producer.document_version is not None:
            pin = Pin(type=document_type, document_id=producer.document_id, version=producer.document_version)
            return await self.pinned(pin)
        scope = execution.scope if producer is None else producer.scope
        return await self._documents.get_by_scope_type(scope.id, document_type)

    async def read_files(self, execution: Execution, file_ids: Iterable[UUID]) -> None:
        """Read files of the execution's root scope, for `files_of`. Files never change, so each is read once."""
        if missing := [each for each in file_ids if each not in self._read]:
            found = await self._files.get(missing, scope_id=execution.scope.id)
            self._read |= {**dict.fromkeys(missing), **{each.id: each for each in found}}

    def know(self, files: Iterable[BriefFile]) -> None:
        """Add files that were read before."""
        self._read |= {each.id: each for each in files}

    async def read_scope_files(self, execution: Execution, types: Iterable[str]) -> None:
        """Read which files documents of the execution's scope were made from, in the order of these types.

        A document keeps its file, and exists when an execution that reads it starts: the ids are read once.
        """
        if self._of_scope is None:
            heads = [await self._documents.get_by_scope_type(execution.scope.id, each) for each in types]
            found = [file_of(each.provenance) for each in heads if each is not None]
            self._of_scope = tuple(each for each in found if each is not None)

    @property
    def scope_files(self) -> tuple[UUID, ...]:
        """The ids that `read_scope_files` has found."""
        return self._of_scope or ()

    def files_of(self, file_ids: Iterable[UUID]) -> list[BriefFile]:
        """Return those of the files that exist in the scope and that `read_files` has read: all but newer answers."""
        return [file for each in file_ids if (file := self._read.get(each)) is not None]

    def keep(self, execution: Execution, step_id: str, document: Document) -> None:
        """Add the document that a step has produced, under the id and version with which it was stored."""
        step = execution.steps[step_id]
        if step.document_id is not None and step.document_version is not None:
            stored = replace(document, id=step.document_id, version=step.document_version)
            self._versions[stored.id, stored.version] = stored


def pin_of(document: Document) -> Pin:
    """Return the pin of a document version."""
    return Pin(type=document.type, document_id=document.id, version=document.version)
