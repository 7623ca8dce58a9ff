"""Queries for users, scopes, roles, grants and credentials."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import OuterRef, Q, QuerySet, Subquery

from access.errors import AuthorRequired, ScopeForbidden
from access.models import KeptAnswer, Scope, ScopeRole, SessionName, Token
from access.permissions import NEEDED_ROLE, Action, Role, TokenLimits, allows
from access.user import User
from common.database import bulk
from common.database.compiled_queries import CompiledQuery, compiled
from common.database.counts import limited_counts
from common.database.walks import Condition
from common.errors import Forbidden, NotFound
from common.names import normalize_name

Person = User | AnonymousUser

MAX_OWNERS = 20  # that a refusal names
_HELD = "held_roles"  # attribute of a user whose roles are read once

#: For statements of other rooms that join scopes by id.
SCOPE_NAMES = "SELECT id, type, key FROM access_scope"
#: For statements of other rooms: the id of the root of a scope; fill in the scope's id.
ROOT_OF_SCOPE = "(SELECT coalesce(scope.root_id, scope.id) FROM access_scope AS scope WHERE scope.id = {})"
#: Numbers, from 1, of the grants that are still valid.
_VALID_GRANTS = """
SELECT wanted.number
FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY
  AS wanted (user_id, root_id, token, session, password, number)
JOIN access_user AS person ON person.id = wanted.user_id AND person.is_active
WHERE (person.is_staff OR wanted.root_id IS NULL OR EXISTS (
    SELECT FROM access_scoperole AS role WHERE role.scope_id = wanted.root_id AND role.user_id = person.id
  ))
  AND (wanted.token IS NULL OR EXISTS (
    SELECT FROM knox_authtoken AS token
    WHERE token.digest = wanted.token AND token.user_id = person.id AND coalesce(token.expiry > %s, true)
  ))
  AND (wanted.session IS NULL OR person.password = wanted.password AND EXISTS (
    SELECT FROM django_session AS session WHERE session.session_key = wanted.session AND session.expire_date > %s
  ))
"""


def find_user(name: str) -> User | None:
    """Return the user with this name, active or not; None if there is no such user."""
    if "\0" in name:  # PostgreSQL stores no NUL
        return None
    return User.objects.filter(username=User.normalize_username(name)).first()


def is_author(user: Person) -> bool:
    """Return whether the user may publish workflows, retire workflows and try candidates: authors and staff."""
    return bool(getattr(user, "is_staff", False) or getattr(user, "is_author", False))


def require_author(user: Person) -> None:
    """Check that the user is an author.

    Raises:
        AuthorRequired: the user is neither an author nor staff.
    """
    if not is_author(user):
        raise AuthorRequired


def limits_of(user: Person) -> TokenLimits | None:
    """Return the limits of the token that a user has authenticated with; None: there is no token."""
    return getattr(user, "token_limits", None)


def only_root(user: Person) -> UUID | None:
    """Return the only root scope that the user's token reaches; None: the token has no scope, or there is no token."""
    limits = limits_of(user)
    return None if limits is None else limits.root_id


def is_reached(user: Person, root_id: UUID) -> bool:
    """Return whether the user's token reaches a root scope. It says nothing about the user's role there."""
    return only_root(user) in {None, root_id}


def visible_scopes(user: Person) -> QuerySet[Scope]:
    """Return the scopes that the user may read: all for staff, else the scopes below a root where they have a role.

    A token with a scope sees that scope alone.
    """
    return scopes_of_reader(reader_id(user), only_root(user))


def reader_id(user: Person) -> int | None:
    """Return the id of the user whose roles decide what they may read; None: staff, who may read all."""
    return None if getattr(user, "is_staff", False) else user.pk or 0


def scopes_of_reader(user_id: int | None, only: UUID | None) -> QuerySet[Scope]:
    """Return what `visible_scopes` does, for compiled queries: by `reader_id` and `only_root`."""
    scopes = Scope.objects.all() if only is None else Scope.objects.filter(Q(id=only) | Q(root_id=only))
    if user_id is None:
        return scopes
    roots = ScopeRole.objects.filter(user_id=user_id).values("scope_id")
    return scopes.filter(Q(id__in=roots) | Q(root_id__in=roots))


