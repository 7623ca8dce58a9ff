"""Storage of document versions, with optimistic locking by the version of the head."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from pydantic import JsonValue

from access.selectors import ROOT_OF_SCOPE
from access.services import lock_scopes
from common.canonical_json import digest
from common.database import bulk
from common.errors import Erased, StaleWrite
from documents.models import Document, DocumentStatus, DocumentVersion, Schema

Key = tuple[UUID, str]  # scope id and type
HeadRow = tuple[UUID, UUID, str, int, int, int]

KNOWN_SCHEMAS: set[str] = set()  # hashes of stored schemas, which are never changed or removed
_MAX_HASHES = 1024
#: Query for the heads of all documents of scopes (parameter: their ids); pass its rows to `heads`.
SELECT_HEADS = """
SELECT id, scope_id, type, version, last_version, by_person
FROM documents_document WHERE scope_id = ANY(%s) ORDER BY id"""
_SAME_HEADS = """
SELECT 1 FROM json_to_recordset(%s::json) AS v(scope_id uuid, type text, expected integer)
LEFT JOIN documents_document AS head ON head.scope_id = v.scope_id AND head.type = v.type
WHERE coalesce(head.version, 0) = v.expected"""
#: FOR SHARE: erasing waits for COMMIT, and then finds what was told of these versions.
_NOT_ERASED = """
SELECT 1 FROM json_to_recordset(%s::json) AS v(document_id uuid, version integer)
JOIN documents_documentversion AS stored ON stored.document_id = v.document_id AND stored.version = v.version
WHERE stored.erased_at IS NULL ORDER BY stored.id FOR SHARE OF stored"""
_ROOT = (("root_id", ROOT_OF_SCOPE.format('v."scope_id"')),)
_LOCK_HEADS = f"{SELECT_HEADS} FOR NO KEY UPDATE"
_LOCK_AND_READ_HEADS = f"WITH locked AS ({_LOCK_HEADS}) SELECT * FROM locked UNION ALL ({SELECT_HEADS})"  # noqa: S608 - constants


class StaleVersion(StaleWrite):
    """The head has another version than expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A version of a document, with the key of its head."""

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
    base_version: int | None = None  # version of the head on which it was stored; None: the first version
    proposed: bool = False


_hashes: dict[int, tuple[Mapping[str, JsonValue], str]] = {}  # by id(): the same schema objects recur


def schema_hash(schema: Mapping[str, JsonValue]) -> str:
    """Return the SHA-256 (hex) of a schema's canonical JSON, which ignores the order of names.

    It identifies the rules that a document was validated against; the order does not affect validation.
    """
    cached = _hashes.get(id(schema))
    if cached is None or cached[0] is not schema:
        if len(_hashes) >= _MAX_HASHES:
            _hashes.clear()
        cached = _hashes[id(schema)] = (schema, digest(schema))
    return cached[1]


def is_stored(schema: Mapping[str, JsonValue]) -> bool:
    """Return whether this process knows that the schema is stored."""
    return schema_hash(schema) in KNOWN_SCHEMAS


def content_hash(content: Mapping[str, JsonValue] | JsonValue) -> str:
    """Return the SHA-256 (hex) of a document's canonical JSON: equal contents have equal hashes."""
    return digest(content)


@transaction.atomic
def save_version(document: StoredDocument) -> StoredDocument:
    """Store a person's next version of a (scope, type), and return it with the id of the head.

    Raises:
        StaleVersion: `document.version` is not the highest version + 1.
    """
    key = (document.scope_id, document.type)
    head = lock_heads({key}).value[key]
    if document.version != head.last_version + 1:
        raise StaleVersion(document.type)
    stored = replace(document, id=head.id or document.id, base_version=head.version or None)
    try:
        store_versions([stored], by_person=True)
    except IntegrityError as error:
        raise StaleVersion(document.type) from error  # a writer without locks has created the first version
    return stored


@dataclass(frozen=True, slots=True)
class Head:
    """Head of a (scope, type); `id` is None and the versions are 0 if there is no document."""

    id: UUID | None = None
    version: int = 0
    last_version: int = 0  # the highest version; above `version` if the versions after it are proposed
    by_person: int = 0  # newest version that a person made the head; 0: none

    def after(self, document_id: UUID, version: int, *, proposed: bool) -> Head:
        """Return the head after a model's version was stored."""
        if proposed:
            return Head(self.id, self.version, version, self.by_person)
        return Head(document_id, version, version, self.by_person)


def lock_heads(keys: Collection[Key], *, also: Collection[UUID] = ()) -> bulk.LazyResult[dict[Key, Head]]:
    """Lock all heads of the scopes of these keys until the transaction ends; return them, and the missing ones.

    The same query reads the heads of the scopes `also`, without locks.
    """
    if not keys:
        cursor = bulk.execute(SELECT_HEADS, [sorted(also)]) if also else None
        return bulk.LazyResult(cursor, partial(_by_key, ()))
    # A missing head cannot be locked, so the scope is locked too. Writers without locks conflict on the version of the
    # head, or on the unique constraint of (scope, type).
    scope_ids = sorted({scope_id for scope_id, _ in keys})
    lock_scopes(scope_ids)
    statement, more = (_LOCK_AND_READ_HEADS, [sorted(also)]) if also else (_LOCK_HEADS, [])
    return bulk.LazyResult(bulk.execute(statement, [scope_ids, *more]), partial(_by_key, keys))


