"""Queries of documents for the API and the console."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import (
    BigIntegerField,
    Exists,
    F,
    Func,
    JSONField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    TextField,
)
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from pydantic import JsonValue

from access.permissions import Action
from access.selectors import Person, visible_scopes
from common.database.bulk import SqlQuery
from common.database.compiled_queries import compiled
from common.database.counts import limited_counts
from common.errors import Erased, NotFound
from documents.models import Document, DocumentStatus, DocumentVersion

MAX_USERS_SOUGHT = 500


def heads(ids: Iterable[UUID]) -> QuerySet[Document]:
    """Return documents by id, in no order, annotated with the origin of their version: `rehearsal`, `prepared`.

    Permissions are not checked.
    """
    newest = DocumentVersion.objects.filter(document=OuterRef("pk"), version=OuterRef("version"))
    marked = {
        mark: Exists(newest.annotate(flag=KT(f"provenance__{mark}")).filter(flag="true"))
        for mark in ("rehearsal", "prepared")
    }
    rows = Document.objects.select_related("scope").defer("search").filter(id__in=list(ids))
    return rows.annotate(**marked).order_by()


def edited_heads(root_id: UUID, types: Collection[str]) -> QuerySet[Document]:
    """Return documents of a root scope and below whose present version a person made. Permissions are not checked."""
    rows = Document.objects.filter(root_id=root_id, type__in=types).exclude(author_name="")
    return rows.select_related("scope").defer("search").order_by("type", "scope__key", "id")


def possible_actions(*, last_version: int, is_proposed: bool, is_erased: bool) -> set[Action]:
    """Return what the state of a document permits.

    Args:
        last_version: The number of its newest version, proposed ones included.
        is_proposed: Whether a proposed version waits for a decision.
        is_erased: Whether all of its versions were erased.
    """
    if is_erased:
        return set()
    found = {Action.EDIT, Action.COMMENT}
    found |= {Action.RESTORE} if last_version > 1 else set()
    return found | ({Action.DECIDE} if is_proposed else set())


def counts_by_root(root_ids: Collection[UUID]) -> SqlQuery:
    """Return the query for the number of documents in root scopes and below, limited. Permissions are not checked."""
    return limited_counts("documents_document", {"root_id": ("uuid", list(root_ids))}, where="erased_at IS NULL")


def counts_by_scope(scope_ids: Collection[UUID]) -> SqlQuery:
    """Return the query for the number of documents directly in scopes, limited. Permissions are not checked."""
    return limited_counts("documents_document", {"scope_id": ("uuid", list(scope_ids))}, where="erased_at IS NULL")


def readable_version(*, user: Person, document_id: UUID, number: int | None = None) -> DocumentVersion:
    """Return a version of a document that was not erased, like `version`.

    Raises:
        NotFound: there is no such version, or the user may not read it.
        Erased: its contents were erased.
    """
    row = version(user=user, document_id=document_id, number=number)
    if row.erased_at is not None:
        raise Erased
    return row


def version(*, user: Person, document_id: UUID, number: int | None = None) -> DocumentVersion:
    """Return a version of a document, the newest by default, joined with its head and scope.

    Raises:
        NotFound: there is no such version, or the user may not read it.
    """
    rows = versions(user=user, document_id=document_id).select_related("document__scope__root", "schema")
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


class VersionPair(NamedTuple):
    """Two versions of a document to compare; `before` is None if there is no earlier one."""

    before: DocumentVersion | None
    after: DocumentVersion


def version_pair(*, user: Person, document_id: UUID, before: int | None, after: int | None) -> VersionPair:
    """Return two versions of a document: by default the head's, and the newest version before the later one.

    Versions that were only proposed count if they are named. An erased one is no earlier version.

    Raises:
        NotFound: there is no such version, or the user may not read it.
        Erased: the contents of a version were erased.
    """
    later = readable_version(user=user, document_id=document_id, number=after)
    if before is not None:
        return VersionPair(readable_version(user=user, document_id=document_id, number=before), later)
    rows = versions(user=user, document_id=document_id).select_related("schema")
    earlier = rows.filter(version__lt=later.version, proposed=False, erased_at=None).order_by("-version").first()
    return VersionPair(earlier, later)


class VersionHeading(NamedTuple):
    """What lists tell of a document version."""

    title: str
    proposed: bool


NO_HEADING = VersionHeading(title="", proposed=False)


def headings(pairs: Iterable[tuple[UUID | None, int | None]]) -> dict[tuple[UUID | None, int | None], VersionHeading]:
    """Return the headings of document versions by (document id, version); unknown pairs are left out."""
    wanted = set(pairs)
    found = _headings(*{each for each, number in wanted if each and number})
    return {
        (each, number): VersionHeading(title, proposed)
        for each, number, title, proposed in found
        if (each, number) in wanted
    }


@compiled
def _headings(*document_ids: UUID) -> QuerySet[DocumentVersion, Any]:
    rows = DocumentVersion.objects.filter(document_id__in=document_ids)
    return rows.values_list("document_id", "version", "title", "proposed")


def title_of(document_id: OuterRef, version: OuterRef) -> Subquery:
    """Return the title of a document version, for a query that has both in a row."""
    return Subquery(DocumentVersion.objects.filter(document=document_id, version=version).values("title")[:1])


class VersionFacts(NamedTuple):
    """What tells a document version from others, without its content."""

    document_id: UUID
    version: int
    title: str
    content_hash: str  # equal hashes: equal contents; empty: not known
    author_name: str  # empty: a model
    created_at: datetime


def version_facts(
    pairs: Iterable[tuple[UUID | None, int | None]],
) -> dict[tuple[UUID | None, int | None], VersionFacts]:
    """Return facts of document versions by (document id, version); unknown pairs are left out."""
    wanted = set(pairs)
    rows = DocumentVersion.objects.filter(document_id__in={each for each, number in wanted if each and number})
    found = map(VersionFacts._make, rows.values_list(*VersionFacts._fields))
    return {(each.document_id, each.version): each for each in found if (each.document_id, each.version) in wanted}


class ListedVersion(NamedTuple):
    """What a list of documents tells of a version."""

    title: str
    author_name: str  # empty: a model
    proposed: bool
    rehearsal: bool
    prepared: bool
    is_erased: bool
    bytes: int


def listed_versions(pairs: Collection[tuple[UUID, int]]) -> dict[tuple[UUID, int], ListedVersion]:
    """Return what lists tell of document versions by (document id, version). Permissions are not checked."""
    rows = DocumentVersion.objects.filter(
        document_id__in={each for each, _ in pairs}, version__in={number for _, number in pairs}
    ).annotate(
        size=Func(Cast("content", TextField()), function="octet_length", output_field=BigIntegerField()),
        is_rehearsal=KT("provenance__rehearsal"),
        is_prepared=KT("provenance__prepared"),
    )
    names = ("title", "author_name", "proposed", "is_rehearsal", "is_prepared", "erased_at", "size")
    return {
        (each, number): ListedVersion(title, author, proposed, rehearsal == "true", prepared == "true", erased, size)
        for each, number, title, author, proposed, rehearsal, prepared, at, size in rows.values_list(
            "document_id", "version", *names
        )
        for erased in (at is not None,)
    }


class Maker(NamedTuple):
    """A step of an execution that has made versions of a document."""

    document_id: UUID
    step: tuple[UUID, str]  # execution and step


def makers(document_ids: Collection[UUID]) -> list[Maker]:
    """Return the steps that have made versions of documents, each once. Permissions are not checked."""
    if not document_ids:
        return []
    rows = DocumentVersion.objects.filter(
        document_id__in=document_ids, execution_id__isnull=False, step_id__isnull=False
    )
    found = rows.order_by("execution_id", "step_id").values_list("document_id", "execution_id", "step_id").distinct()
    return [Maker(each, (made_by, step_id)) for each, made_by, step_id in found if made_by and step_id]


class Proposal(NamedTuple):
    """A version that was only proposed, and the execution that made it."""

    document_id: UUID
    version: int
    execution_id: UUID | None


def proposals(document_ids: Iterable[UUID]) -> list[Proposal]:
    """Return all versions of documents that were only proposed. Permissions are not checked."""
    rows = DocumentVersion.objects.filter(document_id__in=list(document_ids), proposed=True)
    return [Proposal(*row) for row in rows.order_by().values_list("document_id", "version", "execution_id")]


def head_versions(document_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return the version of each document's head."""
    return dict(Document.objects.filter(id__in=list(document_ids)).values_list("id", "version"))


