"""Erases versions of documents: title, content, note, and what their provenance quotes. Hashes and pins stay.

A head whose version is erased moves back to the newest version that is left. If none is left, the document is erased.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from common.database import bulk

Pin = tuple[UUID, int]  # a document, and the number of a version

#: The title of an erased version, for lists and links.
ERASED_TITLE = "Erased"
#: What stays of the provenance: who and what made the version, and hashes.
_KEPT = frozenset(
    {
        *("workflow_id", "workflow_version", "role", "model", "attempt", "inputs"),
        *("rehearsal", "prepared", "request_hash", "origin"),
    }
)

#: A part of a statement: the versions that an execution made, as the data of events have them (parameter: its id).
VERSIONS_MADE_BY = """
SELECT document_id::text AS document_id, version::text AS version, created_at
FROM documents_documentversion WHERE execution_id = %s
"""
_MADE_BY = """
SELECT id FROM documents_documentversion WHERE execution_id = %s AND erased_at IS NULL ORDER BY document_id, id LIMIT %s
"""
_DOCUMENTS_OF = "SELECT DISTINCT document_id FROM documents_documentversion WHERE id = ANY(%s)"
#: Heads are locked before their versions are read: a writer of the next version waits, or has it stored before.
_LOCK = "SELECT id FROM documents_document WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_READ = """
SELECT id, provenance FROM documents_documentversion WHERE id = ANY(%s) AND erased_at IS NULL ORDER BY id
FOR NO KEY UPDATE
"""
_ERASE = """
UPDATE documents_documentversion AS version
SET title = %s, content = '{}', note = '', provenance = given.provenance::json, erased_at = %s
FROM json_to_recordset(%s::json) AS given (id bigint, provenance text)
WHERE version.id = given.id
"""
_DELETE_COMMENTS = """
DELETE FROM documents_documentcomment AS comment USING documents_documentversion AS version
WHERE version.id = ANY(%s) AND comment.document_id = version.document_id AND comment.document_version = version.version
"""
#: Later versions of persons have copied what their base told of its origin.
_FORGET_COPIES = """
WITH copied AS (
  SELECT copy.id, array_agg(DISTINCT told.name) AS names
  FROM documents_documentversion AS gone
  JOIN documents_documentversion AS copy ON copy.document_id = gone.document_id AND copy.version > gone.version
  CROSS JOIN (VALUES ('answers'), ('item'), ('file')) AS told (name)
  WHERE gone.id = ANY(%s) AND gone.erased_at IS NULL AND copy.erased_at IS NULL AND copy.execution_id IS NULL
    AND copy.provenance::jsonb -> told.name = gone.provenance::jsonb -> told.name
  GROUP BY copy.id
)
UPDATE documents_documentversion AS version SET provenance = (version.provenance::jsonb - copied.names)::json
FROM copied WHERE version.id = copied.id
"""
#: `by_person` never names a version above the head: a model's next version would only be proposed beside it.
_MOVE_HEADS = """
WITH kept AS (
  SELECT DISTINCT ON (document_id) document_id, version, title, execution_id, author_name,
    coalesce(provenance ->> 'workflow_id', '') AS workflow_id
  FROM documents_documentversion WHERE document_id = ANY(%s) AND erased_at IS NULL AND NOT proposed
  ORDER BY document_id, version DESC
)
UPDATE documents_document AS head
SET version = kept.version, title = kept.title, execution_id = kept.execution_id, workflow_id = kept.workflow_id,
  author_name = kept.author_name, by_person = least(head.by_person, kept.version), updated_at = %s,
  search = NULL, search_language = ''
FROM kept, documents_documentversion AS gone
WHERE head.id = kept.document_id
  AND gone.document_id = head.id AND gone.version = head.version AND gone.erased_at IS NOT NULL
"""
_EMPTY_HEADS = """
UPDATE documents_document AS head
SET title = %s, by_person = 0, stale = false, search = '', search_language = '', erased_at = gone.erased_at
FROM documents_documentversion AS gone
WHERE head.id = ANY(%s) AND head.erased_at IS NULL
  AND gone.document_id = head.id AND gone.version = head.version AND gone.erased_at IS NOT NULL