def visible_roots(user: Person) -> list[UUID] | None:
    """Return the ids of the root scopes that the user may read, with all scopes below; None: all, for staff."""
    return roots_with_role(user, Role.VIEWER)


def named_scope_ids(user: Person, *, scope_type: str | None, scope_key: str | None, limit: int) -> list[UUID]:
    """Return the ids of the scopes with a type, a key or both that the user may read, up to `limit`."""
    named = {"type": scope_type, "key": None if scope_key is None else normalize_name(scope_key)}
    rows = visible_scopes(user).filter(**{name: value for name, value in named.items() if value is not None})
    return list(rows.order_by().values_list("id", flat=True)[:limit])


def in_named_scopes(*, scope_type: str | None, scope_key: str | None) -> Condition:
    """Return the condition that `scope_id` has a type, a key or both; the key is normalized. Roles are not checked."""
    named = [(name, value) for name, value in (("type", scope_type), ("key", scope_key)) if value is not None]
    where = " AND ".join(f"named.{name} = %s" for name, _ in named)
    sql = f"scope_id IN (SELECT named.id FROM ({SCOPE_NAMES}) AS named WHERE {where})"  # noqa: S608 - names of columns
    return Condition(sql, tuple(value for _, value in named))


def roots_with_role(user: Person, need: Role) -> list[UUID] | None:
    """Return the ids of the root scopes where the user has at least this role; None: all, for staff.

    A token with a scope has roles in that scope alone.
    """
    return roots_with_roles(user, [need])[need]


def roots_with_roles(user: Person, needs: Collection[Role]) -> dict[Role, list[UUID] | None]:
    """Return what `roots_with_role` does for several roles, by one query."""
    only = only_root(user)
    if getattr(user, "is_staff", False):
        return {need: None if only is None else [only] for need in needs}
    held: list[tuple[UUID, str]] | None = getattr(user, _HELD, None)
    if held is None:
        held = _roles_held(user, [role.value for role in Role if any(allows(role, need) for need in needs)])
    return {need: [root_id for root_id, role in held if allows(Role(role), need)] for need in needs}


def _roles_held(user: Person, roles: Collection[str]) -> list[tuple[UUID, str]]:
    return list(_held_roles(user.pk or 0, only_root(user), *roles))


@compiled
def _held_roles(user_id: int, only: UUID | None, *roles: str) -> QuerySet[ScopeRole, Any]:
    rows = ScopeRole.objects.filter(user_id=user_id, role__in=roles)
    rows = rows if only is None else rows.filter(scope_id=only)
    return rows.order_by("scope_id").values_list("scope_id", "role")


@contextmanager
def reading_roles_once(user: Person) -> Iterator[None]:
    """Read the user's roles once for all that asks for root scopes meanwhile: for a page that shows many things."""
    if not getattr(user, "is_staff", False):
        setattr(user, _HELD, _roles_held(user, [role.value for role in Role]))
    try:
        yield
    finally:
        if hasattr(user, _HELD):
            delattr(user, _HELD)


def names_with_role(root_id: UUID, names: Collection[str], need: Role) -> set[str]:
    """Return which of the names belong to active users with at least this role in a root scope."""
    return set(users_with_role(root_id, need).filter(username__in=list(names)).values_list("username", flat=True))


def ids_with_role(root_id: UUID, ids: Collection[int], need: Role) -> set[int]:
    """Return which of the ids belong to active users with at least this role in a root scope."""
    return set(users_with_role(root_id, need).filter(id__in=list(ids)).values_list("id", flat=True))


def user_names(ids: Iterable[int]) -> dict[int, str]:
    """Return the names of users by id."""
    return dict(User.objects.filter(id__in=set(ids)).values_list("id", "username"))