def root_of(document_id: UUID) -> UUID:
    """Return the id of the root scope that a document belongs to.

    Raises:
        NotFound: there is no such document.
    """
    found = Document.objects.filter(id=document_id).values_list("root_id", flat=True).first()
    if found is None:
        raise NotFound
    return found


def schema_of_type(root_id: UUID, type: str) -> Mapping[str, JsonValue] | None:
    """Return the schema of the newest document of a type in a root scope or below; None if there is none."""
    rows = DocumentVersion.objects.filter(document__root_id=root_id, document__type=type)
    rows = rows.filter(version=F("document__version")).order_by("-created_at", "-id")
    return rows.values_list("schema__content", flat=True).first()


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


def workflow_of(row: DocumentVersion) -> tuple[str, int] | None:
    """Return the workflow and its version that made a document version; for an edit those of what was edited."""
    rows = DocumentVersion.objects.filter(document_id=row.document_id, version__lte=row.version)
    rows = rows.filter(Q(proposed=False) | Q(version=row.version))
    rows = rows.annotate(workflow=KT("provenance__workflow_id"), of_workflow=KT("provenance__workflow_version"))
    found = rows.filter(workflow__isnull=False).order_by("-version").values_list("workflow", "of_workflow").first()
    return (str(found[0]), int(found[1])) if found is not None and str(found[1] or "").isdecimal() else None