"""
#: Files that a version in a root scope was made from, by the index document_version_file.
_FILES_NAMED = """
SELECT DISTINCT version.provenance -> 'file' ->> 'id' FROM documents_documentversion AS version
JOIN documents_document AS head ON head.id = version.document_id
WHERE version.provenance -> 'file' ->> 'id' = ANY(%s) AND head.root_id = %s
  AND version.erased_at IS NULL AND version.execution_id IS DISTINCT FROM %s
"""

#: Versions with what they were made from: a version that was erased before was no base. Provenance is small beside
#: contents, which are not read.
_LINKS = """
SELECT version.id, version.document_id, version.version, version.execution_id, version.step_id,
  CASE WHEN base.erased_at IS NULL OR base.erased_at > version.created_at THEN version.base_version END,
  version.content_hash, version.author_id, version.erased_at IS NOT NULL,
  version.version = head.version, version.provenance
FROM documents_documentversion AS version JOIN documents_document AS head ON head.id = version.document_id
LEFT JOIN documents_documentversion AS base
  ON base.document_id = version.document_id AND base.version = version.base_version
WHERE head.root_id = ANY(%s)
"""
_ROOTS = """
SELECT DISTINCT head.root_id FROM documents_documentversion AS version
JOIN documents_document AS head ON head.id = version.document_id WHERE version.author_id = %s
"""
_ROOTS_OF_COMMENTS = """
SELECT DISTINCT head.root_id FROM documents_documentcomment AS comment
JOIN documents_document AS head ON head.id = comment.document_id WHERE comment.author_id = %s
"""
_PROVENANCE = """
SELECT id, provenance FROM documents_documentversion AS version
WHERE id > %s AND strpos(provenance::text, %s) + strpos(provenance::text, %s) > 0 ORDER BY id LIMIT 1000
"""
_REPLACE_PROVENANCE = """
UPDATE documents_documentversion AS version SET provenance = given.provenance::json
FROM json_to_recordset(%s::json) AS given (id bigint, provenance text) WHERE version.id = given.id
"""
_RENAME_ROLES = """
UPDATE documents_documentversion
SET provenance = jsonb_set(provenance::jsonb, '{role}', to_jsonb(%s::text), false)::json
WHERE execution_id = %s
"""
_RENAME_VERSIONS = "UPDATE documents_documentversion SET author_name = %s WHERE author_id = %s AND author_name <> %s"
_RENAME_HEADS = "UPDATE documents_document SET author_name = %s WHERE author_name = %s AND author_name <> ''"
_NAMES = """
SELECT author_name FROM documents_documentversion WHERE author_id = %s
UNION SELECT author_name FROM documents_documentcomment WHERE author_id = %s
"""
_DELETE_COMMENTS_OF = "DELETE FROM documents_documentcomment WHERE author_id = %s"
_RENAME_RESOLVER = """
UPDATE documents_documentcomment SET resolved_by_name = %s, version = version + 1 WHERE resolved_by_name = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLink:
    """A version, and what it was made from."""

    row_id: int
    key: Pin
    execution_id: UUID | None
    step_id: str | None
    base: Pin | None  # that a person's edit began with
    content_hash: str
    author_id: int | None
    is_erased: bool
    is_head: bool
    file_id: str | None
    reads: frozenset[Pin]


def has_made_any(execution_id: UUID) -> bool:
    """Return whether an execution has made a version that is not erased."""
    return bulk.execute(_MADE_BY, [execution_id, 1]).fetchone() is not None


@transaction.atomic
def erase_made_by(execution_id: UUID, *, limit: int, now: datetime) -> int:
    """Erase the next versions that an execution made, at most `limit`; return their number."""
    return erase_versions([key for (key,) in bulk.execute(_MADE_BY, [execution_id, limit])], now=now)


