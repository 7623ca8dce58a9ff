"""Users who log in by single sign-on: found by issuer and subject, and given what their groups give."""

from __future__ import annotations

import secrets
from itertools import chain

from django.db import IntegrityError, transaction

from access.audit import Act, acting_for_provider, record, right_part
from access.models import ExternalAccount, Scope, ScopeRole
from access.oidc.faults import Fault, LoginFailed
from access.oidc.groups import RIGHTS, Given, ScopeName
from access.oidc.identity import Identity, numbered_names
from access.permissions import Role, allows
from access.services import lock_scopes
from access.user import User
from common.database.server import database_now


@transaction.atomic
def sign_on(*, identity: Identity, given: Given) -> User:
    """Return the user of a person, made at the first log-in, with the roles and rights that the groups give now.

    Raises:
        LoginFailed: the user is deactivated.
    """
    with acting_for_provider():
        account = _account_of(identity) or _new_account(identity)
        user = User.objects.select_for_update(no_key=True).get(pk=account.user_id)
        if not user.is_active:
            raise LoginFailed(Fault.INACTIVE, f"the user {user.pk} is deactivated")
        _set_profile(user, identity)
        _set_rights(user, account, given.rights)
        _set_roles(user, given.roles)
    return user


def _account_of(identity: Identity) -> ExternalAccount | None:
    """Return the account, locked: log-ins of one person at once follow each other."""
    rows = ExternalAccount.objects.select_for_update().filter(issuer=identity.issuer, subject=identity.subject)
    return rows.first()


def _new_account(identity: Identity) -> ExternalAccount:
    """Make a user and the account; or return the account that a concurrent log-in has made."""
    for name in chain(numbered_names(identity.user_name), [f"user-{secrets.token_hex(8)}"]):
        if User.objects.filter(username__iexact=name).exists():
            continue
        try:
            with transaction.atomic():
                user = User(username=name, email=identity.email)
                user.set_unusable_password()
                user.save()
                record(Act.USER_ADD, "user", user.pk)
                return ExternalAccount.objects.create(issuer=identity.issuer, subject=identity.subject, user=user)
        except IntegrityError:  # a concurrent log-in took the name, or made the account
            if (account := _account_of(identity)) is not None:
                return account
    raise LoginFailed(Fault.REFUSED, "no user name is free")


def _set_profile(user: User, identity: Identity) -> None:
    """Take over the person's name, and her address if the provider has verified it."""
    user.first_name = identity.first_name or user.first_name
    user.last_name = identity.last_name or user.last_name
    if identity.is_email_verified:
        user.email, user.email_verified_at = identity.email, database_now()
    elif identity.denies_email or (identity.email and identity.email != user.email):
        user.email_verified_at = None  # the provider no longer stands for the address
    user.save(update_fields=["first_name", "last_name", "email", "email_verified_at"])


def _set_rights(user: User, account: ExternalAccount, wanted: frozenset[str]) -> None:
    """Give rights, and take those that groups gave before. A right that a person gave stays."""
    by_group = set(account.rights_by_group)
    for right, column in RIGHTS.items():
        has = bool(getattr(user, column))
        if right in wanted and not has:
            by_group.add(right)
        elif right not in wanted and right in by_group:
            by_group.discard(right)
        else:
            continue
        setattr(user, column, right in wanted)
        record(Act.USER_CHANGE, "user", user.pk, part=right_part(right, given=right in wanted))
    user.save(update_fields=list(RIGHTS.values()))
    account.rights_by_group = sorted(by_group)
    account.save(update_fields=["rights_by_group"])


def _set_roles(user: User, wanted: dict[ScopeName, str]) -> None:
    """Give roles, and take those that groups gave before. A role that a person gave stays, and so does an owner's."""
    scopes = _locked_scopes(user, wanted)
    rows = {row.scope_id: row for row in ScopeRole.objects.filter(user=user, scope_id__in=[each.id for each in scopes])}
    for scope in scopes:
        row = rows.get(scope.id)
        if row is None or row.by_group:
            _set_role(user, scope, row, wanted=wanted.get(ScopeName(type=scope.type, key=scope.key), ""))


def _locked_scopes(user: User, wanted: dict[ScopeName, str]) -> list[Scope]:
    """Return the scopes of the wanted roles, and of those that groups gave, locked as for every change of roles.

    A wanted scope that does not exist is left out: its first user will own it.
    """
    types, keys = {name.type for name in wanted}, {name.key for name in wanted}
    named = Scope.objects.filter(parent=None, type__in=types, key__in=keys)
    found = [each for each in named if ScopeName(type=each.type, key=each.key) in wanted]
    given = Scope.objects.filter(roles__user=user, roles__by_group=True)
    scopes = {each.id: each for each in (*found, *given)}
    lock_scopes(scopes.keys())
    return list(scopes.values())


def _set_role(user: User, scope: Scope, row: ScopeRole | None, *, wanted: str) -> None:
    """Bring the role that groups give in a scope to the wanted one; empty: none."""
    by_hand = "" if row is None else row.by_hand
    by_group = bool(wanted) and not (by_hand and allows(Role(by_hand), Role(wanted)))
    role = wanted if by_group else by_hand
    if row is not None:
        if (row.role, row.by_group) == (role, by_group):
            return
        row.delete()
        record(Act.ROLE_TAKE, "user", user.pk, part=row.role, root_id=scope.id)
    if role:
        given = {"role": role, "by_group": by_group, "by_hand": by_hand if by_group else ""}
        if ScopeRole.objects.get_or_create(scope=scope, user=user, defaults=given)[1]:
            record(Act.ROLE_GIVE, "user", user.pk, part=role, root_id=scope.id)
