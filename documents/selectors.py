"""Queries of documents for the API and the console."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.fields.json import KT

from access.selectors import Person, visible_scopes
from common.errors import NotFound
from documents.models import Document, DocumentStatus, DocumentVersion


def heads(ids: Iterable[UUID]) -> QuerySet[Document]:
    """Return documents by id, in no order, annotated with `rehearsal` of their version. Permissions are not checked."""
    newest = DocumentVersion.objects.filter(document=OuterRef("pk"), version=OuterRef("version"))
    rehearsed = newest.annotate(flag=KT("provenance__rehearsal")).filter(flag="true")
    rows = Document.objects.select_related("scope").defer("search").filter(id__in=list(ids))
    return rows.annotate(rehearsal=Exists(rehearsed)).order_by()


def version(*, user: Person, document_id: UUID, number: int | None = None) -> DocumentVersion:
    """Return a version of a document, the newest by default, joined with its head and scope.

    Raises:
        NotFound: there is no such version, or the user may not read it.
    """
    rows = versions(user=user, document_id=document_id).select_related("document__scope", "schema")
    rows = rows.defer("document__search")
    row = rows.filter(version=F("document__version") if number is None else number).first()
    if row is None:
        raise NotFound
    return row


def versions(*, user: Person, document_id: UUID) -> QuerySet[DocumentVersion]:
    """Return all versions of a document.

    Raises:
        NotFound: there is no such document, or the user may not read it.
    """
    rows = DocumentVersion.objects.filter(document_id=document_id, document__scope__in=visible_scopes(user))
    if not rows.exists():
        raise NotFound
    return rows


class VersionHeading(NamedTuple):
    """What lists tell of a document version."""

    title: str
    proposed: bool


NO_HEADING = VersionHeading(title="", proposed=False)


def headings(pairs: Iterable[tuple[UUID | None, int | None]]) -> dict[tuple[UUID | None, int | None], VersionHeading]:
    """Return the headings of document versions by (document id, version); unknown pairs are left out."""
    wanted = set(pairs)
    rows = DocumentVersion.objects.filter(document_id__in={each for each, number in wanted if each and number})
    found = rows.values_list("document_id", "version", "title", "proposed")
    return {(each, number): VersionHeading(*heading) for each, number, *heading in found if (each, number) in wanted}


def made_by(execution_id: UUID) -> QuerySet[DocumentVersion]:
    """Return the document versions that an execution produced."""
    rows = DocumentVersion.objects.select_related("document").defer("document__search")
    rows = rows.filter(execution_id=execution_id)
    return rows.order_by("created_at", "id")


__all__ = ["DocumentStatus", "headings", "heads", "made_by", "version", "versions"]
