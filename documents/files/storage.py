"""Rows of files: storing, finding, using and deleting."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from uuid_utils.compat import uuid7

from access.audit import Act, record
from access.selectors import Person, only_root, visible_scopes
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

#: A transaction that gives files to a scope waits for the others: the bytes of its files are counted exactly.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


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
    sha256: str
    size: int
    pages: int | None
    width: int | None
    height: int | None
    encrypted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UsableFile:
    """A file that a user may use in a root scope."""

    name: str
    size: int
    is_new: bool  # nothing has used it before


@transaction.atomic
def store_file(*, user: User, name: str, data: bytes, extraction: Extraction, now: datetime) -> File:
    """Store a file that only the user sees until it is used."""
    sha256 = hashlib.sha256(data).hexdigest()
    bulk.execute(_KEEP_CONTENT, [sha256, data, len(data)])
    identity = uuid7()
    record(Act.FILE_UPLOAD, "file", identity)
    return File.objects.create(
        id=identity,
        name=name,
        media_type=extraction.media_type,
        size=len(data),
        content_id=sha256,
        uploaded_by=user,
        uploaded_for_id=only_root(user),
        title=extraction.title,
        pages=extraction.pages,
        width=extraction.width,
        height=extraction.height,
        encrypted=extraction.encrypted,
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
    record(Act.FILE_DELETE, "file", file_id)
    row.delete()
    _delete_unreferenced([row.content_id])


def usable_files(*, user: Person, file_ids: Collection[UUID], root_id: UUID | None) -> dict[UUID, UsableFile]:
    """Return the files that the user may use in a root scope, by id.

    These are the user's unused files, and files of this scope if the user may read it.
    """
    return _described(_usable(user, root_id).filter(id__in=file_ids))


def readable_files(*, user: Person, file_ids: Collection[UUID]) -> dict[UUID, UsableFile]:
    """Return the files that the user may read, of whatever scope, by id."""
    return _described(_visible(user).filter(id__in=file_ids))


def use_files(*, user: Person, file_ids: Collection[UUID], root_id: UUID) -> dict[UUID, UsableFile]:
    """Lock the files, give the unused ones the scope, and return all usable files by id.

    Call it in a transaction, before budgets and heads are locked. The caller compares the ids: unusable ones are
    missing.
    """
    bulk.execute(_ONE_AT_A_TIME, [f"files of {root_id}"])
    rows = _usable(user, root_id).filter(id__in=file_ids)
    found = _described(rows.select_for_update(of=("self",)).order_by("id"))
    File.objects.filter(id__in=found, scope=None).update(scope_id=root_id)
    return found


def bytes_in(root_id: UUID) -> int:
    """Return the bytes of all files that are used in a root scope."""
    return _bytes_of(File.objects.filter(scope=root_id))


def size_of(file_ids: Collection[UUID]) -> int:
    """Return the bytes of these files. Permissions are not checked."""
    return _bytes_of(File.objects.filter(id__in=file_ids))


def _bytes_of(rows: QuerySet[File]) -> int:
    total: int = rows.aggregate(total=Sum("size", default=0))["total"]
    return total


def file_texts(file_ids: Iterable[UUID], *, root_id: UUID | None) -> list[FileText]:
    """Return those files that are used in a root scope, with their texts, in no order.

    Args:
        file_ids: Ids of files; others are left out.
        root_id: The scope. None: of any scope, or unused; the caller has checked the permissions.
    """
    rows = File.objects.filter(id__in=list(file_ids)).order_by()
    return [
        FileText(
            id=row.id,
            name=row.name,
            media_type=row.media_type,
            segments=tuple(Segment(**each) for each in row.segments),
            sha256=row.content_id,
            size=row.size,
            pages=row.pages,
            width=row.width,
            height=row.height,
            encrypted=row.encrypted,
        )
        for row in (rows if root_id is None else rows.filter(scope=root_id))
    ]


def contents(hashes: Collection[str]) -> Mapping[str, bytes]:
    """Return stored bytes by their SHA-256. Permissions are not checked.

    Raises:
        NotFound: some are not stored.
    """
    rows = StoredContent.objects.filter(sha256__in=hashes).values_list("sha256", "bytes")
    found = {key: bytes(data) for key, data in rows}
    if missing := set(hashes) - found.keys():
        raise NotFound(f"The bytes of {len(missing)} files are not stored any more.")
    return found


def _described(rows: QuerySet[File]) -> dict[UUID, UsableFile]:
    found = rows.values_list("id", "name", "size", "scope_id")
    return {key: UsableFile(name=name, size=size, is_new=scope is None) for key, name, size, scope in found}


@transaction.atomic
def delete_files(file_ids: Collection[UUID], *, also_used: Callable[[Collection[UUID]], Collection[UUID]]) -> int:
    """Delete files with their texts, and the bytes that no other file has; return their number.

    Args:
        file_ids: Ids of files.
        also_used: Called with those that exist, once no other transaction can begin to use them. It returns the files
            that something else uses; these stay.
    """
    rows = File.objects.filter(id__in=file_ids).order_by("id").select_for_update(of=("self",))
    found = dict(rows.values_list("id", "content_id"))
    kept = set(also_used(found.keys())) if found else set()
    gone = {key: content for key, content in found.items() if key not in kept}
    File.objects.filter(id__in=gone).delete()
    _delete_unreferenced([*gone.values()])
    return len(gone)


def files_of(user_id: int) -> dict[UUID, UUID | None]:
    """Return the files that a user has uploaded, with the root scope that uses them; None: they are not used."""
    return dict(File.objects.filter(uploaded_by=user_id).values_list("id", "scope_id"))


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
    """Return the files that the user may see: own unused ones, and those of readable scopes.

    A token with a scope sees only the unused ones that were uploaded with such a token.
    """
    own = Q(scope=None, uploaded_by=user.pk or 0)
    if (only := only_root(user)) is not None:
        own &= Q(uploaded_for=only)
    return File.objects.filter(own | Q(scope__in=visible_scopes(user))).defer("segments")


def _usable(user: Person, root_id: UUID | None) -> QuerySet[File]:
    return _visible(user).filter(Q(scope=None) | Q(scope=root_id))
