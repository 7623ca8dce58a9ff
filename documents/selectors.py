"""Queries of documents for the API and the console."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Exists, F, JSONField, OuterRef, Q, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from rest_framework.exceptions import NotFound

from access.selectors import Person, visible_scopes
from documents.models import Document, DocumentStatus, DocumentVersion

MAX_USERS_SOUGHT = 500


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
    rows = versions(user=user, document_id=document_id).select_related("document__scope__root", "schema")
    rows = rows.defer("document__search")
    row = rows.order_by("-version").first() if number is None else rows.filter(version=number).first()
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


def titles(pairs: Iterable[tuple[UUID, int]]) -> dict[tuple[UUID, int], str]:
    """Return the titles of document versions by (document id, version)."""
    wanted = set(pairs)
    rows = DocumentVersion.objects.filter(document_id__in={document_id for document_id, _ in wanted})
    found = rows.values_list("document_id", "version", "title")
    return {(document_id, number): title for document_id, number, title in found if (document_id, number) in wanted}


def newest_versions(document_id: UUID, *, limit: int) -> list[DocumentVersion]:
    """Return the newest versions of a document, without their contents. Permissions are not checked."""
    rows = DocumentVersion.objects.filter(document_id=document_id).defer("content")
    return list(rows.order_by("-version")[:limit])


def used_by(row: DocumentVersion, *, limit: int) -> list[DocumentVersion]:
    """Return the document versions that were made from a version, by title, without their contents.

    They are looked for in the same execution, and among the newest versions of the `MAX_USERS_SOUGHT` documents that
    changed last in the root scope. `row` is joined with its head and scope. Permissions are not checked: a role applies
    to all scopes below a root.
    """
    near = Document.objects.filter(root=row.document.root_id).order_by("-updated_at", "-id")
    newest = Q(document__in=near.values("id")[:MAX_USERS_SOUGHT], version=F("document__version"))
    same = Q() if row.execution_id is None else Q(execution_id=row.execution_id)
    wanted = {"inputs": [{"document_id": str(row.document_id), "version": row.version}]}
    rows = DocumentVersion.objects.select_related("document").defer("content", "document__search")
    rows = rows.filter(same | newest)
    rows = rows.annotate(origin=Cast("provenance", JSONField())).filter(
        origin__contains=wanted  # type: ignore[misc]  # django-stubs knows only texts here
    )
    return list(rows.order_by("title", "id")[:limit])


def made_by(execution_id: UUID) -> QuerySet[DocumentVersion]:
    """Return the document versions that an execution produced."""
    rows = DocumentVersion.objects.select_related("document").defer("document__search")
    rows = rows.filter(execution_id=execution_id)
    return rows.order_by("created_at", "id")


__all__ = ["DocumentStatus", "heads", "made_by", "newest_versions", "titles", "used_by", "version", "versions"]
