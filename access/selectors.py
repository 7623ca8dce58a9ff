"""Who may see and do what."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q, QuerySet
from rest_framework.exceptions import NotFound

from access.errors import Forbidden
from access.models import Role, Scope, ScopeRole

Person = User | AnonymousUser

_RANK = {Role.VIEWER: 0, Role.REVIEWER: 1, Role.OPERATOR: 2, Role.OWNER: 3}


def visible_scopes(user: Person) -> QuerySet[Scope]:
    """Return the scopes that the user may read: all for staff, else those with a role, and what is below them."""
    scopes = Scope.objects.all()
    if getattr(user, "is_staff", False):
        return scopes
    roots = ScopeRole.objects.filter(user_id=user.pk or 0).values("scope_id")
    return scopes.filter(Q(id__in=roots) | Q(root_id__in=roots))


def role_of(user: Person, scope: Scope) -> Role | None:
    """Return the user's role in the scope (inherited from its root; staff own everything), None without one."""
    if getattr(user, "is_staff", False):
        return Role.OWNER
    root_id = scope.root_id or scope.id
    found = ScopeRole.objects.filter(scope_id=root_id, user_id=user.pk or 0).values_list("role", flat=True).first()
    return None if found is None else Role(found)


def allows(have: Role | None, need: Role) -> bool:
    """Return whether one role includes the other."""
    return have is not None and _RANK[have] >= _RANK[need]


def require(user: Person, scope: Scope, need: Role) -> None:
    """Return if the user's role in the scope reaches.

    Raises:
        NotFound: the user has no role there, and is not told that there is something.
        Forbidden: the role does not reach.
    """
    have = role_of(user, scope)
    if have is None:
        raise NotFound
    if not allows(have, need):
        raise Forbidden


def require_in(user: Person, scope_id: UUID, need: Role) -> None:
    """Return if the user's role in the scope with this id reaches.

    Raises:
        NotFound: there is no such scope, or the user has no role there.
        Forbidden: the role does not reach.
    """
    scope = Scope.objects.filter(id=scope_id).first()
    if scope is None:
        raise NotFound
    require(user, scope, need)


__all__ = ["Person", "Role", "allows", "require", "require_in", "role_of", "visible_scopes"]