class Sizes(NamedTuple):
    """Document versions, and how much they hold."""

    row_ids: dict[tuple[UUID, int], int]  # by document and version
    bytes: int  # of all contents


def sizes(pairs: Iterable[tuple[UUID, int]], *, user: Person) -> Sizes:
    """Return the rows of document versions that the user may read, and the bytes of their contents.

    Erased versions are left out.
    """
    wanted = set(pairs)
    rows = DocumentVersion.objects.filter(
        document_id__in={each for each, _ in wanted}, document__scope__in=visible_scopes(user), erased_at=None
    )
    found = rows.values_list("document_id", "version", "id")
    ids = {(each, number): row_id for each, number, row_id in found if (each, number) in wanted}
    length = Func(Cast("content", TextField()), function="octet_length", output_field=BigIntegerField())
    total = DocumentVersion.objects.filter(id__in=ids.values()).aggregate(total=Sum(length, default=0))["total"]
    return Sizes(ids, total)


def with_content(row_ids: Iterable[int]) -> dict[int, DocumentVersion]:
    """Return document versions with their contents, heads and schemas, by the id of their row."""
    rows = DocumentVersion.objects.filter(id__in=list(row_ids)).select_related("document").defer("document__search")
    return {row.pk: row for row in rows.prefetch_related("schema")}


def made_by(execution_id: UUID) -> QuerySet[DocumentVersion]:
    """Return the document versions that an execution produced."""
    rows = DocumentVersion.objects.select_related("document").defer("document__search")
    rows = rows.filter(execution_id=execution_id)
    return rows.order_by("created_at", "id")


__all__ = [
    "DocumentStatus",
    "head_versions",
    "headings",
    "heads",
    "made_by",
    "makers",
    "newest_versions",
    "proposals",
    "readable_version",
    "root_of",
    "schema_of_type",
    "sizes",
    "used_by",
    "version",
    "version_facts",
    "version_pair",
    "versions",
    "with_content",
    "workflow_of",
]