def _by_key(keys: Collection[Key], rows: Iterable[HeadRow]) -> dict[Key, Head]:
    found = {(scope_id, kind): head for scope_id, kind, head in heads(rows)}
    return {**dict.fromkeys(keys, Head()), **found}


def heads(rows: Iterable[HeadRow]) -> Iterator[tuple[UUID, str, Head]]:
    """Convert rows of `SELECT_HEADS` to (scope id, type, head)."""
    return ((scope, kind, Head(head_id, version, last, by)) for head_id, scope, kind, version, last, by in rows)


def head_checks(expected: Mapping[Key, int]) -> Iterator[bulk.Write]:
    """Yield the check that heads have these versions; 0: there is no document."""
    if expected:
        rows = [{"scope_id": key, "type": kind, "expected": version} for (key, kind), version in expected.items()]
        stale = StaleVersion("a head has another version")
        yield bulk.Write(_SAME_HEADS, bulk.to_json_text(rows), count=len(rows), error=stale, reads=True)


def erasure_checks(pins: Collection[tuple[UUID, int]]) -> Iterator[bulk.Write]:
    """Yield the check that versions (document id and number) are not erased, and will not be before COMMIT."""
    if pins:
        rows = [{"document_id": key, "version": version} for key, version in sorted(pins)]
        erased = StaleVersion("a version was erased")
        yield bulk.Write(_NOT_ERASED, bulk.to_json_text(rows), count=len(rows), error=erased, reads=True)


def store_versions(documents: Sequence[StoredDocument], *, by_person: bool = False) -> None:
    """Store the next versions of documents with locked heads. Versions of one document must be in order.

    Args:
        documents: The versions.
        by_person: Whether a person makes them the heads.

    Raises:
        StaleVersion: a head does not have the previous version.
    """
    store_schemas(documents)
    bulk.write(version_writes(documents, by_person=by_person))


def version_writes(documents: Sequence[StoredDocument], *, by_person: bool = False) -> Iterator[bulk.Write]:
    """Yield the writes of the next versions of documents, with their schemas stored already.

    Versions of one document must be in order. A write raises `StaleVersion` if a head lacks the previous version.
    """
    versions: dict[UUID, list[StoredDocument]] = {}
    for document in documents:
        versions.setdefault(document.id, []).append(document)
    # All writers lock these rows in the same order, which avoids deadlocks.
    new = sorted(
        (each for each in versions.values() if each[0].base_version is None),
        key=lambda each: (each[0].scope_id, each[0].type),
    )
    existing = sorted((each for each in versions.values() if each[0].base_version is not None), key=lambda e: e[0].id)
    yield from bulk.insertion(Document, [_new_head(each, by_person=by_person) for each in new], computed=_ROOT)
    stale = StaleVersion("a head does not have the previous version")
    rows = [(_changed_head(each, by_person=by_person), each[0].base_version or 0) for each in existing]
    for columns in dict.fromkeys(tuple(row) for row, _ in rows):
        alike = [(row, expected) for row, expected in rows if tuple(row) == columns]
        changed, expected = [row for row, _ in alike], [each for _, each in alike]
        yield from bulk.replacement(Document, changed, key=("id",), expected=expected, error=stale)
    yield from bulk.insertion(DocumentVersion, [_version(each) for each in documents])


def store_schemas(documents: Iterable[StoredDocument]) -> None:
    """Store the schemas that are not in `KNOWN_SCHEMAS`, and add them to it after COMMIT."""
    schemas = {schema_hash(document.schema): document.schema for document in documents}
    new = {key: schema for key, schema in schemas.items() if key not in KNOWN_SCHEMAS}
    if new:
        rows = [{"hash": key, "content": dict(schema)} for key, schema in sorted(new.items())]
        bulk.write_later(bulk.insertion(Schema, rows, or_ignore=True))
        transaction.on_commit(lambda: KNOWN_SCHEMAS.update(new))


def _changed_head(versions: Sequence[StoredDocument], *, by_person: bool) -> bulk.Row:
    """Return the changed columns of a head after new versions of it."""
    normal = [each for each in versions if not each.proposed]
    row: dict[str, object] = {"id": versions[0].id}
    if normal:
        row |= _head(normal[-1])
    if normal and by_person:
        row["by_person"] = normal[-1].version
    return row | {"last_version": versions[-1].version}


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
        "erased_at": None,  # of a document whose earlier versions were all erased
        "search": None,  # a worker indexes the text: that would double the time of this write
        "search_language": "",
    }


