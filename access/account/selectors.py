"""Queries for a user's own account: roles, tokens and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from access.models import Scope, ScopeRole, SessionName, Token
from access.permissions import ALL_RIGHTS, Right, TokenLimits
from access.selectors import is_author, only_root
from access.user import User

MAX_ROLES = 200  # that an account lists; `GET /scopes/` has all

_NO_LIMITS = TokenLimits(rights=ALL_RIGHTS, root_id=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user, and what the credential of the request may do."""

    user: User
    rights: list[Right]
    scope: Scope | None  # the only one that the token reaches; None: all of the user
    roles: list[ScopeRole]
    roles_complete: bool


def account(user: User) -> Account:
    """Return the account of a user, as the user's token sees it."""
    limits = user.token_limits or _NO_LIMITS
    rows = ScopeRole.objects.filter(user=user).select_related("scope").order_by("scope__type", "scope__key", "id")
    if (only := only_root(user)) is not None:
        rows = rows.filter(scope_id=only)
    may_read = Right.READ in limits.rights
    found = list(rows[: MAX_ROLES + 1]) if may_read else []
    own = limits.rights if is_author(user) else limits.rights - {Right.AUTHOR}
    return Account(
        user=user,
        rights=[each for each in Right if each in own],
        scope=None if only is None else Scope.objects.get(id=only),
        roles=found[:MAX_ROLES],
        roles_complete=may_read and len(found) <= MAX_ROLES,
    )


def own_tokens(user: User, *, now: datetime) -> QuerySet[Token]:
    """Return the user's tokens that have not expired."""
    return Token.objects.filter(Q(expiry=None) | Q(expiry__gt=now), user=user).select_related("scope")


def own_sessions(user: User, *, now: datetime) -> QuerySet[SessionName]:
    """Return the user's sessions that have not expired."""
    return SessionName.objects.filter(user=user, session__expire_date__gt=now).select_related("session")
