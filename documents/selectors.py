"""Queries of documents for the API and the console."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from django.contrib.postgres.search import SearchQuery, SearchVector, SearchVectorField
from django.db.models import Exists, F, Func, OuterRef, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.fields.json import KT

from access.selectors import Person, visible_scopes
from common.errors import NotFound
from documents.models import Document, DocumentStatus, DocumentVersion

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
        "scope__key": scope_id,
        "type": type,
        "status": status,
        "versions__execution_id": execution_id,
    }
    rows = Document.objects.select_related("scope").defer("search").filter(scope__in=visible_scopes(user))
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
    rows = versions(user=user, document_id=document_id).select_related("document__scope", "schema")
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


__all__ = ["DocumentStatus", "documents", "headings", "made_by", "version", "versions"]
