"""Queries: what documents were made from, and which were updated lately."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.fields.json import KT

from documents.models import Document, DocumentVersion
from documents.staleness import Head, Input


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """The step that made the newest version of a model, and the versions from that one to the present one."""

    execution_id: UUID
    step_id: str
    versions: range


@dataclass(slots=True)
class Dependencies:
    """Documents with what they were made from."""

    heads: dict[UUID, Head] = field(default_factory=dict)
    hashes: dict[tuple[UUID, int], str] = field(default_factory=dict)
    producers: dict[UUID, Producer] = field(default_factory=dict)  # without documents that no model has made


#: Documents of a root scope whose provenance names some documents. To parse it would take several times as long.
#: OFFSET 0 keeps the planner from searching the provenance of all versions first.
_READERS = """
SELECT id FROM (
  SELECT head.id, newest.provenance::text AS origin FROM documents_document AS head
  JOIN documents_documentversion AS newest ON newest.document_id = head.id AND newest.version = head.version
  WHERE head.root_id = %s OFFSET 0
) AS near
WHERE EXISTS (SELECT FROM unnest(%s::text[]) AS wanted (name) WHERE strpos(origin, name) > 0)"""


def readers(document_ids: Collection[UUID], *, root_id: UUID, limit: int) -> set[UUID] | None:
    """Return these documents and all of their root scope that were made from them; None if there are more than `limit`.

    Others may be among them that name one for another reason.
    """
    reached = new = set(document_ids)
    while new and len(reached) <= limit:
        with connection.cursor() as cursor:
            cursor.execute(_READERS, [root_id, list(map(str, new))])
            new = {key for (key,) in cursor.fetchall()} - reached
        reached = reached | new
    return reached if len(reached) <= limit else None


def above(document_ids: Collection[UUID]) -> Dependencies:
    """Return documents and all that they were made from, directly and indirectly."""
    found, wanted = Dependencies(), set(document_ids)
    while wanted:
        _add(found, DocumentVersion.objects.filter(document_id__in=wanted))
        sources = {each.document_id for key in wanted & found.heads.keys() for each in found.heads[key].inputs}
        wanted = sources - found.heads.keys()
        if not DocumentVersion.objects.filter(document_id__in=wanted).exists():
            break  # the others no longer exist
    _add_earlier(found)
    return found


def within(root_id: UUID) -> Dependencies:
    """Return all documents of a root scope and the scopes below it."""
    found = Dependencies()
    _add(found, DocumentVersion.objects.filter(document__root_id=root_id))
    _add_earlier(found)
    return found


def _add(found: Dependencies, versions: QuerySet[DocumentVersion]) -> None:
    """Add the heads among these versions."""
    rows = versions.filter(version=F("document__version")).values_list(
        "document_id", "document__type", "version", "content_hash", "execution_id", "step_id", KT("provenance__inputs")
    )
    for key, kind, version, content_hash, execution_id, step_id, inputs in rows:
        found.heads[key] = Head(id=key, type=kind, version=version, inputs=_inputs(inputs))
        found.hashes[key, version] = content_hash
        if execution_id is not None and step_id is not None:
            versions_since = range(version, version + 1)
            found.producers[key] = Producer(execution_id=execution_id, step_id=step_id, versions=versions_since)


def _inputs(text: str | None) -> tuple[Input, ...]:
    return tuple(
        Input(document_id=UUID(pin["document_id"]), version=pin["version"]) for pin in json.loads(text or "[]")
    )


def _add_earlier(found: Dependencies) -> None:
    """Add the hashes of the inputs' earlier versions, and the producers of what people have edited."""
    read = {(each.document_id, each.version) for head in found.heads.values() for each in head.inputs}
    missing = read - found.hashes.keys()
    rows = DocumentVersion.objects.filter(
        document_id__in={key for key, _ in missing}, version__in={version for _, version in missing}
    )
    found.hashes |= {
        (key, number): text for key, number, text in rows.values_list("document_id", "version", "content_hash")
    }
    edited = found.heads.keys() - found.producers.keys()
    models = DocumentVersion.objects.filter(document_id__in=edited, execution_id__isnull=False, proposed=False)
    newest = models.order_by("document_id", "-version").distinct("document_id")
    for key, version, execution_id, step_id in newest.values_list("document_id", "version", "execution_id", "step_id"):
        versions = range(version, found.heads[key].version + 1)
        if execution_id is not None and step_id is not None:
            found.producers[key] = Producer(execution_id=execution_id, step_id=step_id, versions=versions)


def root_states(root_ids: Collection[UUID]) -> dict[UUID, tuple[int, ...]]:
    """Return numbers for each root scope that differ after a change of a head, of a version or of `stale`."""
    rows = Document.objects.filter(root_id__in=root_ids).order_by("root_id").values("root_id")
    numbers = {"heads": Count("id"), "sum_of_heads": Sum("version"), "sum_of_last": Sum("last_version")}
    counted = rows.annotate(**numbers, noted=Count("id", filter=Q(stale=True)))
    return {key: tuple(state) for key, *state in counted.values_list("root_id", *numbers, "noted")}


def newest_update(*, by_model: bool) -> datetime | None:
    """Return when a head was last made, by a model or by anyone; None: never."""
    rows = Document.objects.order_by("-updated_at", "-id")
    rows = rows.filter(execution_id__isnull=False) if by_model else rows
    return rows.values_list("updated_at", flat=True).first()


def roots_with_replaced_versions(*, since: datetime) -> set[UUID]:
    """Return the root scopes with a head updated since then, and with a document of more than one version."""
    updated = Document.objects.filter(updated_at__gte=since).values("root_id")
    rows = Document.objects.filter(root_id__in=updated, last_version__gt=1).order_by("root_id")
    return set(rows.values_list("root_id", flat=True).distinct())


def roots_with_stale_documents(root_ids: Collection[UUID]) -> set[UUID]:
    """Return those root scopes that have a document noted as stale."""
    rows = Document.objects.filter(root_id__in=root_ids, stale=True).order_by("root_id")
    return set(rows.values_list("root_id", flat=True).distinct())
