"""The documents that the steps of one execution read, each fetched once."""

from __future__ import annotations

from uuid import UUID

from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Document, Execution, Pin
from executions.engine.ports import DocumentRepository


class DocumentCache:
    """What a runner has read and made. A document version never changes, so it need not be read again."""

    def __init__(self, documents: DocumentRepository) -> None:
        self._documents = documents
        self._read: dict[tuple[UUID, int], Document] = {}

    async def pinned(self, pin: Pin) -> Document:
        """Return the version that a step has pinned."""
        key = (pin.document_id, pin.version)
        if key not in self._read:
            self._read[key] = await self._documents.get(*key)
        return self._read[key]

    async def newest(self, execution: Execution, kind: str, maker_id: str) -> Document | None:
        """Return what the execution's own step has made, else the newest of this type in the scope, if there is one."""
        maker = execution.steps.get(maker_id)
        if maker is not None and maker.document_id is not None and maker.document_version is not None:
            return await self.pinned(Pin(type=kind, document_id=maker.document_id, version=maker.document_version))
        scope = execution.scope if maker is None else maker.scope
        return await self._documents.get_by_scope_type(scope.id, kind)

    def keep(self, execution: Execution, step_id: str, document: Document) -> None:
        """Remember what a step has made, under the identity that it was stored with."""
        step = execution.steps[step_id]
        if step.document_id is not None and step.document_version is not None:
            stored = replace(document, id=step.document_id, version=step.document_version)
            self._read[stored.id, stored.version] = stored


def pin_of(document: Document) -> Pin:
    """Return the pin of a document version."""
    return Pin(type=document.type, document_id=document.id, version=document.version)