@transaction.atomic
def erase_versions(row_ids: Collection[int], *, now: datetime) -> int:
    """Erase versions by the ids of their rows, with the comments on them; return their number.

    Repeating it changes nothing.
    """
    if not row_ids:
        return 0
    ids = list(row_ids)
    documents = [key for (key,) in bulk.execute(_DOCUMENTS_OF, [ids])]
    bulk.execute(_LOCK, [sorted(documents)])
    rows = [{"id": key, "provenance": json.dumps(_kept(told))} for key, told in bulk.execute(_READ, [ids])]
    bulk.execute(_DELETE_COMMENTS, [ids])
    if rows:
        bulk.execute(_FORGET_COPIES, [ids])
        bulk.execute(_ERASE, [ERASED_TITLE, now, json.dumps(rows)])
        bulk.execute(_MOVE_HEADS, [documents, now])
        bulk.execute(_EMPTY_HEADS, [ERASED_TITLE, documents])
    return len(rows)


def files_named(file_ids: Iterable[UUID], *, root_id: UUID, but_by: UUID) -> set[UUID]:
    """Return those files that a version in a root scope was made from, but for versions of one execution."""
    wanted = [str(each) for each in file_ids]
    return {UUID(name) for (name,) in bulk.execute(_FILES_NAMED, [wanted, root_id, but_by])}


def version_links(root_ids: Collection[UUID]) -> list[VersionLink]:
    """Return the versions of all documents in root scopes, erased ones too, without their contents."""
    return [_link(*row) for row in bulk.execute(_LINKS, [list(root_ids)])]


def _link(row_id: int, document_id: UUID, version: int, *row: Any) -> VersionLink:
    execution_id, step_id, base, content_hash, author_id, is_erased, is_head, provenance = row
    pins = provenance.get("inputs") or []
    return VersionLink(
        row_id=row_id,
        key=(document_id, version),
        execution_id=execution_id,
        step_id=step_id,
        base=None if base is None or execution_id is not None else (document_id, base),
        content_hash=content_hash,
        author_id=author_id,
        is_erased=is_erased,
        is_head=is_head,
        file_id=(provenance.get("file") or {}).get("id"),
        reads=frozenset((UUID(pin["document_id"]), pin["version"]) for pin in pins),
    )


def roots_of_author(user_id: int) -> set[UUID]:
    """Return the root scopes in which a user has made versions or comments."""
    found = [bulk.execute(each, [user_id]).fetchall() for each in (_ROOTS, _ROOTS_OF_COMMENTS)]
    return {root_id for rows in found for (root_id,) in rows}


def names_of_author(user_id: int) -> set[str]:
    """Return the names that a user had when making versions and comments."""
    return {name for (name,) in bulk.execute(_NAMES, [user_id, user_id])}


@transaction.atomic
def forget_author(user_id: int, *, names: Iterable[str], alias: str) -> None:
    """Delete the comments of a user, and store another name in what else bears one of the names."""
    bulk.execute(_DELETE_COMMENTS_OF, [user_id])
    for name in names:
        bulk.execute(_RENAME_RESOLVER, [alias, name])
        bulk.execute(_RENAME_HEADS, [alias, name])
    bulk.execute(_RENAME_VERSIONS, [alias, user_id, alias])


def rename_roles(execution_id: UUID, name: str) -> None:
    """Store another name of the role that made each version of an execution."""
    bulk.execute(_RENAME_ROLES, [name, execution_id])


def change_provenance(name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the provenance of all versions that names a user, in transactions of limited size."""
    last, texts = 0, [json.dumps(name), json.dumps(name, ensure_ascii=False)]
    while rows := bulk.execute(_PROVENANCE, [last, *texts]).fetchall():
        changed = [{"id": key, "provenance": json.dumps(change(told))} for key, told in rows]
        bulk.execute(_REPLACE_PROVENANCE, [json.dumps(changed)])
        last = rows[-1][0]


def _kept(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in provenance.items() if name in _KEPT}
