"""Storing documents, one version after the other, and reading them back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from pydantic import JsonValue

from documents.models import Document, DocumentVersion, Schema


class StaleVersion(Exception):
    """The head has another version by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """One version of a document, with the identity of its head."""

    id: UUID
    scope_id: UUID
    type: str
    version: int
    title: str
    content: Mapping[str, JsonValue]
    schema: Mapping[str, JsonValue]
    execution_id: UUID | None
    step_id: str | None
    created_at: datetime
    provenance: Mapping[str, JsonValue]


def schema_hash(schema: Mapping[str, JsonValue]) -> str:
    """Return the SHA-256 (hex) of a schema's canonical JSON: equal content, equal hash."""
    canonical = json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@transaction.atomic
def save_version(document: StoredDocument) -> StoredDocument:
    """Store a document as the next version of its (scope, type), and return it with the head's id.

    Raises:
        StaleVersion: `document.version` is not the head's version + 1.
    """
    head_id = _raise_head(document)
    schema, _ = Schema.objects.get_or_create(
        hash=schema_hash(document.schema), defaults={"content": dict(document.schema)}
    )
    row = DocumentVersion.objects.create(
        document_id=head_id,
        version=document.version,
        title=document.title,
        content=dict(document.content),
        schema=schema,
        execution_id=document.execution_id,
        step_id=document.step_id,
        provenance=dict(document.provenance),
        created_at=document.created_at,
    )
    return _stored(row)


def _raise_head(document: StoredDocument) -> UUID:
    values = {
        "title": document.title,
        "version": document.version,
        "execution_id": document.execution_id,
        "updated_at": document.created_at,
    }
    if document.version == 1:
        head, created = Document.objects.get_or_create(
            scope_id=document.scope_id,
            type=document.type,
            defaults={**values, "id": document.id, "created_at": document.created_at},
        )
        if not created:
            raise StaleVersion(document.type)
        return head.id
    rows = Document.objects.filter(scope_id=document.scope_id, type=document.type, version=document.version - 1)
    if rows.update(**values) != 1:
        raise StaleVersion(document.type)
    return Document.objects.values_list("id", flat=True).get(scope_id=document.scope_id, type=document.type)


def lock_head_version(scope_id: UUID, document_type: str) -> int:
    """Return the newest version (0 when there is none), locked until the transaction ends."""
    rows = Document.objects.select_for_update().filter(scope_id=scope_id, type=document_type)
    return rows.values_list("version", flat=True).first() or 0


def get_version(document_id: UUID, version: int | None = None) -> StoredDocument | None:
    """Return one version of a document, the newest by default; None when there is none."""
    rows = _versions().filter(document_id=document_id)
    row = rows.order_by("-version").first() if version is None else rows.filter(version=version).first()
    return None if row is None else _stored(row)


def head_of(scope_id: UUID, document_type: str) -> StoredDocument | None:
    """Return the newest version of the scope's document of this type, None when there is none."""
    rows = _versions().filter(document__scope_id=scope_id, document__type=document_type)
    row = rows.order_by("-version").first()
    return None if row is None else _stored(row)


def heads_of_scope(scope_id: UUID) -> list[StoredDocument]:
    """Return the newest version of every document of the scope, by type."""
    rows = _versions().filter(document__scope_id=scope_id).order_by("document__type", "-version")
    return [_stored(row) for row in rows.distinct("document__type")]


def _versions() -> QuerySet[DocumentVersion]:
    return DocumentVersion.objects.select_related("document", "schema")


def _stored(row: DocumentVersion) -> StoredDocument:
    return StoredDocument(
        id=row.document_id,
        scope_id=row.document.scope_id,
        type=row.document.type,
        version=row.version,
        title=row.title,
        content=row.content,
        schema=row.schema.content,
        execution_id=row.execution_id,
        step_id=row.step_id,
        created_at=row.created_at,
        provenance=row.provenance,
    )
