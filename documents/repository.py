"""Storage of document versions, with optimistic locking by the version of the head."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from pydantic import JsonValue

from access.selectors import ROOT_OF_SCOPE
from access.services import lock_scopes
from common.database import bulk
from documents.models import Document, DocumentStatus, DocumentVersion, Schema

Key = tuple[UUID, str]  # scope id and type

KNOWN_SCHEMAS: set[str] = set()  # hashes of stored schemas, which are never changed or removed
_MAX_HASHES = 1024
#: Query for the heads of all documents of scopes (parameter: their ids); pass its rows to `heads`.
SELECT_HEADS = "SELECT id, scope_id, type, version FROM documents_document WHERE scope_id = ANY(%s) ORDER BY id"
_ROOT = (("root_id", ROOT_OF_SCOPE.format('v."scope_id"')),)
_LOCK_HEADS = f"{SELECT_HEADS} FOR NO KEY UPDATE"


class StaleVersion(Exception):
    """The head has another version than expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A version of a document, with the key of its head. The fields with defaults tell of a person's edit."""

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
    author_id: int | None = None
    author_name: str = ""
    note: str = ""
    base_version: int | None = None


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False)
_hashes: dict[int, tuple[Mapping[str, JsonValue], str]] = {}  # by id(): the same schema objects recur


def schema_hash(schema: Mapping[str, JsonValue]) -> str:
    """Return the SHA-256 (hex) of a schema's canonical JSON, which ignores the order of names.

    It identifies the rules that a document was validated against; the order does not affect validation.
    """
    cached = _hashes.get(id(schema))
    if cached is None or cached[0] is not schema:
        if len(_hashes) >= _MAX_HASHES:
            _hashes.clear()
        cached = _hashes[id(schema)] = (schema, _hash(schema))
    return cached[1]


def is_stored(schema: Mapping[str, JsonValue]) -> bool:
    """Return whether this process knows that the schema is stored."""
    return schema_hash(schema) in KNOWN_SCHEMAS


def content_hash(content: Mapping[str, JsonValue]) -> str:
    """Return the SHA-256 (hex) of a document's canonical JSON: equal contents have equal hashes."""
    return _hash(content)


def _hash(value: Mapping[str, JsonValue]) -> str:
    return hashlib.sha256(_CANONICAL.encode(value).encode("utf-8", "surrogatepass")).hexdigest()