def scope_names(ids: Iterable[UUID]) -> dict[UUID, tuple[str, str]]:
    """Return type and key of scopes by id."""
    rows = bulk.execute(f"{SCOPE_NAMES} WHERE id = ANY(%s)", [list(ids)])
    return {scope_id: (scope_type, key) for scope_id, scope_type, key in rows}


def users_with_role(root_id: UUID | OuterRef, need: Role) -> QuerySet[User]:
    """Return the active users with at least this role in a root scope."""
    enough = [role.value for role in Role if allows(role, need)]
    there = ScopeRole.objects.filter(scope_id=root_id, role__in=enough).values("user_id")
    return User.objects.filter(Q(is_staff=True) | Q(id__in=there), is_active=True)


def named_roots(*, scope_type: str | None, scope_key: str | None) -> QuerySet[Scope]:
    """Return the root scopes with a type, a key or both. Permissions are not checked."""
    named = {"type": scope_type, "key": None if scope_key is None else normalize_name(scope_key)}
    return Scope.objects.filter(parent=None, **{name: value for name, value in named.items() if value is not None})


def roots_to_start_in(user: Person, *, limit: int) -> list[tuple[str, str]]:
    """Return type and key of the newest root scopes where the user may start executions, up to `limit`."""
    roots = roots_with_role(user, NEEDED_ROLE[Action.START])
    rows = Scope.objects.filter(parent=None) if roots is None else Scope.objects.filter(parent=None, id__in=roots)
    return list(rows.order_by("-id").values_list("type", "key")[:limit])


def root_scope(user: Person, *, scope_type: str, scope_key: str) -> Scope | None:
    """Return a root scope that the user may read; None if there is no such scope."""
    scopes = visible_scopes(user).filter(parent=None, type=scope_type, key=normalize_name(scope_key))
    return scopes.order_by("id").first()


def root_in_path(user: Person, *, scope_type: str, scope_key: str) -> Scope | None:
    """Return the root scope at a path that ends with its key, maybe with a slash after it; None: there is none.

    A key may end with a slash itself; that scope is meant then.
    """
    keys = {normalize_name(scope_key), normalize_name(scope_key.removesuffix("/"))}
    rows = visible_scopes(user).filter(parent=None, type=scope_type, key__in=keys)
    return max(rows, key=lambda each: len(each.key), default=None)


def root_of(scope_id: UUID) -> UUID | None:
    """Return the id of the root of a scope, which may be the scope itself; None: there is no such scope."""
    scope = Scope.objects.filter(id=scope_id).first()
    return None if scope is None else scope.root_id or scope.id


def children_of(*, root_id: UUID, parent_id: UUID) -> QuerySet[Scope]:
    """Return the scopes directly below one of a root's tree, the root itself included. Permissions are not checked."""
    return Scope.objects.filter(root_id=root_id, parent_id=parent_id).order_by("type", "key")


def child_counts(parent_ids: Collection[UUID]) -> bulk.SqlQuery:
    """Return the query for the number of scopes directly below each of these, limited; none is left out."""
    return limited_counts("access_scope", {"parent_id": ("uuid", list(parent_ids))})


def root_scope_id(*, scope_type: str, scope_key: str) -> UUID:
    """Return the id of a root scope, or the nil UUID if there is none. Permissions are not checked."""
    scopes = Scope.objects.filter(parent=None, type=scope_type, key=normalize_name(scope_key))
    found = scopes.order_by("id").values_list("id", flat=True).first()
    return UUID(int=0) if found is None else found


def named_root_scopes(user: Person, *, scope_type: str, scope_key: str) -> QuerySet[Scope]:
    """Return the root scope with this normalized name, if it exists, with the user's role as `role_there`."""
    roles = ScopeRole.objects.filter(scope_id=OuterRef("id"), user_id=user.pk or 0).values("role")[:1]
    rows = Scope.objects.filter(parent=None, type=scope_type, key=scope_key)
    return rows.annotate(role_there=Subquery(roles)).order_by("id")


