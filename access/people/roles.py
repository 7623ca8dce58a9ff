"""Roles of users in root scopes: who has one, giving and taking.

The row of the scope is locked before its roles and invitations are read for a change. So two owners who leave at once
are decided one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from access.audit import Act, record
from access.errors import LastOwner, UserUnknown
from access.models import Scope, ScopeRole
from access.permissions import Action, Role, allows
from access.selectors import Person, find_user, scope_for
from access.services import lock_scopes
from access.user import User


@dataclass(frozen=True, slots=True)
class GivenRole:
    """A role after it was given."""

    row: ScopeRole
    is_new: bool  # the user had none before


def roles(*, user: Person, scope_type: str, scope_key: str) -> QuerySet[ScopeRole]:
    """Return the roles in a root scope, with their users.

    Raises:
        NotFound: there is no such scope, or none that the user may see. Forbidden: the user is not its owner.
    """
    scope = scope_for(user, Action.GIVE_ROLES, scope_type=scope_type, scope_key=scope_key)
    return ScopeRole.objects.filter(scope=scope).select_related("user").order_by("id")


def locked_scope(user: User, action: Action, *, scope_type: str, scope_key: str) -> Scope:
    """Lock a root scope, and return it if the user may still do something there: an owner may have taken the role.

    Raises:
        NotFound, Forbidden: see `scope_for`.
    """
    scope = scope_for(user, action, scope_type=scope_type, scope_key=scope_key)
    lock_scopes([scope.id])
    return scope_for(user, action, scope_type=scope.type, scope_key=scope.key)


@transaction.atomic
def give_role(*, user: User, scope_type: str, scope_key: str, username: str, role: Role) -> GivenRole:
    """Give a user a role in place of the present one. A role that a person gave changes nothing when given again.

    Raises:
        NotFound: there is no such scope. UserUnknown: there is no active user of this name.
        Forbidden: the caller is no owner of the scope.
        LastOwner: the user is the last active owner, and the role is lower.
    """
    scope = locked_scope(user, Action.GIVE_ROLES, scope_type=scope_type, scope_key=scope_key)
    other = find_user(username)
    if other is None or not other.is_active:
        raise UserUnknown("There is no active user of this name.")
    row = _role_row(scope, username)
    if row is not None and row.role == role and not row.by_group:
        return GivenRole(row, is_new=False)
    if row is not None:
        _check_owners(row, role)
    given = _replace_role(scope, other, role, before=row)
    record(Act.ROLE_GIVE, "user", other.pk, part=role, root_id=scope.id)
    return GivenRole(given, is_new=row is None)


@transaction.atomic
def take_role(*, user: User, scope_type: str, scope_key: str, username: str) -> None:
    """Take a user's role away.

    Raises:
        NotFound: there is no such scope. UserUnknown: the user has no role in it.
        Forbidden: the caller is no owner of the scope.
        LastOwner: the user is the last active owner.
    """
    scope = locked_scope(user, Action.GIVE_ROLES, scope_type=scope_type, scope_key=scope_key)
    row = _role_row(scope, username)
    if row is None:
        raise UserUnknown("This user has no role in the scope.")
    _check_owners(row, None)
    row.delete()
    record(Act.ROLE_TAKE, "user", row.user_id, part=row.role, root_id=scope.id)


def _replace_role(scope: Scope, user: User, role: Role, *, before: ScopeRole | None) -> ScopeRole:
    """Store a role that a person gives, in place of the one before. The row of the scope is locked."""
    if before is not None:
        before.delete()
    return ScopeRole.objects.create(scope=scope, user=user, role=role)


def raise_role(scope: Scope, user: User, role: Role) -> Role:
    """Give a user a role, unless the present one includes it, and return the role after it. The scope is locked.

    Of a role that a group gave, the offered one stays when the group's is taken.
    """
    before = ScopeRole.objects.filter(scope=scope, user=user).first()
    by_hand = None if before is None else (before.by_hand or None) if before.by_group else before.role
    if before is not None and by_hand is not None and allows(Role(by_hand), role):
        return Role(before.role)
    record(Act.ROLE_GIVE, "user", user.pk, part=role, root_id=scope.id, user_id=user.pk)
    if before is None or before.role == role or not allows(Role(before.role), role):
        return Role(_replace_role(scope, user, role, before=before).role)
    before.delete()
    ScopeRole.objects.create(scope=scope, user=user, role=before.role, by_group=True, by_hand=role)
    return Role(before.role)


def _role_row(scope: Scope, username: str) -> ScopeRole | None:
    rows = ScopeRole.objects.filter(scope=scope, user__username=User.normalize_username(username))
    return rows.select_related("user").first()


def _check_owners(row: ScopeRole, role: Role | None) -> None:
    """Check that the scope keeps an active owner if a role becomes another one; None: it is taken.

    Raises:
        LastOwner: there would be no active owner.
    """
    if row.role != Role.OWNER or role == Role.OWNER:
        return
    others = ScopeRole.objects.filter(scope_id=row.scope_id, role=Role.OWNER, user__is_active=True)
    if not others.exclude(user_id=row.user_id).exists():
        raise LastOwner
