"""Rows of files: storing, finding, using and deleting."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from uuid_utils.compat import uuid7

from access.selectors import Person, visible_scopes
from access.user import User
from common.database import bulk
from common.errors import Conflict, NotFound
from documents.extraction.results import Extraction, Segment
from documents.models import File, StoredContent

UNUSED_RETENTION = timedelta(hours=24)  # time after which an unused file is deleted

#: Locks the content also where it exists, so that no other transaction deletes it before the file refers to it.
_KEEP_CONTENT = """
INSERT INTO documents_storedcontent (sha256, bytes, size) VALUES (%s, %s, %s)
ON CONFLICT (sha256) DO UPDATE SET size = excluded.size"""


class FileInUse(Conflict):
    """An execution uses the file."""

    code = "file-in-use"
    sentence = "The file is in use, and stays with what uses it."


@dataclass(frozen=True, slots=True, kw_only=True)
class FileText:
    """The text of a file, in segments that can be cited."""

    id: UUID
    name: str
    media_type: str
    segments: tuple[Segment, ...]


@transaction.atomic
def store_file(*, user: User, name: str, data: bytes, extraction: Extraction, now: datetime) -> File:
    """Store a file that only the user sees until it is used."""
    sha256 = hashlib.sha256(data).hexdigest()
    bulk.execute(_KEEP_CONTENT, [sha256, data, len(data)])
    return File.objects.create(
        id=uuid7(),
        name=name,
        media_type=extraction.media_type,
        size=len(data),
        content_id=sha256,
        uploaded_by=user,
        title=extraction.title,
        pages=extraction.pages,
        characters=extraction.characters,
        segments=[asdict(each) for each in extraction.segments],
        notes=list(extraction.notes),
        created_at=now,
    )


def find_file(*, user: Person, file_id: UUID) -> File:
    """Return a file without its text and bytes.

    Raises:
        NotFound: there is no such file, or the user may not see it.
    """
    row = _visible(user).select_related("scope").filter(id=file_id).first()
    if row is None:
        raise NotFound("There is no such file.")
    return row


def read_content(*, user: Person, file_id: UUID) -> tuple[File, bytes]:
    """Return a file and its bytes.

    Raises:
        NotFound: there is no such file, or the user may not see it.
    """
    row = find_file(user=user, file_id=file_id)
    return row, bytes(StoredContent.objects.values_list("bytes", flat=True).get(sha256=row.content_id))


@transaction.atomic
def delete_file(*, user: Person, file_id: UUID) -> None:
    """Delete a file that is not used, and its content with the last file of it.

    Raises:
        NotFound: there is no such file, or the user may not see it.
        FileInUse: the file is used.
    """
    row = _visible(user).select_for_update(of=("self",)).filter(id=file_id).first()
    if row is None:
        raise NotFound("There is no such file.")
    if row.scope_id is not None:
        raise FileInUse
    row.delete()
    _delete_unreferenced([row.content_id])


def usable_files(*, user: Person, file_ids: Collection[UUID], root_id: UUID | None) -> dict[UUID, str]:
    """Return the names of the files that the user may use in a root scope, by id.

    These are the user's unused files, and files of this scope if the user may read it.
    """
    return dict(_usable(user, root_id).filter(id__in=file_ids).values_list("id", "name"))


def use_files(*, user: Person, file_ids: Collection[UUID], root_id: UUID) -> dict[UUID, str]:
    """Lock the files, give the unused ones the scope, and return the names of all usable files by id.

    Call it in a transaction. The caller compares the ids: unusable ones are missing.
    """
    rows = _usable(user, root_id).filter(id__in=file_ids).select_for_update(of=("self",)).order_by("id")
    names = dict(rows.values_list("id", "name"))
    File.objects.filter(id__in=names, scope=None).update(scope_id=root_id)
    return names


def file_texts(file_ids: Iterable[UUID]) -> list[FileText]:
    """Return the texts of files, in no order; unknown ids are left out. Permissions are not checked."""
    rows = File.objects.filter(id__in=list(file_ids)).order_by()
    return [
        FileText(id=key, name=name, media_type=kind, segments=tuple(Segment(**each) for each in segments))
        for key, name, kind, segments in rows.values_list("id", "name", "media_type", "segments")
    ]


@transaction.atomic
def delete_unused(*, before: datetime, limit: int) -> int:
    """Delete unused files that were uploaded before a time, oldest first, at most `limit`; return their number."""
    rows = File.objects.filter(scope=None, created_at__lt=before).order_by("created_at")
    found = list(rows.select_for_update(skip_locked=True).values_list("id", "content_id")[:limit])
    File.objects.filter(id__in=[key for key, _ in found]).delete()
    _delete_unreferenced([content for _, content in found])
    return len(found)


def _delete_unreferenced(contents: Sequence[str]) -> None:
    """Delete the contents that no file refers to.

    The rows are locked before the files are counted: an upload of the same content waits, or is counted.
    """
    rows = StoredContent.objects.filter(sha256__in=contents)
    locked = list(rows.select_for_update().order_by("sha256").values_list("sha256", flat=True))
    unreferenced = StoredContent.objects.filter(~Exists(File.objects.filter(content=OuterRef("pk"))), sha256__in=locked)
    unreferenced.order_by().delete()


def _visible(user: Person) -> QuerySet[File]:
    """Return the files that the user may see: own unused ones, and those of readable scopes."""
    own = Q(scope=None, uploaded_by=user.pk or 0)
    return File.objects.filter(own | Q(scope__in=visible_scopes(user))).defer("segments")


def _usable(user: Person, root_id: UUID | None) -> QuerySet[File]:
    return _visible(user).filter(Q(scope=None) | Q(scope=root_id))