def role_of(user: Person, scope: Scope) -> Role | None:
    """Return the user's role in the scope: inherited from its root; owner for staff; None without a role.

    None also for a token that does not reach the scope.
    """
    root_id = scope.root_id or scope.id
    if not is_reached(user, root_id):
        return None
    if getattr(user, "is_staff", False):
        return Role.OWNER
    return next((Role(role) for _, role in roles_in(user, [root_id])), None)


def roles_in(user: Person, root_ids: Collection[UUID]) -> CompiledQuery[tuple[UUID, str]]:
    """Return root scope and role of the user's roles in these root scopes; pass the rows to `effective_roles`."""
    return _roles_in(user.pk or 0, *root_ids)


@compiled
def _roles_in(user_id: int, *root_ids: UUID) -> QuerySet[ScopeRole, Any]:
    return roles_among(user_id, root_ids)


def roles_among(user_id: int, root_ids: Collection[UUID] | QuerySet[Any, Any]) -> QuerySet[ScopeRole, Any]:
    """Return root scope and role of the roles that a user has in these root scopes."""
    rows = ScopeRole.objects.filter(user_id=user_id, scope_id__in=root_ids)
    return rows.order_by("scope_id").values_list("scope_id", "role")


def effective_roles(user: Person, root_ids: Collection[UUID], rows: Iterable[tuple[UUID, str]]) -> dict[UUID, Role]:
    """Return the user's role by root scope, of the rows of `roles_in`. Staff are owners everywhere."""
    if getattr(user, "is_staff", False):
        return dict.fromkeys(root_ids, Role.OWNER)
    return {root_id: Role(role) for root_id, role in rows}


def owners_of(root_id: UUID) -> list[str]:
    """Return the names of the first `MAX_OWNERS` active owners of a root scope. Permissions are not checked."""
    rows = ScopeRole.objects.filter(scope_id=root_id, role=Role.OWNER, user__is_active=True)
    return list(rows.order_by("id").values_list("user__username", flat=True)[:MAX_OWNERS])


def _too_low(scope: Scope, *, have: Role, need: Role) -> dict[str, Any]:
    """Return the arguments of an error for a user with a role that is too low: such a user may know the owners."""
    owners = owners_of(scope.root_id or scope.id)
    whom = f" An owner can change that: {', '.join(owners)}." if owners else ""
    detail = f"This needs the role {need.value} in the scope. Your role is {have.value}.{whom}"
    return {"detail": detail, "role": have.value, "needed_role": need.value, "owners": owners}


def scope_forbidden(scope: Scope, *, have: Role | None, need: Role) -> ScopeForbidden:
    """Return the error for a write in a scope. A user without a role there learns nothing about its owners."""
    return ScopeForbidden() if have is None else ScopeForbidden(**_too_low(scope, have=have, need=need))


def require(user: Person, scope: Scope, need: Role) -> None:
    """Check the user's role in the scope.

    Raises:
        NotFound: the user has no role in the scope, and must not learn that it exists.
        Forbidden: the role is too low; the error names the needed one, and the owners.
    """
    have = role_of(user, scope)
    if have is None:
        raise NotFound
    if not allows(have, need):
        raise Forbidden(**_too_low(scope, have=have, need=need))


def scope_for(user: Person, action: Action, *, scope_type: str, scope_key: str) -> Scope:
    """Return a root scope in which the user may do something.

    Raises:
        NotFound: there is no such scope, or the user has no role in it.
        Forbidden: the user's role does not permit the action.
    """
    scope = root_scope(user, scope_type=scope_type, scope_key=scope_key)
    if scope is None:
        raise NotFound("There is no such scope.")
    require(user, scope, NEEDED_ROLE[action])
    return scope


def require_in(user: Person, scope_id: UUID, need: Role) -> None:
    """Check the user's role in the scope with this id.

    Raises:
        NotFound: there is no such scope, or the user has no role in it.
        Forbidden: the role is too low.
    """
    scope = Scope.objects.filter(id=scope_id).first()
    if scope is None:
        raise NotFound
    require(user, scope, need)


