"""Reads of the audit log: staff read all entries, owners those of their scopes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from access.models import AuditEntry, Scope
from access.permissions import Role
from access.selectors import Person, find_user, require, root_scope, roots_with_role
from access.user import User
from common.errors import Forbidden, NotFound


@dataclass(frozen=True, slots=True)
class NamedEntry:
    """An entry, with what its user and its scope are called now. The entry itself has no names."""

    entry: AuditEntry
    user: str | None
    scope: Scope | None


def entries(
    *,
    reader: Person,
    user: str | None = None,
    user_id: int | None = None,
    act: Collection[str] = (),
    subject: str | None = None,
    scope_type: str | None = None,
    scope_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[AuditEntry]:
    """Return the entries that the reader may read.

    Args:
        reader: Staff, or an owner of scopes.
        user: Name of the user who acted.
        user_id: Id of the user who acted; also finds users who were erased.
        act: Acts; empty: all.
        subject: Id of what was acted upon.
        scope_type: Type of a root scope; given with `scope_id`.
        scope_id: Key of a root scope.
        since: The first time.
        until: The time after the last one.

    Raises:
        NotFound: the reader may not see that there is such a scope.
        Forbidden: the reader is neither staff nor the owner of the scope, or of any scope.
    """
    rows = AuditEntry.objects.all()
    if scope_type is not None and scope_id is not None:
        rows = rows.filter(root_id=readable_root(reader, scope_type=scope_type, scope_key=scope_id))
    elif (owned := _owned_roots(reader)) is not None:
        rows = rows.filter(root_id__in=owned)
    if user is not None:
        found = find_user(user)
        rows = rows.none() if found is None else rows.filter(user_id=found.pk)
    exact = {"user_id": user_id, "subject_id": subject, "at__gte": since, "at__lt": until}
    rows = rows.filter(**{name: value for name, value in exact.items() if value is not None})
    return rows.filter(act__in=act) if act else rows


def readable_root(reader: Person, *, scope_type: str, scope_key: str) -> UUID:
    """Return the id of a root scope whose entries the reader may read.

    Raises:
        NotFound: there is no such scope, or the reader has no role in it.
        Forbidden: the reader's role is too low.
    """
    scope = root_scope(reader, scope_type=scope_type, scope_key=scope_key)
    if scope is None:
        raise NotFound("There is no such scope.")
    require(reader, scope, Role.OWNER)
    return scope.id


def _owned_roots(reader: Person) -> list[UUID] | None:
    """Return the ids of the root scopes that the reader owns; None: all, for staff.

    Raises:
        Forbidden: there are no such scopes.
    """
    owned = roots_with_role(reader, Role.OWNER)
    if owned is None or owned:
        return owned
    raise Forbidden("The audit log is for staff, and for owners of scopes.")


def named(rows: Iterable[AuditEntry]) -> list[NamedEntry]:
    """Return entries with the present names of their users and scopes."""
    page = list(rows)
    user_ids = {row.user_id for row in page if row.user_id is not None}
    users: dict[int | None, str] = dict(User.objects.filter(id__in=user_ids).values_list("id", "username"))
    scopes: dict[UUID | None, Scope] = dict(Scope.objects.in_bulk([row.root_id for row in page if row.root_id]))
    return [NamedEntry(row, users.get(row.user_id), scopes.get(row.root_id)) for row in page]
