"""Comments on passages of documents: written about one version, and found again in the newest one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import takewhile
from time import monotonic
from typing import cast
from uuid import UUID

from django.db import transaction
from django.db.models import Max, QuerySet
from pydantic import JsonValue

from access import selectors as access
from access.audit import Act, record
from access.permissions import NEEDED_ROLE, Action
from access.selectors import Person
from access.user import User
from common.errors import Conflict, Erased, FieldError, Invalid, NotFound, PreconditionFailed, VersionConflict
from documents import repository, selectors
from documents.comparison.passages import Anchor, Location, PassageFinder, anchor_of
from documents.models import Document, DocumentComment

#: PostgreSQL stores neither NUL nor lone surrogates in texts. The text of a document may have them.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
MAX_COMMENTS = 2_000  # of one document
#: Bounds of a list: open comments that are looked for, earlier versions that they were written about, and the time
#: after which no further comment is looked for.
MAX_LOCATED, MAX_COMPARED_VERSIONS, MAX_SECONDS = 50, 10, 1.0


_NO_PASSAGE = "There is no such passage."


class TooManyComments(Conflict):
    """The document has as many comments as it may have."""

    code = "too-many-comments"


@dataclass(frozen=True, slots=True)
class LocatedComment:
    """A comment, and where its passage is in the newest version."""

    comment: DocumentComment
    location: Location | None = None
    lost: bool | None = None  # the passage was not found; None: it was not looked for


def comments(*, user: Person, document_id: UUID, resolved: bool | None = None) -> QuerySet[DocumentComment]:
    """Return the comments of a document, oldest first: all, the resolved ones, or the open ones.

    Raises:
        NotFound: there is no such document, or the user may not read it.
    """
    selectors.version(user=user, document_id=document_id)
    rows = DocumentComment.objects.filter(document_id=document_id)
    if resolved is not None:
        rows = rows.filter(resolved_at__isnull=not resolved)
    return rows.order_by("number")


def located(rows: Iterable[DocumentComment]) -> list[LocatedComment]:
    """Return comments of one document with their places in its newest version.

    Only open comments are looked for, at most `MAX_LOCATED`, written about at most `MAX_COMPARED_VERSIONS` versions.
    The search ends after `MAX_SECONDS`: edited passages of a large text take long.
    """
    page, deadline = list(rows), monotonic() + MAX_SECONDS
    wanted = _to_locate(page)
    found: dict[int, Location | None] = {}
    head = _version(page[0].document_id) if wanted else None
    if head is not None:
        for version, group in wanted.items():
            if monotonic() > deadline:
                break
            before = head if version == head.version else _version(head.id, version)
            if before is not None:
                found |= _locate(group, before, head, deadline=deadline)
    return [
        LocatedComment(row, found[row.number], found[row.number] is None)
        if row.number in found
        else LocatedComment(row)
        for row in page
    ]


def _version(document_id: UUID, version: int | None = None) -> repository.StoredDocument | None:
    """Return a version of a document, by default that of the head; None if there is none, or if it was erased."""
    with suppress(Erased):
        return repository.get_version(document_id, version)
    return None


def _to_locate(page: Sequence[DocumentComment]) -> Mapping[int, Sequence[DocumentComment]]:
    """Return the comments to look for, by the version that they were written about."""
    groups: dict[int, list[DocumentComment]] = {}
    for row in [each for each in page if each.resolved_at is None][:MAX_LOCATED]:
        if row.document_version in groups or len(groups) < MAX_COMPARED_VERSIONS:
            groups.setdefault(row.document_version, []).append(row)
    return groups


def _locate(
    rows: Sequence[DocumentComment],
    before: repository.StoredDocument,
    after: repository.StoredDocument,
    *,
    deadline: float,
) -> dict[int, Location | None]:
    # The content of a document without a schema may be a text.
    finder = PassageFinder(cast(JsonValue, before.content), cast(JsonValue, after.content), schema=after.schema)
    in_time = takewhile(lambda _: monotonic() <= deadline, rows)
    return {
        row.number: finder.locate(Anchor(row.pointer, row.quote, row.prefix, row.suffix, row.start)) for row in in_time
    }


@transaction.atomic
def add_comment(
    *,
    user: User,
    document_id: UUID,
    pointer: str,
    text: str,
    quote: str = "",
    start: int = 0,
    document_version: int | None = None,
    now: datetime,
) -> DocumentComment:
    """Store a comment about a passage of a version, by default of the newest one.

    Raises:
        NotFound: there is no such document or version, or none that the user may see.
        Forbidden: the user's role does not permit it.
        Erased: the version was erased.
        Invalid: the version has no such passage.
        TooManyComments: the document has `MAX_COMMENTS`.
    """
    row = selectors.readable_version(user=user, document_id=document_id, number=document_version)
    root_id = require_comment(user, document_id)
    anchor = _anchor(row.content, pointer, quote=quote, start=start)
    number = _next_number(document_id)
    record(Act.COMMENT_ADD, "document", document_id, part=str(number), root_id=root_id, version=row.version)
    return DocumentComment.objects.create(
        document_id=document_id,
        number=number,
        document_version=row.version,
        pointer=anchor.pointer,
        quote=anchor.quote,
        prefix=anchor.prefix,
        suffix=anchor.suffix,
        start=anchor.start,
        text=text,
        author=user,
        author_name=user.get_username(),
        created_at=now,
    )


def _next_number(document_id: UUID) -> int:
    """Return the number of the next comment. The document is locked, so numbers have no gaps.

    Raises:
        TooManyComments: the document has `MAX_COMMENTS`.
    """
    Document.objects.select_for_update(no_key=True).only("id").get(id=document_id)
    last = DocumentComment.objects.filter(document_id=document_id).aggregate(last=Max("number"))["last"] or 0
    if last >= MAX_COMMENTS:
        raise TooManyComments(f"A document has at most {MAX_COMMENTS:,} comments.")
    return int(last) + 1


@transaction.atomic
def resolve_comment(
    *,
    user: User,
    document_id: UUID,
    number: int,
    resolved: bool,
    version: int | None = None,
    expected_versions: Collection[int] | None,
    now: datetime,
) -> DocumentComment:
    """Resolve or reopen a comment. If it is in that state already, nothing changes.

    Raises:
        NotFound: there is no such document or comment, or none that the user may see.
        Forbidden: the user's role does not permit it.
        PreconditionFailed: the comment's version is not in `expected_versions`.
        VersionConflict: the comment's version is not `version`.
    """
    root_id = require_comment(user, document_id)
    row = DocumentComment.objects.select_for_update().filter(document_id=document_id, number=number).first()
    if row is None:
        raise NotFound("There is no such comment.")
    if expected_versions is not None and row.version not in expected_versions:
        raise PreconditionFailed
    if version is not None and row.version != version:
        raise VersionConflict("The comment", expected=version)
    if resolved is (row.resolved_at is not None):
        return row
    row.version += 1
    row.resolved_at, row.resolved_by_name = (now, user.get_username()) if resolved else (None, "")
    row.save(update_fields=["version", "resolved_at", "resolved_by_name"])
    act = Act.COMMENT_RESOLVE if resolved else Act.COMMENT_REOPEN
    record(act, "document", document_id, part=str(number), root_id=root_id, version=row.document_version)
    return row


def require_comment(user: Person, document_id: UUID) -> UUID:
    """Check that the user may comment on a document; return its root scope.

    Raises:
        NotFound: there is no such document, or none that the user may see.
        Forbidden: the user's role does not permit it.
    """
    root_id = selectors.root_of(document_id)
    access.require_in(user, root_id, NEEDED_ROLE[Action.COMMENT])
    return root_id


def _anchor(content: JsonValue, pointer: str, *, quote: str, start: int) -> Anchor:
    """Return the anchor of a passage. Its surroundings end where the text has a character that cannot be stored.

    Raises:
        Invalid: the content has no such passage.
    """
    found = anchor_of(content, pointer, quote, near=start)
    if found is None:
        raise Invalid(_NO_PASSAGE, [_missing(content, pointer, quote)])
    return replace(found, prefix=_UNSTORABLE.split(found.prefix)[-1], suffix=_UNSTORABLE.split(found.suffix)[0])


def check_passages(content: JsonValue, passages: Iterable[tuple[str, str]], *, at: str) -> None:
    """Check that a version has these passages: pointers and quotes. Errors point below `at`.

    Raises:
        Invalid: the content lacks a passage.
    """
    errors = [
        error.model_copy(update={"pointer": f"{at}/{index}{error.pointer}"})
        for index, (pointer, quote) in enumerate(passages)
        if anchor_of(content, pointer, quote) is None
        for error in [_missing(content, pointer, quote)]
    ]
    if errors:
        raise Invalid(_NO_PASSAGE, errors)


def _missing(content: JsonValue, pointer: str, quote: str) -> FieldError:
    """Return the error of a passage that the content does not have."""
    place = "/pointer" if anchor_of(content, pointer) is None else "/quote"
    detail = "The document has no such value." if place == "/pointer" else "The text has no such quote."
    return FieldError(pointer=place, code="not_found", detail=detail)