def require_edit(user: Person, *, scope_type: str, scope_key: str) -> None:
    """Check that the user may edit documents in an existing root scope.

    Raises:
        NotFound: the scope does not exist, or the user has no role in it.
        Forbidden: the user's role does not permit it.
    """
    scope = Scope.objects.filter(parent=None, type=scope_type, key=scope_key).first()
    if scope is None:
        raise NotFound
    require(user, scope, NEEDED_ROLE[Action.ADD_DOCUMENT])


def require_start(user: Person, *, scope_type: str, scope_key: str) -> None:
    """Check that the user may start executions in an existing root scope.

    Raises:
        ScopeForbidden: the scope does not exist, or the user's role is too low.
    """
    scope = Scope.objects.filter(parent=None, type=scope_type, key=scope_key).first()
    if scope is None:
        raise ScopeForbidden
    have, need = role_of(user, scope), NEEDED_ROLE[Action.START]
    if not allows(have, need):
        raise scope_forbidden(scope, have=have, need=need)


def kept_answers(*, user_id: int, method: str, path: str, key: str, since: datetime) -> QuerySet[KeptAnswer, Any]:
    """Return body hash, status, headers and body of a stored response; no row if there is none since then."""
    rows = KeptAnswer.objects.filter(user_id=user_id, method=method, path=path, key=key, kept_at__gt=since)
    return rows.values_list("body_hash", "status", "headers", "answer").order_by("id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user, and the token or session that proves it. Its repr, and so every log, hides the secrets."""

    user_id: int
    token: str | None = field(default=None, repr=False)  # digest of the token
    session: str | None = field(default=None, repr=False)  # key of the session
    password: str | None = field(
        default=None, repr=False
    )  # with a session: the password hash at login; a new password ends the session


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Authorization of an open stream: a credential, and a role in a root scope, if the stream is of one."""

    credential: Credential
    root_id: UUID | None  # None: the stream has only what the user may see anyway


def valid_grants(grants: Collection[Grant], *, now: datetime) -> set[Grant]:
    """Return the grants that are still valid, with one query for all grants."""
    if not grants:
        return set()
    wanted = list(grants)
    credentials = [grant.credential for grant in wanted]
    columns = (
        [each.user_id for each in credentials],
        [grant.root_id for grant in wanted],
        [each.token for each in credentials],
        [each.session for each in credentials],
        [each.password for each in credentials],
    )
    return {wanted[number - 1] for (number,) in bulk.execute(_VALID_GRANTS, [*columns, now, now])}


def token_of_digest(digest: str) -> Token | None:
    """Return the token with this hash, with its user; None if there is none. It may have expired."""
    return next(iter(_tokens_of_digest(digest)), None)


@compiled
def _tokens_of_digest(digest: str) -> QuerySet[Token]:
    return Token.objects.filter(digest=digest).select_related("user")


def token_id(digest: str) -> UUID | None:
    """Return the id of the token with this hash; None if there is none."""
    return Token.objects.filter(digest=digest).values_list("id", flat=True).first()


def find_token(name: str, *, user_id: int, now: datetime) -> Token | None:
    """Return the user's token whose digest starts with `name`, with its user.

    None if the token is revoked or expired, or the user is deactivated.
    """
    rows = Token.objects.filter(user_id=user_id, user__is_active=True, digest__startswith=name)
    return rows.filter(Q(expiry=None) | Q(expiry__gt=now)).select_related("user").first()


def find_session_key(name: UUID) -> str | None:
    """Return the key of the session with this public name; None if the session has ended."""
    return SessionName.objects.filter(id=name).values_list("session_id", flat=True).first()


__all__ = [
    "Person",
    "Token",
    "find_session_key",
    "find_token",
    "find_user",
    "require",
    "require_in",
    "role_of",
    "valid_grants",
    "visible_roots",
    "visible_scopes",
]
