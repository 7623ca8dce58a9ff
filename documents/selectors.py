"""Queries of documents for the API and the console."""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorField
from django.db.models import Exists, F, Func, JSONField, OuterRef, Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from rest_framework.exceptions import NotFound

from access.selectors import Person, visible_scopes
from common.names import spellings
from documents.models import Document, DocumentStatus, DocumentVersion

MAX_USERS_SOUGHT = 500
_MINUS_SIGNS = re.compile(r"-(?:[^\w\"]*-)+")


class _JsonWords(Func):
    """Full-text vector of the texts and numbers in a JSON column, without the names of its fields."""

    function = "json_to_tsvector"
    template = """%(function)s('simple', %(expressions)s, '["string", "numeric"]')"""
    output_field = SearchVectorField()


def documents(
    *,
    user: Person,
    scope_type: str | None = None,
    scope_id: str | None = None,
    type: str | None = None,
    status: str | None = None,
    execution_id: UUID | None = None,
    q: str | None = None,
) -> QuerySet[Document]:
    """Return the documents that the user may read, annotated with `rehearsal` of the newest version.

    `q` is a full-text search in title and content of the newest version.
    """
    exact = {
        "scope__type": scope_type,
        "scope__key__in": None if scope_id is None else spellings(scope_id),
        "type": type,
        "status": status,
        "versions__execution_id": execution_id,
    }
    rows = Document.objects.select_related("scope").filter(scope__in=visible_scopes(user))
    rows = rows.filter(**{name: value for name, value in exact.items() if value is not None}).distinct()
    newest = DocumentVersion.objects.filter(version=F("document__version"))
    rehearsed = newest.annotate(flag=KT("provenance__rehearsal")).filter(flag="true", document=OuterRef("pk"))
    rows = rows.annotate(rehearsal=Exists(rehearsed))
    if q is None:
        return rows
    title, content = SearchVector("title", config="simple"), _JsonWords("content")
    text = CombinedExpression(title, "||", content, output_field=SearchVectorField())
    found = newest.annotate(text=text).filter(
        text=SearchQuery(_search_text(q), config="simple", search_type="websearch")
    )
    return rows.filter(id__in=found.values("document_id"))


def _search_text(q: str) -> str:
    """Remove runs of minus signs: PostgreSQL parses each sign as a `not`, and fails above 32."""
    return _MINUS_SIGNS.sub(" ", q)


def version(*, user: Person, document_id: UUID, number: int | None = None) -> DocumentVersion:
    """Return a version of a document, the newest by default, joined with its head and scope.

    Raises:
        NotFound: there is no such version, or the user may not read it.
    """
    rows = versions(user=user, document_id=document_id).select_related("document__scope__root", "schema")
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
    root_id = row.document.scope.root_id or row.document.scope_id
    near = Document.objects.filter(Q(scope_id=root_id) | Q(scope__root_id=root_id)).order_by("-updated_at", "-id")
    newest = Q(document__in=near.values("id")[:MAX_USERS_SOUGHT], version=F("document__version"))
    same = Q() if row.execution_id is None else Q(execution_id=row.execution_id)
    wanted = {"inputs": [{"document_id": str(row.document_id), "version": row.version}]}
    rows = DocumentVersion.objects.select_related("document").defer("content").filter(same | newest)
    rows = rows.annotate(origin=Cast("provenance", JSONField())).filter(
        origin__contains=wanted  # type: ignore[misc]  # django-stubs knows only texts here
    )
    return list(rows.order_by("title", "id")[:limit])


def made_by(execution_id: UUID) -> QuerySet[DocumentVersion]:
    """Return the document versions that an execution produced."""
    rows = DocumentVersion.objects.select_related("document").filter(execution_id=execution_id)
    return rows.order_by("created_at", "id")


__all__ = ["DocumentStatus", "documents", "made_by", "newest_versions", "titles", "used_by", "version", "versions"]