@transaction.atomic
def save_version(document: StoredDocument) -> StoredDocument:
    """Store the next version of a (scope, type), and return it with the id of the head.

    Raises:
        StaleVersion: `document.version` is not the head's version + 1.
    """
    key = (document.scope_id, document.type)
    head = lock_heads({key}).value[key]
    if document.version != head.version + 1:
        raise StaleVersion(document.type)
    stored = replace(document, id=document.id if head.id is None else head.id)
    try:
        store_versions([stored])
    except IntegrityError as error:
        raise StaleVersion(document.type) from error  # a writer without locks has created the first version
    return stored


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a (scope, type); `id` is None and `version` is 0 if there is no document."""

    id: UUID | None = None
    version: int = 0


def lock_heads(keys: Collection[Key]) -> bulk.LazyResult[dict[Key, Head]]:
    """Lock the head of each (scope id, type) until the transaction ends, and return the heads."""
    if not keys:
        return bulk.LazyResult(None, lambda _: {})
    # A missing head cannot be locked, so the scope is locked too. Writers without locks conflict on the version of the
    # head, or on the unique constraint of (scope, type).
    scope_ids = sorted({scope_id for scope_id, _ in keys})
    lock_scopes(scope_ids)
    return bulk.LazyResult(bulk.execute(_LOCK_HEADS, [scope_ids]), partial(_by_key, keys))


def _by_key(keys: Collection[Key], rows: Iterable[tuple[UUID, UUID, str, int]]) -> dict[Key, Head]:
    found = {(scope_id, kind): head for scope_id, kind, head in heads(rows)}
    return {key: found.get(key, Head()) for key in keys}


def heads(rows: Iterable[tuple[UUID, UUID, str, int]]) -> Iterator[tuple[UUID, str, Head]]:
    """Convert rows of `SELECT_HEADS` to (scope id, type, head)."""
    return ((scope_id, kind, Head(head_id, version)) for head_id, scope_id, kind, version in rows)


def store_versions(documents: Sequence[StoredDocument]) -> None:
    """Store the next versions of documents with locked heads. Versions of one document must be in order.

    Raises:
        StaleVersion: a head does not have the previous version.
    """
    store_schemas(documents)
    bulk.write(version_writes(documents))


def version_writes(documents: Sequence[StoredDocument]) -> Iterator[bulk.Write]:
    """Yield the writes of the next versions of documents, with their schemas stored already.

    Versions of one document must be in order. A write raises `StaleVersion` if a head lacks the previous version.
    """
    last = {document.id: document for document in documents}
    first = {document.id: document for document in reversed(documents)}
    # All writers lock these rows in the same order, which avoids deadlocks.
    new = sorted(
        (last[each.id] for each in first.values() if each.version == 1), key=lambda each: (each.scope_id, each.type)
    )
    existing = sorted((last[each.id] for each in first.values() if each.version > 1), key=lambda each: each.id)
    yield from bulk.insertion(Document, [_new_head(each) for each in new], computed=_ROOT)
    expected = [first[each.id].version - 1 for each in existing]
    stale = StaleVersion("a head does not have the previous version")
    yield from bulk.replacement(
        Document, [_head(each) for each in existing], key=("id",), expected=expected, error=stale
    )
    yield from bulk.insertion(DocumentVersion, [_version(each) for each in documents])


def store_schemas(documents: Iterable[StoredDocument]) -> None:
    """Store the schemas that are not in `KNOWN_SCHEMAS`, and add them to it after COMMIT."""
    schemas = {schema_hash(document.schema): document.schema for document in documents}
    new = {key: schema for key, schema in schemas.items() if key not in KNOWN_SCHEMAS}
    if new:
        rows = [{"hash": key, "content": dict(schema)} for key, schema in sorted(new.items())]
        bulk.write_later(bulk.insertion(Schema, rows, or_ignore=True))
        transaction.on_commit(lambda: KNOWN_SCHEMAS.update(new))


def _head(document: StoredDocument) -> bulk.Row:
    return {
        "id": document.id,
        "title": document.title,
        "version": document.version,
        "last_version": document.version,
        "execution_id": document.execution_id,
        "workflow_id": str(document.provenance.get("workflow_id", "")),
        "author_name": document.author_name,
        "updated_at": document.created_at,
        "search": None,  # a worker indexes the text: that would double the time of this write
        "search_language": "",
    }


def _new_head(document: StoredDocument) -> bulk.Row:
    fixed = {"scope_id": document.scope_id, "type": document.type, "created_at": document.created_at}
    return {**_head(document), **fixed, "status": DocumentStatus.CURRENT.value}


def _version(document: StoredDocument) -> bulk.Row:
    return {
        "document_id": document.id,
        "version": document.version,
        "title": document.title,
        "content": dict(document.content),
        "content_hash": content_hash(document.content),
        "schema_id": schema_hash(document.schema),
        "execution_id": document.execution_id,
        "step_id": document.step_id,
        "provenance": dict(document.provenance),
        "author_id": document.author_id,
        "author_name": document.author_name,
        "note": document.note,
        "base_version": document.base_version,
        "created_at": document.created_at,
    }


def get_version(document_id: UUID, version: int | None = None) -> StoredDocument | None:
    """Return a version of a document, the newest by default; None if there is none."""
    rows = _versions().filter(document_id=document_id)
    row = rows.order_by("-version").first() if version is None else rows.filter(version=version).first()
    return None if row is None else _stored(row)


def newest_version(scope_id: UUID, document_type: str) -> StoredDocument | None:
    """Return the newest version of the scope's document of this type; None if there is none."""
    rows = _versions().filter(document__scope_id=scope_id, document__type=document_type)
    row = rows.order_by("-version").first()
    return None if row is None else _stored(row)


def existing_types(scope_id: UUID, types: Collection[str]) -> frozenset[str]:
    """Return the types for which the scope has a document."""
    rows = Document.objects.filter(scope_id=scope_id, type__in=types)
    return frozenset(rows.values_list("type", flat=True))


def newest_versions(scope_id: UUID) -> list[StoredDocument]:
    """Return the newest version of every document of the scope, sorted by type."""
    rows = _versions().filter(document__scope_id=scope_id).order_by("document__type", "-version")
    return [_stored(row) for row in rows.distinct("document__type")]


def _versions() -> QuerySet[DocumentVersion]:
    return DocumentVersion.objects.select_related("document", "schema").defer("document__search")


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
        author_id=row.author_id,
        author_name=row.author_name,
        note=row.note,
        base_version=row.base_version,
    )