def _new_head(versions: Sequence[StoredDocument], *, by_person: bool) -> bulk.Row:
    document = versions[-1]
    fixed = {"scope_id": document.scope_id, "type": document.type, "created_at": document.created_at}
    fixed["by_person"] = document.version if by_person else 0
    return {**_head(document), **fixed, "status": DocumentStatus.CURRENT.value}


def _version(document: StoredDocument) -> bulk.Row:
    return {
        "document_id": document.id,
        "version": document.version,
        "title": document.title,
        "content": document.content,
        "content_hash": content_hash(document.content),
        "schema_id": schema_hash(document.schema),
        "execution_id": document.execution_id,
        "step_id": document.step_id,
        "provenance": dict(document.provenance),
        "author_id": document.author_id,
        "author_name": document.author_name,
        "note": document.note,
        "base_version": document.base_version,
        "proposed": document.proposed,
        "created_at": document.created_at,
    }


def get_version(document_id: UUID, version: int | None = None) -> StoredDocument | None:
    """Return a version of a document, that of the head by default; None if there is none.

    Raises:
        Erased: its contents were erased.
    """
    rows = _versions() if version is None else _all_versions().filter(version=version)
    row = rows.filter(document_id=document_id).first()
    if row is not None and row.erased_at is not None:
        raise Erased
    return None if row is None else _stored(row)


def newest_version(scope_id: UUID, document_type: str) -> StoredDocument | None:
    """Return the head's version of the scope's document of this type; None if there is none, or if it was erased."""
    rows = _versions().filter(document__scope_id=scope_id, document__type=document_type)
    row = rows.filter(erased_at=None).first()
    return None if row is None else _stored(row)


def last_made(document_id: UUID, version: int) -> tuple[int, UUID, str] | None:
    """Return the newest version up to this one that a step made and that was not only proposed, with the step."""
    rows = DocumentVersion.objects.filter(document_id=document_id, version__lte=version, proposed=False)
    made = rows.filter(execution_id__isnull=False, step_id__isnull=False).order_by("-version")
    found = made.values_list("version", "execution_id", "step_id").first()
    return None if found is None or found[1] is None or found[2] is None else (found[0], found[1], found[2])


def editors(document_id: UUID, version: int) -> list[tuple[int | None, str]]:
    """Return id and name of the persons who made the versions since the last one of a model, up to this one."""
    rows = DocumentVersion.objects.filter(document_id=document_id, version__lte=version, proposed=False)
    of_model = rows.filter(author_name="").order_by("-version").values_list("version", flat=True).first() or 0
    made = rows.filter(version__gt=of_model).order_by("version")
    return list(dict.fromkeys(made.values_list("author_id", "author_name")))


@dataclass(frozen=True, slots=True)
class StaleChanges:
    """What `set_stale` has found."""

    wrong: int  # rows that were wrong
    changed: int  # of these; another transaction has locked the others


@transaction.atomic
def set_stale(root_id: UUID, stale: Collection[UUID], *, among: Collection[UUID] | None = None) -> StaleChanges:
    """Note which documents of a root scope, or of some in it, are stale.

    A row that another transaction has locked stays as it is: waiting for it here could end in a deadlock.
    """
    rows = Document.objects.filter(root_id=root_id)
    rows = rows if among is None else rows.filter(id__in=list(among))
    wrong = set(rows.filter(Q(stale=True) ^ Q(id__in=list(stale))).values_list("id", flat=True))
    if not wrong:
        return StaleChanges(0, 0)
    found = rows.filter(id__in=wrong).filter(Q(stale=True) ^ Q(id__in=list(stale)))
    locked = found.order_by("id").select_for_update(no_key=True, skip_locked=True)
    ids = list(locked.values_list("id", flat=True))
    return StaleChanges(len(wrong), Document.objects.filter(id__in=ids).update(stale=~F("stale")) if ids else 0)


def last_version(document_id: UUID) -> int:
    """Return the highest version number of a document, proposed versions included; 0 if there is no document."""
    return Document.objects.filter(id=document_id).values_list("last_version", flat=True).first() or 0


def schema(schema_hash: str) -> Mapping[str, JsonValue] | None:
    """Return a stored schema; None if there is none with this hash."""
    content: Mapping[str, JsonValue] | None = (
        Schema.objects.filter(hash=schema_hash).values_list("content", flat=True).first()
    )
    return content


def existing_types(scope_id: UUID, types: Collection[str]) -> frozenset[str]:
    """Return the types for which the scope has a document that was not erased."""
    rows = Document.objects.filter(scope_id=scope_id, type__in=types, erased_at=None)
    return frozenset(rows.values_list("type", flat=True))


def newest_versions(scope_id: UUID) -> list[StoredDocument]:
    """Return the head's version of every document of the scope that was not erased, sorted by type."""
    rows = _versions().filter(document__scope_id=scope_id, erased_at=None)
    return [_stored(row) for row in rows.order_by("document__type")]


def _versions() -> QuerySet[DocumentVersion]:
    """Return the versions of heads."""
    return _all_versions().filter(version=F("document__version"))


def _all_versions() -> QuerySet[DocumentVersion]:
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
        proposed=row.proposed,
    )
